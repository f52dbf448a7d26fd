"""The images that can be opened: of the data set, of the command line, and uploaded ones.

Nothing else on the disk can be read. An image has a name such as `data-12`, `file-3` or
`drop-HEX`.
"""

import os
import re
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from convscope.base.errors import DataError
from convscope.base.storage import sha256_of
from convscope.base.tensors import Pixels
from convscope.data.dataset import SPLITS, Dataset
from convscope.explorer.problem import RefusedError, printable
from convscope.explorer.wire import Gallery, Picture, Split
from convscope.images.files import decode_image, read_content, read_image

MAX_UPLOAD = 64_000_000
MAX_DROPPED = 256_000_000  # bytes of all dropped files together
FILES = ""
_ALL = "all"  # of a data set without splits
_NAME = re.compile(r"(data|file)-(0|[1-9][0-9]{0,8})")
_DROPPED = re.compile(r"drop-([0-9a-f]{32})")
_BEGIN_WITH = ("test", "val", "train")


@dataclass(frozen=True)
class Dropped:
    """A file that was dropped on the page."""

    name: str
    content: bytes


class Images:
    """All images that can be opened; thread-safe except `drop`, which only one thread may call."""

    def __init__(
        self,
        dataset: Dataset | None = None,
        files: Sequence[str] = (),
        *,
        labelled: bool = True,
        begin_with: str | None = None,
        max_dropped: int = MAX_DROPPED,
    ) -> None:
        self._dataset = dataset
        self._files = tuple(files)
        self._names = _short_names(self._files)
        self._labelled = labelled
        self._places: dict[str, np.ndarray] = {}
        self._dropped: OrderedDict[str, Dropped] = OrderedDict()
        self._max_dropped = max_dropped
        if dataset is not None:
            names = np.array([name or _ALL for name in dataset.splits.tolist()])
            known = sorted(set(names.tolist()), key=lambda name: (name not in SPLITS, name))
            self._places = {name: np.flatnonzero(names == name) for name in known}
        self._begin_with = self._first_split(begin_with)

    @property
    def splits(self) -> list[Split]:
        """The splits with their numbers of images; files, including uploaded ones, come first."""
        count = len(self._files) + len(self._dropped)
        files = [Split(name=FILES, images=count)] if count else []
        places = self._places.items()
        return files + [Split(name=name, images=len(indices)) for name, indices in places]

    @property
    def first(self) -> str | None:
        """The image to begin with: the first file, else the first of the data set's test images."""
        if self._files:
            return "file-0"
        if self._begin_with is None:
            return None
        return f"data-{self._places[self._begin_with][0]}"

    def picture(self, image: str) -> Picture:
        """The name, split and label of an image, without reading it.

        Raises:
            RefusedError: there is no such image.
        """
        if match := _DROPPED.fullmatch(image):
            dropped = self._drop(match[1])
            return Picture(image=image, name=dropped.name, split=FILES, label=None)
        kind, number = self._kind_and_number(image)
        if kind == "file":
            return Picture(image=image, name=self._names[number], split=FILES, label=None)
        assert self._dataset is not None
        return Picture(
            image=image,
            name=printable(self._dataset.paths[number]),
            split=str(self._dataset.splits[number]) or _ALL,
            label=int(self._dataset.labels[number]) if self._labelled else None,
        )

    def pixels(self, image: str, channels: int) -> Pixels:
        """An image, decoded.

        Raises:
            RefusedError: there is no such image.
            UnreadableImageError: it cannot be decoded.
        """
        if match := _DROPPED.fullmatch(image):
            dropped = self._drop(match[1])
            return decode_image(dropped.content, channels, name=dropped.name)
        kind, number = self._kind_and_number(image)
        if kind == "file":
            return read_image(Path(self._files[number]), channels)
        assert self._dataset is not None
        return self._dataset.image(number, channels)

    def named(self, path: str, digest: str) -> str | None:
        """The image with a path and SHA-256, of the data set or the files; None if there is none.

        Files have short names here, so that the path alone may refer to another file.
        """
        return next((image for image in self._by_path[path] if self._digest(image) == digest), None)

    def _digest(self, image: str) -> str | None:
        try:
            return sha256_of(self.content(image))
        except DataError:
            return None

    def content(self, image: str) -> bytes:
        """The bytes of one of the data set's images or of the files, as they are stored.

        Raises:
            RefusedError: there is no such image.
            UnreadableImageError: its file does not exist any more.
        """
        kind, number = self._kind_and_number(image)
        if kind == "file":
            return read_content(Path(self._files[number]))
        assert self._dataset is not None
        return self._dataset.source.content(number)

    @cached_property
    def _by_path(self) -> defaultdict[str, list[str]]:
        images: defaultdict[str, list[str]] = defaultdict(list)
        for number, path in enumerate(self._dataset.paths if self._dataset is not None else ()):
            images[path].append(f"data-{number}")
        for number, name in enumerate(self._names):
            images[name].append(f"file-{number}")
        return images

    def page(self, split: str | None, label: int | None, offset: int, limit: int) -> Gallery:
        """Some images of a split, or of one class of it.

        Without a split, it is the split of the first image.

        Raises:
            RefusedError: there is no such split.
        """
        if split is None:
            split = FILES if self.first is None else self.picture(self.first).split
        if split == FILES:
            images = [] if label is not None else list(self._unlabelled())
            total, some = len(images), images[offset : offset + limit]
        elif split in self._places:
            assert self._dataset is not None
            places = self._places[split]
            if label is not None:
                fits = self._dataset.labels[places] == label
                places = places[fits] if self._labelled else places[:0]
            total, some = len(places), [f"data-{i}" for i in places[offset : offset + limit]]
        else:
            raise RefusedError(
                404, f"there is no split of that name; there are {', '.join(self._places)}"
            )
        pictures = [self.picture(image) for image in some]
        return Gallery(
            splits=self.splits, split=split, total=total, offset=offset, pictures=pictures
        )

    def checked(self, name: str, content: bytes, preprocess: Callable[[Pixels], object]) -> Dropped:
        """An uploaded file, after a check that it is an image that the network can process.

        Raises:
            UnreadableImageError: it is not an image, is damaged, or has too many pixels.
            ConvscopeError: raised by `preprocess`.
        """
        name = printable(name) or "dropped image"
        preprocess(decode_image(content, 3, name=name))
        return Dropped(name, content)

    def drop(self, dropped: Dropped) -> str:
        """Stores an uploaded file; the oldest are deleted when all together are too large."""
        key = sha256_of(dropped.content)[:32]
        self._dropped.pop(key, None)
        self._dropped[key] = dropped
        while len(self._dropped) > 1 and self.dropped_bytes > self._max_dropped:
            self._dropped.popitem(last=False)
        return f"drop-{key}"

    @property
    def dropped_bytes(self) -> int:
        """The size of all stored uploads in bytes."""
        return sum(len(dropped.content) for dropped in self._dropped.values())

    def _unlabelled(self) -> Iterator[str]:
        yield from (f"file-{number}" for number in range(len(self._files)))
        yield from (f"drop-{key}" for key in list(self._dropped))

    def _drop(self, key: str) -> Dropped:
        dropped = self._dropped.get(key)
        if dropped is None:
            raise RefusedError(404, "this dropped image is no longer here; drop it again")
        return dropped

    def _kind_and_number(self, image: str) -> tuple[str, int]:
        match = _NAME.fullmatch(image)
        count = 0
        if match:
            files = match[1] == "file"
            count = len(self._files) if files else len(self._dataset or ())
        if not match or int(match[2]) >= count:
            raise RefusedError(404, "there is no image of that name")
        return match[1], int(match[2])

    def _first_split(self, requested: str | None) -> str | None:
        if requested is not None and requested not in self._places:
            there = ", ".join(self._places) or "none"
            raise DataError(
                f"--split {requested}: the data set has no such split; there are {there}"
            )
        order = [requested] if requested else [*_BEGIN_WITH, *self._places]
        return next((name for name in order if name in self._places), None)


def _short_names(files: Sequence[str]) -> list[str]:
    """The files' paths below their common folder, which distinguish them."""
    if not files:
        return []
    paths = [Path(os.path.abspath(file)) for file in files]  # noqa: PTH100 (links stay links)
    common = Path(os.path.commonpath([path.parent for path in paths]))
    return [printable(str(path.relative_to(common))) for path in paths]
