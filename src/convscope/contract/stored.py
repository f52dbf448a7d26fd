"""The newest study in a run folder that was made with the network's current weights."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from convscope.base.errors import ConvscopeError
from convscope.graph.graph import Graph

T = TypeVar("T")


def newest(
    run: Path,
    name: str,
    file: str,
    read: Callable[[Path], T],
    weights_of: Callable[[T], str | None],
    graph: Graph,
) -> T | None:
    """The newest study of these weights in `RUN/NAME/*/FILE`; None where there is none.

    A study that cannot be read or is of other weights is named on stderr and left out.

    Args:
        run: the run folder.
        name: of the lens: its folder in the run, and its command.
        file: the file in a study's folder that marks it as complete.
        read: the study in a folder; raises `ConvscopeError`.
        weights_of: `Graph.digest` of the network that the study was made with.
        graph: of the network.
    """
    studies = [(path.stat().st_mtime, path.parent) for path in (run / name).glob(f"*/{file}")]
    for _, folder in sorted(studies, reverse=True):
        try:
            study = read(folder)
        except ConvscopeError as error:
            sys.stderr.write(f"convscope: left out: {error}\n")
            continue
        if weights_of(study) == graph.digest():
            return study
        sys.stderr.write(
            f"convscope: left out: {folder} is of other weights; compute it again with: "
            f"convscope {name} {run}\n"
        )
    return None
