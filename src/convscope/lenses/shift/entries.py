"""A shift study as its result: an entry for each run."""

from typing import Any

from convscope.lenses.shift.result import (
    FirstConvolution,
    OnePixelShift,
    PathPoint,
    ShiftDifference,
    ShiftFit,
    ShiftResult,
    ShiftRun,
)
from convscope.lenses.shift.statistics import Estimate
from convscope.lenses.shift.study import Difference, Fit, RunShift, ShiftStudy

_PROTOCOL = "all unordered pairs of different shifts; mean over images"


def result_of(study: ShiftStudy) -> ShiftResult:
    """A study as its file has it."""
    differences = {difference.run: difference for difference in study.differences}
    return ShiftResult(tuple(_run(study, run, differences.get(run.run)) for run in study.runs))


def _run(study: ShiftStudy, run: RunShift, difference: Difference | None) -> ShiftRun:
    table, middle = run.table, run.table.max_shift
    return ShiftRun(
        run=run.run,
        network=run.network,
        weights=run.fit.weights,
        data=study.data,
        split=study.split,
        n=study.images,
        border=table.border,
        max_shift=table.max_shift,
        protocol=_PROTOCOL,
        accuracy_unshifted=float(table.accuracy_grid[middle, middle]),
        accuracy_grid=table.accuracy_grid.tolist(),
        one_pixel=OnePixelShift(**_estimates(**vars(table.one_pixel))),
        path=[
            PathPoint(dx=dx, **_estimates(probability=at))
            for dx, at in enumerate(table.path(), -table.max_shift)
        ],
        layers=list(run.layers),
        fit=_fit(run.fit),
        difference=None if difference is None else ShiftDifference(
            than=difference.than,
            **_estimates(
                consistency=difference.consistency,
                accuracy_shifted=difference.accuracy,
                one_pixel_changed=difference.one_pixel_changed,
            ),
        ),
        **_estimates(consistency=table.consistency, accuracy_shifted=table.accuracy),
    )  # fmt: skip


def _fit(fit: Fit) -> ShiftFit:
    first = fit.first_convolution
    return ShiftFit(
        parameters=fit.parameters,
        seconds_per_epoch=fit.seconds_per_epoch,
        first_convolution=None if first is None else FirstConvolution.model_validate(first),
        **_estimates(test_accuracy=fit.test, train_accuracy=fit.train, gap=fit.gap),
    )


def _estimates(**estimates: Estimate | None) -> dict[str, Any]:
    """The keys of some estimates; none for those that are not known."""
    found = {}
    for name, estimate in estimates.items():
        if estimate is not None:
            found |= {name: estimate.value, f"{name}_interval": estimate.interval}
    return found
