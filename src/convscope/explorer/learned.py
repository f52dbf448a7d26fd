"""What a run's folder already holds for the explorer: its atlas and shift study; runs beside it."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convscope.base.errors import ConvscopeError
from convscope.base.storage import read_json
from convscope.explorer.subject import Subject
from convscope.graph.graph import Graph
from convscope.lenses.atlas.files import ABOUT, Atlas, read_atlas

_FIGURES = "metrics.json"


@dataclass(frozen=True, eq=False)
class Learned:
    """What stands beside a subject.

    Attributes:
        run: the folder, for a command to type; None for a network by name.
        atlas: of the same weights; None where there is none.
        study: an entry a run, as `convscope shift --json` prints them; empty where there is none.
        beside: subjects that see the same pixels and classes, to answer side by side.
    """

    run: str | None = None
    atlas: Atlas | None = None
    study: tuple[dict[str, Any], ...] = ()
    beside: tuple[Subject, ...] = ()


def learned_of(run: Path, graph: Graph, beside: Sequence[Subject] = ()) -> Learned:
    """What the run's folder holds: the newest atlas and the newest shift study of these weights.

    What is unreadable or of other weights is told on stderr and left out.
    """
    # As it was typed; of an absolute path the page says no more than the name.
    name = run.name if run.is_absolute() else str(run)
    return Learned(name, _atlas(run, graph), _study(run, graph), tuple(beside))


def _newest(folder: Path, name: str) -> list[Path]:
    """The folders in one that have a file of that name, the newest first."""
    found = [(path.stat().st_mtime, path.parent) for path in folder.glob(f"*/{name}")]
    return [path for _, path in sorted(found, reverse=True)]


def _atlas(run: Path, graph: Graph) -> Atlas | None:
    for folder in _newest(run / "atlas", ABOUT):
        try:
            found = read_atlas(folder)
        except ConvscopeError as error:
            _left_out(str(error))
            continue
        if found.is_of(graph):
            return found
        _left_out(f"{folder} is of other weights; make it anew with: convscope atlas {run}")
    return None


def _study(run: Path, graph: Graph) -> tuple[dict[str, Any], ...]:
    weights = graph.digest()
    for folder in _newest(run / "shift", _FIGURES):
        try:
            entries = read_json(folder / _FIGURES)
            if not entries or not all(
                isinstance(one, dict) and "accuracy_grid" in one for one in entries
            ):
                _left_out(f"{folder / _FIGURES} is no shift study")
            elif entries[0].get("weights") == weights:
                return tuple(entries)
            else:
                _left_out(f"{folder} is of other weights; make it anew with: convscope shift {run}")
        except (ConvscopeError, TypeError) as error:
            _left_out(str(error))
    return ()


def _left_out(reason: str) -> None:
    sys.stderr.write(f"convscope: left out: {reason}\n")
