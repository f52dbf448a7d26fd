"""Runs under shifts as files: figures as JSON, grids, paths and layers as CSV, and one picture."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convscope.base.errors import ConvscopeError
from convscope.base.storage import read_json, write_bytes, write_json, write_text
from convscope.lenses.shift.layers import LayerShift
from convscope.lenses.shift.picture import shift_picture
from convscope.lenses.shift.statistics import Estimate
from convscope.lenses.shift.study import Difference, Fit, RunShift, ShiftStudy

FIGURES = "metrics.json"


def write_shift(folder: Path, study: ShiftStudy) -> None:
    """Writes the study into `folder`, each file whole or absent; `metrics.json` comes last.

    `shift.png`; `accuracy.csv` (run, dx, dy, accuracy); `path.csv` (run, dx, the true class's mean
    probability with its interval, and the example's); `layers.csv`.

    Raises:
        ConvscopeError: naming the file that could not be written.
    """
    (folder / FIGURES).unlink(missing_ok=True)  # of an earlier study
    write_text(folder / "accuracy.csv", _csv(_grid_rows(study)))
    write_text(folder / "path.csv", _csv(_path_rows(study)))
    write_text(folder / "layers.csv", _csv(_layer_rows(study)))
    write_bytes(folder / "shift.png", shift_picture(study))
    write_json(folder / FIGURES, as_json(study))


def read_shift(folder: Path) -> list[dict[str, Any]]:
    """The figures of the study in a folder, an entry for each run.

    Raises:
        ConvscopeError: they cannot be read, or are something else.
    """
    entries = read_json(folder / FIGURES)
    if (
        not isinstance(entries, list)
        or not entries
        or not all(isinstance(one, dict) and "accuracy_grid" in one for one in entries)
    ):
        raise ConvscopeError(f"{folder / FIGURES} is not a shift study; delete the folder")
    return entries


def as_json(study: ShiftStudy) -> list[dict[str, Any]]:
    """An object for each run; `accuracy_grid` is [dy][dx] from -max_shift to max_shift."""
    differences = {difference.run: difference for difference in study.differences}
    return [_run(study, run, differences.get(run.run)) for run in study.runs]


def _run(study: ShiftStudy, run: RunShift, difference: Difference | None) -> dict[str, Any]:
    table, pixel = run.table, run.table.one_pixel
    middle = table.max_shift
    values: dict[str, Any] = {
        "run": run.run,
        "network": run.network,
        "weights": run.fit.weights,
        "data": study.data,
        "split": study.split,
        "n": study.images,
        "border": table.border,
        "max_shift": table.max_shift,
        "protocol": "all unordered pairs of different shifts; mean over images",
        **_estimate("consistency", table.consistency),
        "accuracy_unshifted": float(table.accuracy_grid[middle, middle]),
        **_estimate("accuracy_shifted", table.accuracy),
        "accuracy_grid": table.accuracy_grid.tolist(),
        "one_pixel": {
            **_estimate("changed", pixel.changed),
            **_estimate("moved", pixel.moved),
            **_estimate("gained", pixel.gained),
        },
        "path": [{"dx": dx, **_estimate("probability", at)} for dx, at in _path(run)],
        "layers": [
            {"distance": shifts.distance, "images": shifts.images,
             "layers": [_layer(layer) for layer in shifts.layers]}
            for shifts in run.layers
        ],
        "fit": _fit(run.fit),
    }  # fmt: skip
    if difference is not None:
        values["difference"] = {
            "than": difference.than,
            **_estimate("consistency", difference.consistency),
            **_estimate("accuracy_shifted", difference.accuracy),
            **_estimate("one_pixel_changed", difference.one_pixel_changed),
        }
    return values


def _estimate(name: str, estimate: Estimate) -> dict[str, Any]:
    return {name: estimate.value, f"{name}_interval": list(estimate.interval)}


def _layer(layer: LayerShift) -> dict[str, Any]:
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in vars(layer).items()
    }


def _fit(fit: Fit) -> dict[str, Any]:
    first = fit.first_convolution
    values: dict[str, Any] = {
        "parameters": fit.parameters,
        "seconds_per_epoch": fit.seconds_per_epoch,
        **_estimate("test_accuracy", fit.test),
        "first_convolution": None if first is None else dict(vars(first)),
    }
    if fit.train is not None and fit.gap is not None:
        values |= {**_estimate("train_accuracy", fit.train), **_estimate("gap", fit.gap)}
    return values


def _path(run: RunShift) -> list[tuple[int, Estimate]]:
    return [(dx - run.table.max_shift, at) for dx, at in enumerate(run.table.path())]


def _grid_rows(study: ShiftStudy) -> list[list[Any]]:
    rows: list[list[Any]] = [["run", "dx", "dy", "accuracy"]]
    most = study.max_shift
    for run in study.runs:
        for i, line in enumerate(run.table.accuracy_grid.tolist()):
            rows += [[run.run, j - most, i - most, share] for j, share in enumerate(line)]
    return rows


def _path_rows(study: ShiftStudy) -> list[list[Any]]:
    rows: list[list[Any]] = [["run", "dx", "probability", "low", "high", "example"]]
    most = study.max_shift
    for run in study.runs:
        own = run.table.probability[study.example.index, most]
        rows += [
            [run.run, dx, at.value, at.low, at.high, float(own[dx + most])] for dx, at in _path(run)
        ]
    return rows


def _layer_rows(study: ShiftStudy) -> list[list[Any]]:
    figures = ["equivariance", "inside", "inside_share", "invariance"]
    rows: list[list[Any]] = [["run", "distance", "layer", "kind", "shape", "stride", *figures]]
    for run in study.runs:
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
