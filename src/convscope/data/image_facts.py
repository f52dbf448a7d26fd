"""Size, format, SHA-256 and fingerprint of each image, with a cache for files.

The cache has one file per data folder. An image file is read again only if its path, size or
modification time has changed, or if it was unreadable. Training does not use this cache.
"""

import contextlib
import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from convscope.base.download import cache_folder
from convscope.base.errors import ConvscopeError, UnreadableImageError
from convscope.base.prefetch import prefetch_map
from convscope.base.storage import sha256_of, write_bytes
from convscope.data.dataset import ArraySource, Dataset, FileSource
from convscope.data.duplicates import THUMBNAIL, fingerprint
from convscope.images.files import FORMATS

Progress = Callable[[int, int], None]
_VERSION = "convscope looks 1"
_AHEAD = 512
# The cache file begins with the SHA-256 of the rest, because NumPy's reader may raise any exception
# on a damaged file.
_DIGEST = 64
_COLUMNS = ("digests", "sizes", "kinds", "hashes", "thumbnails")


@dataclass(frozen=True)
class ImageFacts:
    """Facts about n images, one row each. An unreadable image has zeros and empty strings.

    Attributes:
        digests: (n,) SHA-256 of the content in hexadecimal.
        sizes: (n, 2) height and width in pixels.
        kinds: (n,) format and mode, such as "JPEG RGB".
        hashes: (n,) uint64 perceptual hashes (`fingerprint`).
        thumbnails: (n, 16, 16, channels), 0..255.
        bad: the unreadable images: the reason, by image index.
        num_cached: the number of images that were not read, because the cache has their facts.
    """

    digests: np.ndarray
    sizes: np.ndarray
    kinds: np.ndarray
    hashes: np.ndarray
    thumbnails: np.ndarray
    bad: dict[int, str]
    num_cached: int = 0

    @property
    def readable(self) -> np.ndarray:
        """The mask (n,) of the images that could be read."""
        mask = np.ones(len(self.digests), dtype=bool)
        mask[list(self.bad)] = False
        return mask


def collect_image_facts(
    dataset: Dataset, progress: Progress = lambda done, total: None
) -> ImageFacts:
    """Collects the facts about all images of `dataset`, from the cache where possible.

    Args:
        dataset: the data set.
        progress: called from time to time with the number of images done and their total.
    """
    count, cache = len(dataset), cache_file(dataset)
    facts = _empty_facts(count, dataset.channels)
    stamps = np.zeros((count, 2), dtype=np.int64)
    known = np.zeros(count, bool)
    if cache is not None:
        stamps = _file_stamps(dataset)
        known = _load_cached(cache, dataset, stamps, facts)
    missing = np.flatnonzero(~known).tolist()

    def read(index: int) -> tuple[str, tuple[int, int], str, int, np.ndarray] | str:
        try:
            content = dataset.source.content(index)
            pixels = dataset.source.decode(content, index, dataset.channels)
        except UnreadableImageError as error:
            return error.reason or str(error)
        code, thumbnail = fingerprint(pixels)
        kind = _format_and_mode(dataset, content)
        return sha256_of(content), (pixels.shape[0], pixels.shape[1]), kind, code, thumbnail

    threads = 1 if isinstance(dataset.source, ArraySource) else None
    progress(count - len(missing), count)
    for number, result in enumerate(prefetch_map(read, missing, _AHEAD, threads)):
        index = missing[number]
        if isinstance(result, str):
            facts.bad[index] = result
        else:
            for column, value in zip(_COLUMNS, result, strict=True):
                getattr(facts, column)[index] = value
        if (number + 1) % 128 == 0 or number + 1 == len(missing):
            progress(count - len(missing) + number + 1, count)
    if cache is not None and len(missing) > len(facts.bad):
        with contextlib.suppress(ConvscopeError):  # the cache is optional
            content = _serialised(dataset, stamps, facts)
            write_bytes(cache, sha256_of(content).encode(), content)
    return ImageFacts(**{name: getattr(facts, name) for name in (*_COLUMNS, "bad")},
                 num_cached=count - len(missing))  # fmt: skip


def cache_file(dataset: Dataset) -> Path | None:
    """The cache file of the data set's folder; None if the data set does not consist of files."""
    if not isinstance(dataset.source, FileSource):
        return None
    root = os.fsencode(dataset.source.root.resolve())
    return cache_folder() / "checks" / f"{hashlib.sha256(root).hexdigest()[:32]}.looks"


def _empty_facts(count: int, channels: int) -> ImageFacts:
    return ImageFacts(
        digests=np.zeros(count, dtype="<U64"),
        sizes=np.zeros((count, 2), dtype=np.int64),
        kinds=np.zeros(count, dtype="<U16"),
        hashes=np.zeros(count, dtype=np.uint64),
        thumbnails=np.zeros((count, THUMBNAIL, THUMBNAIL, channels), dtype=np.uint8),
        bad={},
    )


def _format_and_mode(dataset: Dataset, content: bytes) -> str:
    if isinstance(dataset.source, ArraySource):
        return "array grey" if dataset.channels == 1 else "array RGB"
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        return f"{image.format} {image.mode}"


def _file_stamps(dataset: Dataset) -> np.ndarray:
    """Size and modification time in nanoseconds of each file, (n, 2); -1 if there is no file."""
    assert isinstance(dataset.source, FileSource)
    stamps = np.full((len(dataset), 2), -1, dtype=np.int64)
    for index, path in enumerate(dataset.paths):
        with contextlib.suppress(OSError):
            status = (dataset.source.root / path).stat()
            stamps[index] = status.st_size, status.st_mtime_ns
    return stamps


def _version(dataset: Dataset) -> str:
    return f"{_VERSION}, {dataset.channels} channels"


def _serialised(dataset: Dataset, stamps: np.ndarray, facts: ImageFacts) -> bytes:
    """The facts about the readable files as an `.npz`."""
    kept = np.flatnonzero(facts.readable & (stamps[:, 0] >= 0))
    content = io.BytesIO()
    arrays = {name: getattr(facts, name)[kept] for name in _COLUMNS}
    paths = np.array([dataset.paths[i] for i in kept.tolist()], dtype=np.str_)
    np.savez(content, version=np.array(_version(dataset)), paths=paths, stamps=stamps[kept],
             **arrays)  # fmt: skip
    return content.getvalue()


def _load_cached(
    cache: Path, dataset: Dataset, stamps: np.ndarray, facts: ImageFacts
) -> np.ndarray:
    """Copies cached facts into `facts`. Returns the mask (n,) of the images that were cached.

    A damaged or incompatible cache file is ignored: all images are read again.
    """
    known = np.zeros(len(dataset), dtype=bool)
    try:
        content = cache.read_bytes()
    except OSError:
        return known
    digest, content = content[:_DIGEST], content[_DIGEST:]
    if sha256_of(content).encode() != digest:
        return known
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        cached = {name: stored[name] for name in ("version", "paths", "stamps", *_COLUMNS)}
    count = len(cached["paths"])
    valid = str(cached["version"]) == _version(dataset) and cached["stamps"].shape == (count, 2)
    for name in _COLUMNS:
        column, expected = cached[name], getattr(facts, name)
        valid &= column.shape == (count, *expected.shape[1:]) and column.dtype == expected.dtype
    if not valid:
        return known
    row_of = {path: row for row, path in enumerate(cached["paths"].tolist())}
    rows = np.array([row_of.get(path, -1) for path in dataset.paths], dtype=np.int64)
    unchanged = np.flatnonzero((rows >= 0) & (stamps[:, 0] >= 0))
    same_stamps = (cached["stamps"][rows[unchanged]] == stamps[unchanged]).all(axis=1)
    unchanged = unchanged[same_stamps]
    for name in _COLUMNS:
        getattr(facts, name)[unchanged] = cached[name][rows[unchanged]]
    known[unchanged] = True
    return known
