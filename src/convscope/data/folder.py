"""Class folders, with or without split folders above them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from convscope.base.errors import DataError, listing
from convscope.data.dataset import Dataset, FileSource
from convscope.images.files import SUFFIXES

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def read_folder(root: Path, name: str) -> Dataset:
    """The data set in `root`: `CLASS/image` or `SPLIT/CLASS/image`; classes may have subfolders.

    A folder counts as a split if its name says so (`SPLIT_FOLDERS`), it holds folders and no
    images, and there is a training split among them. Hidden files and folders are passed over;
    files with other endings are counted as ignored.

    Raises:
        DataError: no class folders, an empty class, or a split with unknown classes.
    """
    folders = _folders(root)
    found: dict[str, Path] = {}
    for folder in filter(_is_split, folders):
        twin = found.setdefault(SPLIT_FOLDERS[folder.name.lower()], folder)
        if twin != folder:
            raise DataError(f"{twin} and {folder} mean the same split; keep one of them")
    if "train" not in found:
        entries, classes, ignored = _classes(root, "")
    else:
        others = [f.name for f in folders if f not in found.values()]
        if others:
            raise DataError(
                f"{root} mixes split folders ({', '.join(f.name for f in found.values())}) with "
                f"other folders ({', '.join(others)}); keep class folders inside the splits"
            )
        entries, classes, ignored = _splits(found)
    if not classes:
        raise DataError(
            f"{root} has no class folders; put the images of each class into a folder of its own, "
            f"such as {root}/cat/1.jpg"
        )
    place = {class_name: i for i, class_name in enumerate(classes)}
    paths = tuple(file.relative_to(root).as_posix() for file, _, _ in entries)
    return Dataset(
        name=name,
        class_names=tuple(classes),
        paths=paths,
        labels=np.array([place[class_name] for _, class_name, _ in entries], dtype=np.int64),
        splits=np.array([split for _, _, split in entries], dtype="<U5"),
        source=FileSource(root, paths),
        channels=3,
        ignored=ignored,
    )


Labelled = tuple[Path, str, str]


def _splits(found: dict[str, Path]) -> tuple[list[Labelled], list[str], int]:
    entries, known, ignored = _classes(found["train"], "train")
    for split, folder in found.items():
        if split == "train":
            continue
        more, classes, skipped = _classes(folder, split)
        unknown = sorted(set(classes) - set(known))
        if unknown:
            raise DataError(
                f"{folder} has classes that {found['train']} has not: {', '.join(unknown)}; "
                "rename or remove them (classes are matched by folder name)"
            )
        entries += more
        ignored += skipped
    return entries, known, ignored


def _classes(root: Path, split: str) -> tuple[list[Labelled], list[str], int]:
    entries: list[Labelled] = []
    empty: list[str] = []
    classes: list[str] = []
    ignored = 0
    for folder in _folders(root):
        files = list(_files(folder))
        images = [file for file in files if file.suffix.lower() in SUFFIXES]
        ignored += len(files) - len(images)
        entries += [(file, folder.name, split) for file in images]
        classes.append(folder.name)
        if not images:
            empty.append(folder.name)
    if empty:
        raise DataError(
            f"{root} has classes without images (endings: {', '.join(SUFFIXES)}):\n"
            f"{listing(empty)}\nfill or remove these folders"
        )
    return entries, classes, ignored


def _is_split(folder: Path) -> bool:
    if folder.name.lower() not in SPLIT_FOLDERS or not _folders(folder):
        return False
    with os.scandir(folder) as entries:
        return not any(Path(entry.name).suffix.lower() in SUFFIXES for entry in entries)


def _folders(root: Path) -> list[Path]:
    found = [p for p in root.iterdir() if p.is_dir() and not _hidden(p.name)]
    for path in found:
        if path.is_symlink() and root.resolve().is_relative_to(path.resolve()):
            raise DataError(f"{path} is a link that leads back to {root}; remove it")
    return sorted(found, key=lambda p: p.name)


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        for name in sorted(files):
            if not _hidden(name):
                path = Path(where, name)
                if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", str(path)):
                    reason = "control characters or bytes that are not UTF-8 in the name"
                    raise DataError(f"{str(path)!r}: {reason}; rename it")
                if path.is_file() or not path.exists():  # a pipe may never end; a broken link shows
                    yield path


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini")
