"""`convscope shift`: what moving an image does to a run's answers, and to each of its layers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convscope.base.errors import ConvscopeError
from convscope.base.storage import safe_name

if TYPE_CHECKING:
    from convscope.lenses.shift.statistics import Estimate
    from convscope.lenses.shift.study import RunShift, ShiftStudy

_BORDERS = ("zero", "edge", "reflect", "circular")


def shift(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders, trained on the same data."),
    ],
    max_shift: Annotated[
        int, typer.Option(help="dx and dy go from minus this to this, in pixels of the input.")
    ] = 8,
    border: Annotated[
        str,
        typer.Option(help="What comes in: zero (black), edge, reflect or circular."),
    ] = "zero",
    full: Annotated[bool, typer.Option("--full", help="All test images, not 1,000.")] = False,
    data: Annotated[
        str | None, typer.Option(help="Other labelled images; by default the first run's own.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 64,
    out: Annotated[
        Path | None,
        typer.Option(help="A folder; by default RUN/shift/... of the first run.",
                     show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list, an entry a run.")] = False,
) -> None:  # fmt: skip
    """Move test images by every (dx, dy): what stays right, and how each layer answers.

    Several runs are compared on the same images.
    """
    if border not in _BORDERS:
        raise ConvscopeError(f"unknown --border {border!r}; there are {', '.join(_BORDERS)}")
    from convscope.base.device import default_device
    from convscope.console.output import StageBar, checked_folder, warn_trained_on
    from convscope.lenses.shift.compute import Border
    from convscope.lenses.shift.files import as_json as entries
    from convscope.lenses.shift.files import write_shift
    from convscope.lenses.shift.study import shift_study

    if out is not None:
        checked_folder(out)
    chosen: Border = border
    with StageBar() as bar:
        study = shift_study(
            runs, data=data, max_shift=max_shift, border=chosen, full=full, batch_size=batch,
            device=default_device(), progress=bar.show,
        )  # fmt: skip
    folder = out or runs[0] / "shift" / _stem(study, data, full)
    write_shift(folder, study)
    for run in study.runs:
        warn_trained_on(run.trained_on, study.images, f"{run.run}: ")
    if as_json:
        print(json.dumps(entries(study), allow_nan=False))
    else:
        _card(study, folder)


def _stem(study: "ShiftStudy", data: str | None, full: bool) -> str:
    """Which study it is: another one does not overwrite it."""
    parts = [] if data is None else [study.data]
    parts += [study.split, study.border, str(study.max_shift), *(["full"] if full else [])]
    parts += [run.run for run in study.runs[1:]]
    return safe_name("-".join(parts))


def _card(study: "ShiftStudy", folder: Path) -> None:
    from convscope.console.output import print_table

    print(
        f"{study.data} · {study.split} split, {study.images:,} of {study.of:,} images · "
        f"dx and dy from -{study.max_shift} to {study.max_shift} pixels of the input, "
        f"border {study.border} · 95 % intervals in brackets"
    )
    left = ["run", "network"]
    print_table(
        ["run", "network", "consistency", "right, unmoved", "right, all shifts",
         "class changes by 1 px", "probability moves by 1 px"],
        [_shifts(run) for run in study.runs], left,
    )  # fmt: skip
    for difference in study.differences:
        print(
            f"{difference.run} less {difference.than}, in points: "
            f"consistency {_points(difference.consistency)}, "
            f"right over all shifts {_points(difference.accuracy)}, "
            f"changed by 1 px {_points(difference.one_pixel_changed)}"
        )
    print()
    print_table(
        ["run", "parameters", "s an epoch", "right in training", "right in test", "gap in points",
         "first convolution", "dense twin"],
        [_fit(run) for run in study.runs], left,
    )  # fmt: skip
    print(
        "consistency: share of pairs of different shifts of an image with the same class, all "
        "pairs, mean over images"
    )
    print(f"figures, grids and the picture: {folder}\n\nnext:")
    print(f"  xdg-open {folder / 'shift.png'}")


def _shifts(run: "RunShift") -> Sequence[str]:
    table, pixel = run.table, run.table.one_pixel
    middle = table.max_shift
    return (
        run.run, run.network, _percent(table.consistency),
        f"{table.accuracy_grid[middle, middle]:.1%}", _percent(table.accuracy),
        _percent(pixel.changed), _percent(pixel.moved),
    )  # fmt: skip


def _fit(run: "RunShift") -> Sequence[str]:
    fit, first = run.fit, run.fit.first_convolution
    return (
        run.run, f"{fit.parameters:,}",
        "-" if fit.seconds_per_epoch is None else f"{fit.seconds_per_epoch:.1f}",
        "-" if fit.train is None else _percent(fit.train), _percent(fit.test),
        "-" if fit.gap is None else _points(fit.gap),
        "-" if first is None else f"{first.layer}: {first.parameters:,}",
        "-" if first is None else f"{first.dense_parameters:,}",
    )  # fmt: skip


def _percent(estimate: "Estimate") -> str:
    return f"{estimate.value:.1%} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _points(estimate: "Estimate") -> str:
    value, low, high = (100 * part for part in (estimate.value, estimate.low, estimate.high))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
