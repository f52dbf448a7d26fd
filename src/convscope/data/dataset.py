"""The Dataset: named classes, labelled images, and a source that reads pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from convscope.base.errors import DataError, UnreadableImageError
from convscope.base.tensors import Pixels
from convscope.images.files import decode_image, read_content, to_channels

SPLITS = ("train", "val", "test")


@runtime_checkable  # so that the tests can check type annotations
class Source(Protocol):
    """Reads the content of images and decodes it."""

    def content(self, index: int) -> bytes:
        """The bytes of image `index`. Their SHA-256 identifies the image in `split.csv`."""
        ...

    def decode(self, content: bytes, index: int, channels: int) -> Pixels:
        """Decodes `content` to pixels (height, width, channels), 0..255."""
        ...

    def subset(self, indices: np.ndarray) -> "Source":
        """A source of the images `indices` (k,), numbered from 0."""
        ...


@dataclass(frozen=True)
class Dataset:
    """Images with labels.

    Attributes:
        name: for messages and titles.
        class_names: sorted by code point for folders, in the publisher's order for known data sets.
        paths: relative to the data's root; `file#index` for arrays.
        labels: (n,) int64, indices into `class_names`.
        splits: (n,) of "train", "val", "test", from the data's folders or files; "" if these do
            not assign one.
        source: reads pixels.
        channels: 1 if the format allows only grey images, otherwise 3.
        flippable: whether an image flipped left to right keeps its class. False for the digits of
            `mnist` and `digits`; assumed to be true for folders.
        ignored: the number of files that are not images and were left out.
    """

    name: str
    class_names: tuple[str, ...]
    paths: tuple[str, ...]
    labels: np.ndarray
    splits: np.ndarray
    source: Source
    channels: int
    flippable: bool = True
    ignored: int = 0

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, index: int, channels: int) -> Pixels:
        """The pixels of image `index`, (height, width, channels), 0..255.

        Raises:
            UnreadableImageError: the file cannot be read. It names file and reason.
        """
        return self.source.decode(self.source.content(index), index, channels)

    def subset(self, indices: np.ndarray) -> "Dataset":
        """The data set of the images `indices` (k,), in that order, with all classes."""
        return replace(
            self,
            paths=tuple(self.paths[i] for i in indices.tolist()),
            labels=self.labels[indices],
            splits=self.splits[indices],
            source=self.source.subset(indices),
        )

    def aligned_to(self, class_names: Sequence[str]) -> "Dataset":
        """The same images with labels that index `class_names`. Classes are matched by name.

        Raises:
            DataError: the data set has classes that are not in `class_names`. It lists them.
        """
        unknown = sorted(set(self.class_names) - set(class_names))
        if unknown:
            raise DataError(
                f"{self.name} has classes that the model does not know: {', '.join(unknown)}; "
                f"the model knows {', '.join(class_names)}"
            )
        new_label = np.array([list(class_names).index(name) for name in self.class_names])
        return replace(self, class_names=tuple(class_names), labels=new_label[self.labels])


@dataclass(frozen=True)
class FileSource:
    """Image files in one folder.

    Attributes:
        root: the folder.
        paths: relative to `root`.
        misnamed: the paths with escaped characters, because the file's name has control characters
            or is not UTF-8. Such files count as unreadable.
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

    def subset(self, indices: np.ndarray) -> "FileSource":
        """A source of the files `indices`."""
        return replace(self, paths=tuple(self.paths[i] for i in indices.tolist()))


@dataclass(frozen=True)
class ArraySource:
    """Images of equal size in an array (n, height, width, channels), uint8."""

    images: np.ndarray

    def content(self, index: int) -> bytes:
        """The image's pixels, rows first, channels last."""
        return self.images[index].tobytes()

    def decode(self, content: bytes, index: int, channels: int) -> Pixels:
        """The image from the array; `content` is not used."""
        del content
        return to_channels(self.images[index], channels)

    def subset(self, indices: np.ndarray) -> "ArraySource":
        """A source of the images `indices`."""
        return ArraySource(self.images[indices])
