"""`convscope reproduce`: trains a run again and compares the results."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convscope.base.errors import ConvscopeError
from convscope.console.output import Json

if TYPE_CHECKING:
    from convscope.runs.reproduce import Comparison


def reproduce(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="The second run's folder; by default RUN-reproduced.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a run again and check that its results are the same.

    The second run uses nothing but RUN's folder and its data. Results are compared bit by bit; the
    exit code is 1 if any differs. A second run that was stopped is continued; a finished one is
    only compared.
    """
    from convscope.cli.show import TerminalView
    from convscope.cli.train import run_in
    from convscope.data.catalog import check_outside
    from convscope.runs.environment import changes_since
    from convscope.runs.folder import (
        read_recipe,
        read_replay,
        read_status,
        recorded_splits,
    )
    from convscope.runs.reproduce import compare_runs

    if read_status(run)["status"] != "finished":
        raise ConvscopeError(
            f"{run} is not finished; finish it with: convscope train --resume {run}"
        )
    run = run.resolve()
    recipe, folder = read_recipe(run), out or run.with_name(f"{run.name}-reproduced")
    if folder.resolve() == run:
        raise ConvscopeError(f"--out {out} is the run itself; choose another folder")
    view = nullcontext(lambda event: None) if as_json else TerminalView()
    if not (folder / "run.json").exists():
        check_outside(folder, recipe.data.source)
        splits = recorded_splits(run)
        run_in(folder, recipe, replay=read_replay(run), splits=splits, view=view)
    elif read_recipe(folder) != recipe:
        raise ConvscopeError(f"--out {folder} is a run with another recipe; choose another folder")
    elif read_status(folder)["status"] != "finished":
        run_in(folder, None, view=view)
    parts = compare_runs(run, folder)
    differing = changes_since(run / "environment.json")
    if as_json:
        rows = [{"part": p.part, "run": p.first, "again": p.second, "same": p.same} for p in parts]
        print(json.dumps({"run": str(folder), "parts": rows, "changes": differing}))
    else:
        _show(run, folder, parts, differing)
    if not all(part.same for part in parts):
        sys.exit(1)


def _show(run: Path, folder: Path, parts: "list[Comparison]", differing: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("SHA-256 of", run.name, folder.name, ""):
        table.add_column(heading)
    for part in parts:
        verdict = "[green]same[/]" if part.same else "[red]differs[/]"
        table.add_row(part.part, part.first[:16], part.second[:16], verdict)
    console.print()
    console.print(table)
    if all(part.same for part in parts):
        console.print("\nreproduced: every bit is the same")
    else:
        console.print("\nnot reproduced")
        for change in differing:
            console.print(f"  {change}", markup=False)
        if not differing:
            console.print(
                "  code, libraries and processor are the same, as far as they were recorded"
            )
