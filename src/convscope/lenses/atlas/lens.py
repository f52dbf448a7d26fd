"""The lens `atlas`."""

from pathlib import Path
from typing import TYPE_CHECKING

from convscope.contract.lens import Lens

if TYPE_CHECKING:
    from convscope.explorer.subject import Subject
    from convscope.lenses.atlas.files import Atlas


def _stored(run: Path, subject: "Subject") -> "Atlas | None":
    from convscope.contract.stored import newest
    from convscope.lenses.atlas.files import ABOUT, read_atlas

    return newest(run, "atlas", ABOUT, read_atlas, lambda atlas: atlas.about.weights, subject.graph)


LENS = Lens(
    "atlas",
    "run",
    command="convscope.lenses.atlas.command:atlas",
    routes="convscope.lenses.atlas.routes:routes",
    stored=_stored,
    page=True,
)
