"""The lens `shift`: how predictions and each layer change when the image is shifted."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from convscope.contract.lens import Answer, Lens, Params, Progress, Table
from convscope.images.borders import Border
from convscope.lenses.shift.result import ShiftDifference, ShiftResult, ShiftRun

if TYPE_CHECKING:
    from convscope.explorer.subject import Subject
    from convscope.lenses.shift.study import ShiftStudy

_IMAGES = 1_000


class ShiftParams(Params):
    """Which shifts of which images a study takes."""

    max_shift: int = Field(
        8, description="dx and dy go from minus this to this, in pixels of the input."
    )
    border: Border = Field(
        Border.ZERO,
        description="How empty pixels are filled: zero (black), edge, reflect or wrap.",
    )
    images: int = Field(_IMAGES, ge=1, description="How many test images, at most.")
    full: bool = Field(False, description="All test images instead.")
    data: str | None = Field(
        None, description="Other labelled images; by default the first run's own."
    )
    batch: int = Field(64, ge=1, description="Images at a time.")


def _study(
    runs: Sequence[Path], params: ShiftParams, out: Path | None, progress: Progress
) -> Answer[ShiftResult]:
    from convscope.base.device import default_device
    from convscope.console.output import warn, warn_trained_on
    from convscope.evaluation.evaluate import note_on
    from convscope.lenses.shift.files import result_of, write_study
    from convscope.lenses.shift.study import shift_study

    study = shift_study(
        runs, data=params.data, max_shift=params.max_shift, border=params.border,
        limit=None if params.full else params.images, batch_size=params.batch,
        device=default_device(), progress=progress,
    )  # fmt: skip
    result = result_of(study)
    folder = out or runs[0] / "shift" / _stem(study, params)
    write_study(folder, study, result)
    if params.data is None and (note := note_on(study.split)):
        warn(note)
    for run in study.runs:
        warn_trained_on(run.trained_on, study.images, f"{run.run}: ")
    return Answer(result, value=study, folder=folder)


def _stem(study: "ShiftStudy", params: ShiftParams) -> str:
    """Which study it is: another one does not overwrite it."""
    from convscope.base.storage import safe_name

    parts = [] if params.data is None else [study.data]
    parts += [study.split, study.border, str(study.max_shift)]
    if params.full:
        parts.append("full")
    elif params.images != _IMAGES:
        parts.append(f"{params.images}-images")
    return safe_name("-".join([*parts, *(run.run for run in study.runs[1:])]))


def _draw(answer: Answer[ShiftResult]) -> Iterator[tuple[str, bytes]]:
    from convscope.lenses.shift.files import PICTURE
    from convscope.lenses.shift.picture import shift_picture

    yield PICTURE, shift_picture(answer.value)


def _lines(answer: Answer[ShiftResult]) -> Iterator[str | Table]:
    study: ShiftStudy = answer.value
    runs = answer.result.root
    yield (
        f"{study.data} · {study.split} split, {study.images:,} of {study.of:,} images · "
        f"dx and dy from -{study.max_shift} to {study.max_shift} pixels of the input, "
        f"border {study.border} · 95 % intervals in brackets"
    )
    left = ("run", "network")
    yield Table(
        ["run", "network", "consistency", "accuracy, unshifted", "accuracy, all shifts",
         "class changes by 1 px", "probability changes by 1 px"],
        [_shifts(run) for run in runs], left,
    )  # fmt: skip
    yield from (_difference(run.run, run.difference) for run in runs if run.difference)
    yield ""
    yield Table(
        ["run", "parameters", "s per epoch", "training accuracy", f"{study.split} accuracy",
         "gap in points", "first convolution", "dense twin"],
        [_fit(run) for run in runs], left,
    )  # fmt: skip
    yield (
        "consistency: share of pairs of different shifts of an image with the same class, all "
        "pairs, mean over images"
    )
    yield f"metrics, grids and the picture: {answer.folder}\n\nnext:"
    yield f"  xdg-open {answer.folder}/shift.png"


def _shifts(run: ShiftRun) -> list[str]:
    pixel = run.one_pixel
    return [
        run.run, run.network, _percent(run.consistency, run.consistency_interval),
        f"{run.accuracy_unshifted:.1%}",
        _percent(run.accuracy_shifted, run.accuracy_shifted_interval),
        _percent(pixel.changed, pixel.changed_interval),
        _percent(pixel.moved, pixel.moved_interval),
    ]  # fmt: skip


def _difference(run: str, less: ShiftDifference) -> str:
    consistency = _points(less.consistency, less.consistency_interval)
    accuracy = _points(less.accuracy_shifted, less.accuracy_shifted_interval)
    changed = _points(less.one_pixel_changed, less.one_pixel_changed_interval)
    return (
        f"{run} less {less.than}, in points: consistency {consistency}, "
        f"accuracy over all shifts {accuracy}, changed by 1 px {changed}"
    )


def _fit(run: ShiftRun) -> list[str]:
    fit, first = run.fit, run.fit.first_convolution
    return [
        run.run, f"{fit.parameters:,}",
        "-" if fit.seconds_per_epoch is None else f"{fit.seconds_per_epoch:.1f}",
        _percent(fit.train_accuracy, fit.train_accuracy_interval),
        _percent(fit.test_accuracy, fit.test_accuracy_interval),
        _points(fit.gap, fit.gap_interval),
        "-" if first is None else f"{first.layer}: {first.parameters:,}",
        "-" if first is None else f"{first.dense_parameters:,}",
    ]  # fmt: skip


def _percent(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return "-"
    low, high = interval
    return f"{value:.1%} [{100 * low:.1f}, {100 * high:.1f}]"


def _points(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return "-"
    low, high = interval
    return f"{100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _stored(run: Path, subject: "Subject") -> ShiftResult | None:
    from convscope.contract.stored import newest
    from convscope.lenses.shift.result import FILE, read_result

    return newest(
        run, "shift", FILE, read_result, lambda study: study.root[0].weights, subject.graph
    )


LENS = Lens(
    "shift",
    "runs",
    params=ShiftParams,
    result=ShiftResult,
    study=_study,
    lines=_lines,
    draw=_draw,
    routes="convscope.lenses.shift.routes:routes",
    stored=_stored,
    page=True,
)
