"""Which images are the same, and which are nearly the same across splits.

Candidates have perceptual hashes at most 10 of 63 bits apart; a candidate counts once its pixels
agree: both images at 16 x 16, the root mean square of the difference divided by the standard
deviation of the flatter one. How near is near depends on the data: at most 0.3, and at most a third
of how near the nearest quarter of the held-out images are to their fifth nearest training image
anyway, so that clothes of 28 x 28 pixels, which all look alike, do not count as copies.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.fft import dct

from convscope.base.prefetch import prefetch_map
from convscope.base.tensors import Pixels
from convscope.images.preprocess import resized

THUMBNAIL = 16
NEAREST = 5  # partners kept for each held-out image
_SIDE, _FREQUENCIES = 32, 8
_MAX_BITS, _CEILING, _FLOOR, _SHARE = 10, 0.3, 0.08, 1 / 3
_FLAT = 2.0  # standard deviation in grey levels below which an image shows nothing to compare
_BLOCK, _CANDIDATES, _CHUNK = 1 << 22, 500, 4096
_QUERIES, _KNOWN = 64, 20_000
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_BASIS = np.asarray(dct(np.eye(_SIDE), axis=0, norm="ortho"))[:_FREQUENCIES].astype(np.float32)
# Test images first: they are compared with all others, validation images with training images.
_COMPARED = (("test", "train"), ("test", "val"), ("val", "train"))


@dataclass(frozen=True)
class Pair:
    """Indices of a held-out image and of one nearly the same, and their distance (0 is equal)."""

    held_out: int
    other: int
    distance: float


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs across splits, nearest first, and the distance up to which a pair counted."""

    pairs: tuple[Pair, ...]
    limit: float


def fingerprint(pixels: Pixels) -> tuple[int, np.ndarray]:
    """The perceptual hash, 63 bits, and the thumbnail (16, 16, channels), 0..255, of an image.

    A bit says whether one of the 63 lowest frequencies of the image at 32 x 32 (type II cosine
    transform of its luma, without the mean) is above their median.
    """
    small = resized(pixels, (_SIDE, _SIDE)).astype(np.float32)
    grey = small @ _LUMA if small.shape[2] == 3 else small[:, :, 0]
    waves = (_BASIS @ grey @ _BASIS.T).reshape(-1)[1:]
    bits = np.packbits(np.append(waves > np.median(waves), False))
    half = _SIDE // THUMBNAIL
    blocks = small.reshape(THUMBNAIL, half, THUMBNAIL, half, -1).mean(axis=(1, 3))
    return int(bits.view(np.uint64)[0]), np.rint(blocks).astype(np.uint8)


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far apart thumbnails (n, 16, 16, channels) are, (n,): 0 is equal, 1.4 is unrelated."""
    parts = [np.zeros(0, dtype=np.float32)]
    for start in range(0, len(one), _CHUNK):
        a, b = (x[start : start + _CHUNK].astype(np.float32) for x in (one, other))
        a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
        contrast = np.maximum(np.minimum(a.std(axis=1), b.std(axis=1)), 1.0)
        parts.append(np.sqrt(((a - b) ** 2).mean(axis=1)) / contrast)
    return np.concatenate(parts)


def exact_duplicates(digests: np.ndarray, readable: np.ndarray) -> list[tuple[int, ...]]:
    """Groups of two or more images of equal content, by index."""
    indices = np.flatnonzero(readable)
    order = indices[np.argsort(digests[indices], kind="stable")]
    edges = np.flatnonzero(digests[order][1:] != digests[order][:-1]) + 1
    groups = [tuple(part.tolist()) for part in np.split(order, edges) if len(part) > 1]
    return sorted(groups)


def near_duplicates(
    digests: np.ndarray,
    hashes: np.ndarray,
    thumbnails: np.ndarray,
    splits: np.ndarray,
    readable: np.ndarray,
) -> NearDuplicates:
    """Pairs of images in different splits that look the same without being equal.

    For each held-out image at most its five nearest in each other split. Of equal images in one
    split the first stands for all; images without contrast are left out.
    """
    shown = readable & (_contrast(thumbnails) >= _FLAT)
    near: list[tuple[int, int, float]] = []
    for held_out, others in _COMPARED:
        queries, known = (_firsts(digests, shown & (splits == part)) for part in (held_out, others))
        nearest_of = _Nearest(digests, hashes, thumbnails, known)
        for block in prefetch_map(nearest_of, _blocks(queries, len(known)), ahead=4):
            for query, found in block:
                near += [(query, other, distance) for other, distance in found]
    held, train = (np.flatnonzero(shown & (splits == part)) for part in ("test", "train"))
    held = held if len(held) else np.flatnonzero(shown & (splits == "val"))
    limit = float(np.clip(_crowding(thumbnails, held, train) * _SHARE, _FLOOR, _CEILING))
    pairs = [Pair(*found) for found in near if found[2] <= limit]
    return NearDuplicates(tuple(sorted(pairs, key=lambda p: (p.distance, p.held_out))), limit)


def _crowding(thumbnails: np.ndarray, held_out: np.ndarray, train: np.ndarray) -> float:
    """How near a quarter of the held-out images are to their fifth nearest training image.

    The fifth, so that a copy or two of an image do not count. Measured on a sample, evenly spread:
    digits 0.36, Fashion-MNIST 0.27, CIFAR-10 0.86.
    """
    queries, known = (_spread(*part) for part in ((held_out, _QUERIES), (train, _KNOWN)))
    if not len(queries) or len(known) < NEAREST:
        return np.inf
    others, shape, fifth = thumbnails[known], thumbnails.shape[1:], []
    for query in queries.tolist():
        apart = distances(np.broadcast_to(thumbnails[query], (len(known), *shape)), others)
        fifth.append(np.partition(apart, NEAREST - 1)[NEAREST - 1])
    return float(np.quantile(fifth, 0.25, method="lower"))


def _spread(indices: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of `indices`, evenly spread."""
    return indices[np.linspace(0, len(indices) - 1, min(count, len(indices))).astype(np.int64)]


@dataclass(frozen=True)
class _Nearest:
    """The nearest images among `known` of each query, as (query, [(index, distance), ...])."""

    digests: np.ndarray
    hashes: np.ndarray
    thumbnails: np.ndarray
    known: np.ndarray

    def __call__(self, queries: np.ndarray) -> list[tuple[int, list[tuple[int, float]]]]:
        bits = np.bitwise_count(self.hashes[queries][:, None] ^ self.hashes[self.known][None])
        found = []
        for row, query in zip(bits, queries.tolist(), strict=True):
            candidates = np.flatnonzero(row <= _MAX_BITS)
            if len(candidates) > _CANDIDATES:  # else a set of look-alikes would take for ever
                nearest = np.argpartition(row[candidates], _CANDIDATES)[:_CANDIDATES]
                candidates = candidates[nearest]
            others = self.known[candidates]
            others = others[self.digests[others] != self.digests[query]]
            one = np.broadcast_to(self.thumbnails[query], (len(others), *self.thumbnails.shape[1:]))
            apart = distances(one, self.thumbnails[others])
            order = np.argsort(apart, kind="stable")[:NEAREST]
            found.append((query, [(int(others[i]), float(apart[i])) for i in order.tolist()]))
        return found


def _blocks(queries: np.ndarray, known: int) -> Iterator[np.ndarray]:
    """Queries in blocks: so many that their comparisons with all known take a few megabytes."""
    size = max(1, _BLOCK // max(1, known))
    for start in range(0, len(queries), size):
        yield queries[start : start + size]


def _firsts(digests: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The first image of each content among those in `mask`, sorted."""
    indices = np.flatnonzero(mask)
    return indices[np.sort(np.unique(digests[indices], return_index=True)[1])]


def _contrast(thumbnails: np.ndarray) -> np.ndarray:
    parts = [np.zeros(0)]
    for start in range(0, len(thumbnails), _CHUNK):
        part = thumbnails[start : start + _CHUNK]
        parts.append(part.reshape(len(part), -1).astype(np.float32).std(axis=1))
    return np.concatenate(parts)
