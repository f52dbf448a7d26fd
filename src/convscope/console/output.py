"""What commands print: tables, progress bars, warnings; and the folder that `--out` names."""

import sys
from collections.abc import Iterable, Sequence
from operator import length_hint
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from convscope.base.errors import ConvscopeError
from convscope.console.source import SEED, is_run

T = TypeVar("T")

Source = Annotated[
    str,
    typer.Argument(
        metavar="MODEL_OR_RUN",
        help="A run folder; or, untrained, a name from `convscope models` or your own "
        "package.module:function.",
    ),
]


Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def named(source: str) -> str:
    """The network's name in titles, which says whether it is untrained."""
    return stem(source) if is_run(source) else f"{source} (untrained, seed {SEED})"


def stem(source: str) -> str:
    """A run folder's own name, or the network's."""
    return Path(source).resolve().name if is_run(source) else source


def warn(text: str) -> None:
    """Prints a warning on stderr."""
    sys.stderr.write(f"convscope: warning: {text}\n")


def warn_untrained(source: str) -> None:
    """Warns of random weights, unless `source` is a run folder."""
    if not is_run(source):
        warn(
            f"{source} is untrained, its weights are random (seed {SEED}); give a run folder for a "
            "trained network"
        )


def warn_trained_on(count: int, images: int, about: str = "") -> None:
    """Warns if `count` of the `images` evaluated ones are training images of the run."""
    if count:
        warn(
            f"{about}{count:,} of the {images:,} images are identical to an image that the run was "
            "trained on; the metrics are too optimistic"
        )


def checked_folder(folder: Path) -> Path:
    """`folder`, if files can be written into it; it is not created yet.

    Raises:
        ConvscopeError: it, or a part of its path, is a file.
    """
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            raise ConvscopeError(f"--out {folder}: {part} is a file; give a folder")
    return folder


def progress(items: Iterable[T], what: str) -> Iterable[T]:
    """`items`, with a progress bar on a terminal; with a total if they have a length."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(
        items,
        what,
        length_hint(items) or None,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


class StageBar:
    """On a terminal, a progress bar for each stage of some work."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True, highlight=False)
        self._bar = Progress(console=console, transient=True, disable=not console.is_terminal)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> "StageBar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, stage: str, done: int, total: int) -> None:
        """Sets how much of a stage is done."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bar.add_task(stage, total=total)
        self._bar.update(self._tasks[stage], completed=done)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str]) -> None:
    """Prints a table. The columns in `left` are left-aligned, the others right-aligned."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)  # a file has no width to wrap at
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
