"""One look at every image: what it is, its SHA-256 and its fingerprint; remembered for files.

The memory is one file per data folder in the cache. A file that keeps its path, size and time of
change is not read again; unreadable files always are. Training does not trust this memory.
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
_DIGEST = 64  # the cache begins with the SHA-256 of the rest: numpy's reader may raise anything
_COLUMNS = ("digests", "sizes", "kinds", "hashes", "thumbnails")


@dataclass(frozen=True)
class Looks:
    """What one look at each of n images found; zeros and "" where an image cannot be read.

    Attributes:
        digests: SHA-256 of the content in hexadecimal, (n,).
        sizes: height and width in pixels, (n, 2).
        kinds: format and mode, such as "JPEG RGB", (n,).
        hashes: perceptual hashes, (n,) uint64.
        thumbnails: (n, 16, 16, channels), 0..255.
        bad: why an image cannot be read, by its index.
        remembered: images that were not read, because the cache knew them.
    """

    digests: np.ndarray
    sizes: np.ndarray
    kinds: np.ndarray
    hashes: np.ndarray
    thumbnails: np.ndarray
    bad: dict[int, str]
    remembered: int = 0

    @property
    def readable(self) -> np.ndarray:
        """Which images could be read, a mask (n,)."""
        mask = np.ones(len(self.digests), dtype=bool)
        mask[list(self.bad)] = False
        return mask


def look_at(dataset: Dataset, progress: Progress = lambda done, total: None) -> Looks:
    """Looks at every image of `dataset`; `progress` is told (done, all) now and then."""
    count, memory = len(dataset), cache_file(dataset)
    looks = _blank(count, dataset.channels)
    stamps = _stamps(dataset) if memory is not None else np.zeros((count, 2), dtype=np.int64)
    known = _recall(memory, dataset, stamps, looks) if memory is not None else np.zeros(count, bool)
    missing = np.flatnonzero(~known).tolist()

    def look(index: int) -> tuple[str, tuple[int, int], str, int, np.ndarray] | str:
        try:
            content = dataset.source.content(index)
            pixels = dataset.source.decode(content, index, dataset.channels)
        except UnreadableImageError as error:
            return error.reason or str(error)
        code, thumbnail = fingerprint(pixels)
        kind = _kind(dataset, content)
        return sha256_of(content), (pixels.shape[0], pixels.shape[1]), kind, code, thumbnail

    threads = 1 if isinstance(dataset.source, ArraySource) else None
    progress(count - len(missing), count)
    for place, found in enumerate(prefetch_map(look, missing, _AHEAD, threads)):
        index = missing[place]
        if isinstance(found, str):
            looks.bad[index] = found
        else:
            for column, value in zip(_COLUMNS, found, strict=True):
                getattr(looks, column)[index] = value
        if (place + 1) % 128 == 0 or place + 1 == len(missing):
            progress(count - len(missing) + place + 1, count)
    if memory is not None and len(missing) > len(looks.bad):
        with contextlib.suppress(ConvscopeError):  # a cache that cannot be written is none
            content = _packed(dataset, stamps, looks)
            write_bytes(memory, sha256_of(content).encode(), content)
    return Looks(**{name: getattr(looks, name) for name in (*_COLUMNS, "bad")},
                 remembered=count - len(missing))  # fmt: skip


def cache_file(dataset: Dataset) -> Path | None:
    """Where the looks at this data folder are remembered; None for data that are no files."""
    if not isinstance(dataset.source, FileSource):
        return None
    root = os.fsencode(dataset.source.root.resolve())
    return cache_folder() / "checks" / f"{hashlib.sha256(root).hexdigest()[:32]}.looks"


def _blank(count: int, channels: int) -> Looks:
    return Looks(
        digests=np.zeros(count, dtype="<U64"),
        sizes=np.zeros((count, 2), dtype=np.int64),
        kinds=np.zeros(count, dtype="<U16"),
        hashes=np.zeros(count, dtype=np.uint64),
        thumbnails=np.zeros((count, THUMBNAIL, THUMBNAIL, channels), dtype=np.uint8),
        bad={},
    )


def _kind(dataset: Dataset, content: bytes) -> str:
    if isinstance(dataset.source, ArraySource):
        return "array grey" if dataset.channels == 1 else "array RGB"
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        return f"{image.format} {image.mode}"


def _stamps(dataset: Dataset) -> np.ndarray:
    """Size and time of change in nanoseconds of every file, (n, 2); -1 where there is none."""
    assert isinstance(dataset.source, FileSource)
    stamps = np.full((len(dataset), 2), -1, dtype=np.int64)
    for index, path in enumerate(dataset.paths):
        with contextlib.suppress(OSError):
            status = (dataset.source.root / path).stat()
            stamps[index] = status.st_size, status.st_mtime_ns
    return stamps


def _version(dataset: Dataset) -> str:
    return f"{_VERSION}, {dataset.channels} channels"


def _packed(dataset: Dataset, stamps: np.ndarray, looks: Looks) -> bytes:
    kept = np.flatnonzero(looks.readable & (stamps[:, 0] >= 0))
    content = io.BytesIO()
    arrays = {name: getattr(looks, name)[kept] for name in _COLUMNS}
    paths = np.array([dataset.paths[i] for i in kept.tolist()], dtype=np.str_)
    np.savez(content, version=np.array(_version(dataset)), paths=paths, stamps=stamps[kept],
             **arrays)  # fmt: skip
    return content.getvalue()


def _recall(memory: Path, dataset: Dataset, stamps: np.ndarray, looks: Looks) -> np.ndarray:
    """Fills `looks` from the cache; which images it knew, a mask (n,).

    A damaged or foreign file is as good as none: everything is read again.
    """
    known = np.zeros(len(dataset), dtype=bool)
    try:
        content = memory.read_bytes()
    except OSError:
        return known
    digest, content = content[:_DIGEST], content[_DIGEST:]
    if sha256_of(content).encode() != digest:
        return known
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        kept = {name: stored[name] for name in ("version", "paths", "stamps", *_COLUMNS)}
    count = len(kept["paths"])
    fits = str(kept["version"]) == _version(dataset) and kept["stamps"].shape == (count, 2)
    for name in _COLUMNS:
        wanted = getattr(looks, name)
        fits &= kept[name].shape == (count, *wanted.shape[1:]) and kept[name].dtype == wanted.dtype
    if not fits:
        return known
    place = {path: index for index, path in enumerate(kept["paths"].tolist())}
    old = np.array([place.get(path, -1) for path in dataset.paths], dtype=np.int64)
    found = np.flatnonzero((old >= 0) & (stamps[:, 0] >= 0))
    found = found[(kept["stamps"][old[found]] == stamps[found]).all(axis=1)]
    for name in _COLUMNS:
        getattr(looks, name)[found] = kept[name][old[found]]
    known[found] = True
    return known
