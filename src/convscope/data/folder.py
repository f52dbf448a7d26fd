"""Read a data set from class folders, with or without split folders above them."""

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
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

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

# Homoglyphs: Cyrillic and Greek letters that are printed like Latin ones.
_HOMOGLYPHS = str.maketrans(
    "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0458\u0455\u04bb\u03bf\u03b1\u03bd\u03c1\u03b9\u0442\u043a\u043c",
    "aceopxyijshoavpitkm",
)


def read_folder(root: Path, name: str) -> Dataset:
    """Reads `root` as `CLASS/image` or `SPLIT/CLASS/image`; classes may have subfolders.

    A folder is a split if its name is in `SPLIT_FOLDERS`, it contains folders and no images, and
    one of the splits is a training split. Classes are matched by name in Unicode's composed form
    (NFC), because systems differ in how they store accents. Hidden files and folders are skipped;
    files with other endings are counted as ignored.

    Raises:
        DataError: no class folders, a class without training images, two folders for one class or
            split, a split with unknown classes, or splits without a training split.
    """
    folders = _folders(root)
    split_folders: dict[str, Path] = {}
    for folder in filter(_is_split, folders):
        first = split_folders.setdefault(SPLIT_FOLDERS[folder.name.lower()], folder)
        if first != folder:
            raise DataError(f"{first} and {folder} are the same split; keep one of them")
    if "train" not in split_folders:
        _check_train_is_present(root, folders, split_folders)
        _check_splits_without_images(folders)
        entries, classes, ignored = _read_classes(root, "")
    else:
        others = [f.name for f in folders if f not in split_folders.values()]
        if others:
            splits = ", ".join(f.name for f in split_folders.values())
            raise DataError(
                f"{root} mixes split folders ({splits}) with other folders "
                f"({', '.join(others)}); put the class folders into the splits"
            )
        entries, classes, ignored = _read_splits(split_folders)
    if not classes:
        raise DataError(
            f"{root} has no class folders; put the images of each class into a separate folder, "
            f"such as {root}/cat/1.jpg"
        )
    label = {class_name: i for i, class_name in enumerate(classes)}
    names = [file.relative_to(root).as_posix() for file, _, _ in entries]
    paths = tuple(map(_printable, names))
    return Dataset(
        name=name,
        class_names=tuple(classes),
        paths=paths,
        labels=np.array([label[class_name] for _, class_name, _ in entries], dtype=np.int64),
        splits=np.array([split for _, _, split in entries], dtype="<U5"),
        source=FileSource(root, paths, frozenset(paths) - frozenset(names)),
        channels=3,
        ignored=ignored,
    )


def has_classes(root: Path) -> bool:
    """Whether `root` must be read as class folders: it contains folders, or no images."""
    return bool(_folders(root)) or not any(f.suffix.lower() in SUFFIXES for f in _files(root))


def read_unlabelled(root: Path, name: str) -> Dataset:
    """The images in `root` and its subfolders, without classes: every label is -1."""
    names = [f.relative_to(root).as_posix() for f in _files(root) if f.suffix.lower() in SUFFIXES]
    paths = tuple(map(_printable, names))
    return Dataset(
        name=name,
        class_names=(),
        paths=paths,
        labels=np.full(len(paths), -1, dtype=np.int64),
        splits=np.full(len(paths), "", dtype="<U5"),
        source=FileSource(root, paths, frozenset(paths) - frozenset(names)),
        channels=3,
    )


Labelled = tuple[Path, str, str]


def _read_splits(split_folders: dict[str, Path]) -> tuple[list[Labelled], list[str], int]:
    entries, known, ignored = _read_classes(split_folders["train"], "train")
    for split, folder in split_folders.items():
        if split == "train":
            continue
        more, classes, skipped = _read_classes(folder, split)
        unknown = sorted(set(classes) - set(known))
        if unknown:
            raise DataError(
                f"{folder} has classes that {split_folders['train']} lacks: {', '.join(unknown)}; "
                "rename or remove them (classes are matched by folder name)"
                + _suggestions(unknown, known)
            )
        entries += more
        ignored += skipped
    return entries, known, ignored


def _suggestions(unknown: Sequence[str], known: Sequence[str]) -> str:
    """A line "did you mean" for each unknown name that is similar to a known one."""
    lines = []
    for name in unknown:
        similar = [other for other in known if normalised_name(other) == normalised_name(name)]
        similar = similar or get_close_matches(name, known, n=1, cutoff=0.75)
        if similar:
            match = similar[0]
            lines.append(f"{name!r}: did you mean {match!r}?" + _code_points(name, match))
    return "\n" + listing(lines) if lines else ""


def _code_points(name: str, other: str) -> str:
    """The code points in which two names differ that are printed alike; "" for other names."""
    if len(name) != len(other):
        return ""
    pairs = [(a, b) for a, b in zip(name, other, strict=True) if a != b]
    if any(a.isascii() and b.isascii() for a, b in pairs) or len(pairs) > 3:
        return ""
    return " (" + ", ".join(f"U+{ord(a):04X} is not U+{ord(b):04X}" for a, b in pairs) + ")"


def normalised_name(name: str) -> str:
    """A name without case, blanks, accents and separators, and with Latin letters for homoglyphs.

    >>> normalised_name("Hot-dog ") == normalised_name("hot_dog")
    True
    """
    plain = unicodedata.normalize("NFKD", name).casefold().translate(_HOMOGLYPHS)
    return "".join(c for c in plain if c.isalnum())


def _read_classes(root: Path, split: str) -> tuple[list[Labelled], list[str], int]:
    """The labelled files below `root`, the class names, and the number of ignored files."""
    entries: list[Labelled] = []
    empty: list[str] = []
    classes: dict[str, Path] = {}
    ignored = 0
    for folder in _folders(root):
        name = unicodedata.normalize("NFC", folder.name)
        first = classes.setdefault(name, folder)
        if first != folder:
            raise DataError(
                f"{root} has two folders named {name}: {first.name!a} and {folder.name!a} are "
                "the same name in Unicode; put their images into one of them"
            )
        if _UNPRINTABLE.search(str(folder)):
            reason = "control characters or bytes that are not UTF-8 in the name"
            raise DataError(f"{str(folder)!r}: {reason}; rename it")
        files = list(_files(folder))
        images = [file for file in files if file.suffix.lower() in SUFFIXES]
        ignored += len(files) - len(images)
        entries += [(file, name, split) for file in images]
        if not images and split in ("", "train"):
            empty.append(name)
    if empty:
        raise DataError(
            f"{root} has classes without images (endings: {', '.join(SUFFIXES)}):\n"
            f"{listing(empty)}\nfill or remove these folders"
        )
    return entries, list(classes), ignored


def _check_train_is_present(
    root: Path, folders: Sequence[Path], split_folders: dict[str, Path]
) -> None:
    """Rejects splits without a training split: they would become classes named "val" and "test".

    Raises:
        DataError: all folders are splits; or there is a split, and beside it a `train` folder that
            is not a split or folders with the split's class names.
    """
    if not split_folders:
        return
    others = [folder for folder in folders if folder not in split_folders.values()]
    names = ", ".join(folder.name for folder in split_folders.values())
    broken = [f for f in others if SPLIT_FOLDERS.get(f.name.lower()) == "train"]
    if broken:
        raise DataError(
            f"{root} has the splits {names}, but {broken[0]} has images beside its class "
            "folders, or no class folders; put each image into the folder of its class"
        )
    if not others:
        raise DataError(
            f"{root} has the splits {names} but no train folder; add it, or give only one split, "
            f"such as {next(iter(split_folders.values()))}"
        )
    inside = {normalised_name(f.name) for split in split_folders.values() for f in _folders(split)}
    if inside & {normalised_name(folder.name) for folder in others}:
        raise DataError(
            f"{root} has the splits {names} beside class folders "
            f"({', '.join(f.name for f in others)}); move these into {root / 'train'}"
        )


def _check_splits_without_images(folders: Sequence[Path]) -> None:
    """Rejects split folders with stray images: they would become classes.

    Raises:
        DataError: all folders have names of splits, and one contains both folders and images.
    """
    if not all(folder.name.lower() in SPLIT_FOLDERS for folder in folders):
        return  # "train" may be a class, for example beside "bus"
    for folder in folders:
        if folder.name.lower() in SPLIT_FOLDERS and _folders(folder) and not _is_split(folder):
            raise DataError(
                f"{folder} has the name of a split and contains folders and images; put each image "
                f"into the folder of its class, or rename {folder} if it is a class"
            )


def _is_split(folder: Path) -> bool:
    if folder.name.lower() not in SPLIT_FOLDERS or not _folders(folder):
        return False
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not _hidden(entry.name)]
    return not any(Path(name).suffix.lower() in SUFFIXES for name in names)


def _folders(root: Path) -> list[Path]:
    folders = [p for p in root.iterdir() if p.is_dir() and not _hidden(p.name)]
    for path in folders:
        if path.is_symlink() and root.resolve().is_relative_to(path.resolve()):
            raise DataError(f"{path} is a link that leads back to {root}; remove it")
    return sorted(folders, key=lambda p: (unicodedata.normalize("NFC", p.name), p.name))


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        for name in sorted(files):
            if not _hidden(name):
                path = Path(parent, name)
                # Pipes are left out: reading one may never end. Broken links are reported later.
                if path.is_file() or not path.exists():
                    yield path


def _printable(path: str) -> str:
    """A path that can be printed and stored: unprintable characters are escaped."""
    return _UNPRINTABLE.sub(lambda match: ascii(match[0])[1:-1], path)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini")
