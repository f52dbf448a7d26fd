"""What a data set is: named classes, labelled images, and how to read one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from convscope.base.errors import DataError, UnreadableImageError
from convscope.base.tensors import Pixels
from convscope.images.files import decode_image, read_content, to_channels

SPLITS = ("train", "val", "test")


@runtime_checkable  # so that the test run can check annotations
class Source(Protocol):
    """Where pixels come from."""

    def content(self, index: int) -> bytes:
        """The bytes that identify image `index`: what the split's SHA-256 is taken of."""
        ...

    def decode(self, content: bytes, index: int, channels: int) -> Pixels:
        """The image that `content` holds."""
        ...

    def only(self, indices: np.ndarray) -> "Source":
        """The images `indices` alone, counted anew."""
        ...


@dataclass(frozen=True)
class Dataset:
    """Images with labels.

    Attributes:
        name: what the user called it.
        class_names: sorted by code point for folders, the publisher's order for known sets.
        paths: relative to the data's root; `file#index` for arrays.
        labels: (n,) int64, index into `class_names`.
        splits: (n,) of "train", "val", "test", as the data's own folders or files say; "" where
            they say nothing.
        source: reads pixels.
        channels: 1 where every image is grey by format, else 3.
        mirrored: whether a mirrored image still shows its class: not so for digits, as far as we
            know of them (`mnist`, `digits`); a folder is taken to hold things that can be mirrored.
        ignored: files that are no images and were left out.
    """

    name: str
    class_names: tuple[str, ...]
    paths: tuple[str, ...]
    labels: np.ndarray
    splits: np.ndarray
    source: Source
    channels: int
    mirrored: bool = True
    ignored: int = 0

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, index: int, channels: int) -> Pixels:
        """Image `index` as decoded from its source.

        Raises:
            UnreadableImageError: naming the file.
        """
        return self.source.decode(self.source.content(index), index, channels)

    def only(self, indices: np.ndarray) -> "Dataset":
        """The images `indices` (k,) alone, in that order; all classes stay."""
        return replace(
            self,
            paths=tuple(self.paths[i] for i in indices.tolist()),
            labels=self.labels[indices],
            splits=self.splits[indices],
            source=self.source.only(indices),
        )

    def aligned_to(self, class_names: Sequence[str]) -> "Dataset":
        """The same images with labels counted in `class_names`: classes are matched by name.

        Raises:
            DataError: listing the classes that `class_names` does not have.
        """
        unknown = sorted(set(self.class_names) - set(class_names))
        if unknown:
            raise DataError(
                f"{self.name} has classes that the model does not know: {', '.join(unknown)}; "
                f"the model knows {', '.join(class_names)}"
            )
        place = np.array([list(class_names).index(name) for name in self.class_names])
        return replace(self, class_names=tuple(class_names), labels=place[self.labels])


@dataclass(frozen=True)
class FileSource:
    """Image files under one folder.

    `misnamed` are those of the paths that stand for a name that cannot be written down as it is:
    they count as unreadable.
    """

    root: Path
    paths: tuple[str, ...]
    misnamed: frozenset[str] = frozenset()

    def content(self, index: int) -> bytes:
        """The file's bytes."""
        path = self.root / self.paths[index]
        if self.paths[index] in self.misnamed:
            reason = "control characters or bytes that are not UTF-8 in the name; rename it"
            raise UnreadableImageError(str(path), reason)
        return read_content(path)

    def decode(self, content: bytes, index: int, channels: int) -> Pixels:
        """The file's pixels."""
        return decode_image(content, channels, name=str(self.root / self.paths[index]))

    def only(self, indices: np.ndarray) -> "FileSource":
        """The files `indices` alone."""
        return replace(self, paths=tuple(self.paths[i] for i in indices.tolist()))


@dataclass(frozen=True)
class ArraySource:
    """Images of one size in one array (n, height, width, channels), uint8."""

    images: np.ndarray

    def content(self, index: int) -> bytes:
        """The image's pixels, rows first, channels last."""
        return self.images[index].tobytes()

    def decode(self, content: bytes, index: int, channels: int) -> Pixels:
        """The image itself; `content` is not looked at."""
        del content
        return to_channels(self.images[index], channels)

    def only(self, indices: np.ndarray) -> "ArraySource":
        """The images `indices` alone."""
        return ArraySource(self.images[indices])
