"""Class folders, with or without split folders above them."""

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

# Cyrillic and Greek letters that print as Latin ones.
_LIKE_LETTERS = str.maketrans(
    "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0458\u0455\u04bb\u03bf\u03b1\u03bd\u03c1\u03b9\u0442\u043a\u043c",
    "aceopxyijshoavpitkm",
)


def read_folder(root: Path, name: str) -> Dataset:
    """The data set in `root`: `CLASS/image` or `SPLIT/CLASS/image`; classes may have subfolders.

    A folder counts as a split if its name says so (`SPLIT_FOLDERS`), it holds folders and no
    images, and there is a training split among them. Classes are matched by name, in Unicode's
    composed form (NFC), since systems differ in how they store an accent. Hidden files and folders
    are passed over; files with other endings are counted as ignored.

    Raises:
        DataError: no class folders, a class without training images, two folders of one name, a
            split with unknown classes, or splits among which the training split is missing.
    """
    folders = _folders(root)
    found: dict[str, Path] = {}
    for folder in filter(_is_split, folders):
        twin = found.setdefault(SPLIT_FOLDERS[folder.name.lower()], folder)
        if twin != folder:
            raise DataError(f"{twin} and {folder} mean the same split; keep one of them")
    if "train" not in found:
        _refuse_lost_train(root, folders, found)
        _refuse_mixed_splits(folders)
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
    names = [file.relative_to(root).as_posix() for file, _, _ in entries]
    paths = tuple(map(_shown, names))
    return Dataset(
        name=name,
        class_names=tuple(classes),
        paths=paths,
        labels=np.array([place[class_name] for _, class_name, _ in entries], dtype=np.int64),
        splits=np.array([split for _, _, split in entries], dtype="<U5"),
        source=FileSource(root, paths, frozenset(paths) - frozenset(names)),
        channels=3,
        ignored=ignored,
    )


def has_classes(root: Path) -> bool:
    """Whether a folder has folders in it, or no images of its own: then they must be classes."""
    return bool(_folders(root)) or not any(f.suffix.lower() in SUFFIXES for f in _files(root))


def read_unlabelled(root: Path, name: str) -> Dataset:
    """The images that lie in `root`, sorted by name; no classes, every label -1."""
    names = [f.relative_to(root).as_posix() for f in _files(root) if f.suffix.lower() in SUFFIXES]
    paths = tuple(map(_shown, names))
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
                + _meant(unknown, known)
            )
        entries += more
        ignored += skipped
    return entries, known, ignored


def _meant(unknown: Sequence[str], known: Sequence[str]) -> str:
    """What the unknown names may have been meant to be, a line each; "" where nothing is like."""
    lines = []
    for name in unknown:
        like = [other for other in known if plain_name(other) == plain_name(name)]
        like = like or get_close_matches(name, known, n=1, cutoff=0.75)
        if like:
            lines.append(f"{name!r}: did you mean {like[0]!r}?" + _code_points(name, like[0]))
    return "\n" + listing(lines) if lines else ""


def _code_points(name: str, other: str) -> str:
    """Where two names look the same on paper: the letters that differ, by number."""
    if len(name) != len(other):
        return ""
    pairs = [(a, b) for a, b in zip(name, other, strict=True) if a != b]
    if any(a.isascii() and b.isascii() for a, b in pairs) or len(pairs) > 3:
        return ""
    return " (" + ", ".join(f"U+{ord(a):04X} is not U+{ord(b):04X}" for a, b in pairs) + ")"


def plain_name(name: str) -> str:
    """A name without what people overlook: case, blanks, accents, separators, like letters.

    >>> plain_name("Hot-dog ") == plain_name("hot_dog")
    True
    """
    plain = unicodedata.normalize("NFKD", name).casefold().translate(_LIKE_LETTERS)
    return "".join(c for c in plain if c.isalnum())


def _classes(root: Path, split: str) -> tuple[list[Labelled], list[str], int]:
    entries: list[Labelled] = []
    empty: list[str] = []
    classes: dict[str, Path] = {}
    ignored = 0
    for folder in _folders(root):
        name = unicodedata.normalize("NFC", folder.name)
        twin = classes.setdefault(name, folder)
        if twin != folder:
            raise DataError(
                f"{root} has two folders named {name}: {twin.name!a} and {folder.name!a} are "
                "written the same; put their images into one of them"
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


def _refuse_lost_train(root: Path, folders: Sequence[Path], found: dict[str, Path]) -> None:
    """Splits without a training split must not become classes named "val" and "test".

    Raises:
        DataError: all folders are splits, or one is and its classes or a `train` stand beside it.
    """
    if not found:
        return
    others = [folder for folder in folders if folder not in found.values()]
    names = ", ".join(folder.name for folder in found.values())
    broken = [f for f in others if SPLIT_FOLDERS.get(f.name.lower()) == "train"]
    if broken:
        raise DataError(
            f"{root} has the splits {names}, and {broken[0]} holds images beside its class "
            "folders, or no class folders; put each image into the folder of its class"
        )
    if not others:
        raise DataError(
            f"{root} has the splits {names} but no train folder; add it, or give one split by "
            f"itself, such as {next(iter(found.values()))}"
        )
    inside = {plain_name(f.name) for split in found.values() for f in _folders(split)}
    if inside & {plain_name(folder.name) for folder in others}:
        raise DataError(
            f"{root} has the splits {names} beside class folders "
            f"({', '.join(f.name for f in others)}); move these into {root / 'train'}"
        )


def _refuse_mixed_splits(folders: Sequence[Path]) -> None:
    """Stray images beside the class folders must not make classes of the splits.

    Raises:
        DataError: all folders have the names of splits, and one holds folders and images.
    """
    if not all(folder.name.lower() in SPLIT_FOLDERS for folder in folders):
        return  # a class of trains, beside one of buses
    for folder in folders:
        if folder.name.lower() in SPLIT_FOLDERS and _folders(folder) and not _is_split(folder):
            raise DataError(
                f"{folder} has the name of a split and holds folders and images; put each image "
                f"into the folder of its class, or rename {folder} where it is a class"
            )


def _is_split(folder: Path) -> bool:
    if folder.name.lower() not in SPLIT_FOLDERS or not _folders(folder):
        return False
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not _hidden(entry.name)]
    return not any(Path(name).suffix.lower() in SUFFIXES for name in names)


def _folders(root: Path) -> list[Path]:
    found = [p for p in root.iterdir() if p.is_dir() and not _hidden(p.name)]
    for path in found:
        if path.is_symlink() and root.resolve().is_relative_to(path.resolve()):
            raise DataError(f"{path} is a link that leads back to {root}; remove it")
    return sorted(found, key=lambda p: (unicodedata.normalize("NFC", p.name), p.name))


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        for name in sorted(files):
            if not _hidden(name):
                path = Path(where, name)
                if path.is_file() or not path.exists():  # a pipe may never end; a broken link shows
                    yield path


def _shown(path: str) -> str:
    """A path that can be printed and stored: odd characters by their codes."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], path)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini")
