"""A shift study as its result and as files: JSON, and CSV of grids, paths and layers."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convscope.base.storage import write_json, write_text
from convscope.contract.files import as_json
from convscope.lenses.shift.result import (
    FILE,
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

PICTURE = "shift.png"
_PROTOCOL = "all unordered pairs of different shifts; mean over images"


def result_of(study: ShiftStudy) -> ShiftResult:
    """A study as its file has it."""
    differences = {difference.run: difference for difference in study.differences}
    return ShiftResult(tuple(_run(study, run, differences.get(run.run)) for run in study.runs))


def write_study(folder: Path, study: ShiftStudy, result: ShiftResult) -> None:
    """Writes the files of a study but its picture, each whole or absent; `metrics.json` comes last.

    `accuracy.csv` (run, dx, dy, accuracy); `path.csv` (run, dx, the true class's mean probability
    with its interval, and the example's); `layers.csv`. Those of an earlier study are replaced.

    Raises:
        ConvscopeError: naming the file that could not be written.
    """
    for earlier in (FILE, PICTURE):
        (folder / earlier).unlink(missing_ok=True)
    write_text(folder / "accuracy.csv", _csv(_grid_rows(result)))
    write_text(folder / "path.csv", _csv(_path_rows(study, result)))
    write_text(folder / "layers.csv", _csv(_layer_rows(result)))
    write_json(folder / FILE, as_json(result))


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


def _grid_rows(result: ShiftResult) -> list[list[Any]]:
    rows: list[list[Any]] = [["run", "dx", "dy", "accuracy"]]
    for run in result.root:
        for dy, line in enumerate(run.accuracy_grid, -run.max_shift):
            rows += [[run.run, dx, dy, share] for dx, share in enumerate(line, -run.max_shift)]
    return rows


def _path_rows(study: ShiftStudy, result: ShiftResult) -> list[list[Any]]:
    rows: list[list[Any]] = [["run", "dx", "probability", "low", "high", "example"]]
    for run, entry in zip(study.runs, result.root, strict=True):
        own = run.table.probability[study.example.index, study.max_shift]
        rows += [
            [entry.run, at.dx, at.probability, *at.probability_interval, float(example)]
            for at, example in zip(entry.path, own, strict=True)
        ]
    return rows


def _layer_rows(result: ShiftResult) -> list[list[Any]]:
    figures = ["equivariance", "inside", "inside_share", "invariance"]
    rows: list[list[Any]] = [["run", "distance", "layer", "kind", "shape", "stride", *figures]]
    for run in result.root:
        for shifts in run.layers:
            for layer in shifts.layers:
                stride = "" if layer.stride is None else "x".join(map(str, layer.stride))
                rows.append(
                    [run.run, shifts.distance, layer.name, layer.kind,
                     "x".join(map(str, layer.shape)), stride,
                     *(getattr(layer, figure) for figure in figures)]
                )  # fmt: skip
    return rows


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
