"""The lens `shift`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.contract.lens import Lens

if TYPE_CHECKING:
    from convscope.explorer.subject import Subject


def _stored(run: Path, subject: "Subject") -> list[dict[str, Any]] | None:
    from convscope.contract.stored import newest
    from convscope.lenses.shift.files import FIGURES, read_shift

    return newest(
        run, "shift", FIGURES, read_shift, lambda study: study[0].get("weights"), subject.graph
    )


LENS = Lens(
    "shift",
    "runs",
    command="convscope.lenses.shift.command:shift",
    routes="convscope.lenses.shift.routes:routes",
    stored=_stored,
    page=True,
)
