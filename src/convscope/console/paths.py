"""Image files as a command line names them: files, folders, globs, standard input."""

import glob
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from convscope.console.output import warn
from convscope.images.files import SUFFIXES

_MOST_KINDS = 5


@dataclass
class _Skipped:
    """What the arguments name and no image is: globs without a match, other files of folders."""

    globs: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)


def image_paths(arguments: Sequence[str]) -> tuple[list[str], int]:
    """The files that the arguments name, and the number of globs that match nothing.

    Of a folder these are the files with the ending of an image, sorted; a link whose target is gone
    is one of them. What is left out is counted in a warning, hidden files too.
    """
    skipped = _Skipped()
    files = list(_files(arguments, skipped))
    for pattern in skipped.globs:
        warn(f"no file matches {pattern}")
    if skipped.kinds:
        kinds = [f"{count:,} {kind}" for kind, count in skipped.kinds.most_common(_MOST_KINDS)]
        more = ", ..." if len(skipped.kinds) > _MOST_KINDS else ""
        warn(
            f"{skipped.kinds.total():,} files in folders are hidden or do not have the ending of "
            f"an image, and were left out ({', '.join(kinds)}{more})"
        )
    return files, len(skipped.globs)


def _files(arguments: Sequence[str], skipped: _Skipped) -> Iterator[str]:
    for argument in arguments:
        path = Path(argument)
        if argument == "-":
            yield from (line.rstrip("\r\n") for line in sys.stdin if line.strip())
        elif path.is_dir():
            yield from _images_in(path, skipped)
        elif path.exists() or path.is_symlink() or not glob.has_magic(argument):
            yield argument
        else:
            matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 (as the shell's)
            if not matches:
                skipped.globs.append(argument)
            yield from _files([match for match in matches if match != "-"], skipped)


def _images_in(folder: Path, skipped: _Skipped) -> Iterator[str]:
    for path in sorted(folder.rglob("*"), key=str):
        if path.is_dir():
            continue
        if path.name.startswith("."):
            skipped.kinds["hidden"] += 1
        elif path.suffix.lower() in SUFFIXES:
            yield str(path)
        else:
            skipped.kinds[path.suffix.lower() or "without an ending"] += 1
