"""What the commands that write a folder of sheets share."""

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
    """The network as sheets name it: an untrained one must not be taken for a trained one."""
    return stem(source) if is_run(source) else f"{source} (untrained, seed {SEED})"


def stem(source: str) -> str:
    """A run folder's own name, or the network's."""
    return Path(source).resolve().name if is_run(source) else source


def warn_untrained(source: str) -> None:
    """Says loudly that a network's weights are random, where they are."""
    if not is_run(source):
        sys.stderr.write(
            f"convscope: careful: {source} is untrained: these are random weights (seed {SEED}); "
            "give a run folder to see a trained network\n"
        )


def warn_trained_on(count: int, images: int, about: str = "") -> None:
    """Says loudly that figures are of images that a run was trained on, where they are."""
    if count:
        sys.stderr.write(
            f"convscope: careful: {about}{count:,} of the {images:,} images have the content of an "
            "image that the run was trained on; the figures are too good\n"
        )


def checked_folder(folder: Path) -> Path:
    """`folder`, where files can be put in it; nothing is made yet.

    Raises:
        ConvscopeError: it, or a part of its path, is a file.
    """
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            raise ConvscopeError(f"--out {folder}: {part} is a file; give a folder")
    return folder


def progress(items: Iterable[T], what: str) -> Iterable[T]:
    """`items`, with a bar on a terminal; without a total where they have no length."""
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
    """Progress of work in stages, a line each, on a terminal."""

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
        """What is done of a stage."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bar.add_task(stage, total=total)
        self._bar.update(self._tasks[stage], completed=done)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str]) -> None:
    """Rows below their columns' names; those in `left` start at the left."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)  # a file has no edge to fold at
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
