"""A shift study as one picture: accuracy of every shift, a path, and the layers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from convscope.drawing.figures import png
from convscope.lenses.shift.compute import shifted
from convscope.lenses.shift.result import LayerShift, LayerShifts
from convscope.lenses.shift.statistics import Estimate
from convscope.lenses.shift.study import RunShift, ShiftStudy

_MAP = "cividis"
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_MARKS = ("o", "s", "^", "D", "v", "P")
_GREY = "#666666"
_STRIP = 9
_CURVE = 5.6  # inches that the axis below a curve has


def shift_picture(study: ShiftStudy) -> bytes:
    """`shift_figure` as PNG."""
    return png(shift_figure(study))


def shift_figure(study: ShiftStudy) -> Figure:
    """Heat maps of accuracy, the true class's probability along dy = 0, and the layers."""
    columns = max(2, len(study.runs))
    distances = [shifts.distance for shifts in study.runs[0].layers]
    heights = [4.7, 5.2, *(4.5 for _ in distances)]
    figure = Figure(figsize=(6.6 * columns, sum(heights) + 0.7), layout="constrained")
    places = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    parts = [figure.add_subfigure(place) for place in places]
    sample = "all" if study.images == study.of else f"{study.images:,} of"
    figure.suptitle(
        f"Shifted images: {study.data}, {study.split} split, {sample} {study.of:,} images; "
        f"every dx and dy from -{study.max_shift} to {study.max_shift} pixels of the input\n"
        f"border {study.border}: empty pixels are filled with {study.border.description}",
        fontsize=14,
    )
    _heat_maps(parts[0], study)
    _paths(parts[1], study)
    for number, distance in enumerate(distances):
        _layers(parts[2 + number], study.runs, number, distance)
    return figure


def percent(estimate: Estimate, digits: int = 1) -> str:
    """A share with its interval.

    >>> percent(Estimate(0.5, 0.25, 0.75))
    '50.0 % (25.0 to 75.0)'
    """
    low, high = (f"{100 * bound:.{digits}f}" for bound in estimate.interval)
    return f"{100 * estimate.value:.{digits}f} % ({low} to {high})"


def _heat_maps(part: SubFigure, study: ShiftStudy) -> None:
    """One for each run, all on the same scale."""
    grids = [run.table.accuracy_grid for run in study.runs]
    low, high = min(grid.min() for grid in grids), max(grid.max() for grid in grids)
    most = study.max_shift
    axes = part.subplots(1, max(2, len(grids)), squeeze=False)[0]
    for empty in axes[len(grids) :]:
        empty.axis("off")
    reach = (-most - 0.5, most + 0.5, most + 0.5, -most - 0.5)
    image = None
    for place, run, grid in zip(axes, study.runs, grids, strict=False):
        image = place.imshow(grid, cmap=_MAP, vmin=low, vmax=high, extent=reach)
        dark = grid[most, most] < (low + high) / 2
        place.plot(0, 0, "+", color="white" if dark else "black", markersize=9)
        place.set_title(
            f"{run.run} ({run.network})\nconsistency {percent(run.table.consistency)}", fontsize=12
        )
        place.locator_params(integer=True)
        place.set_xlabel("dx: pixels to the right")
        place.set_ylabel("dy: pixels down")
    assert image is not None
    bar = part.colorbar(image, ax=list(axes[: len(grids)]), shrink=0.9)
    bar.set_label("accuracy")
    ticks = np.unique(np.linspace(low, high, 6))
    bar.set_ticks(list(ticks), labels=[f"{100 * tick:.1f} %" for tick in ticks])


def _paths(part: SubFigure, study: ShiftStudy) -> None:
    """The true class's probability under horizontal shifts: mean over the images, and one image."""
    left, right = (part.add_subfigure(place) for place in part.add_gridspec(1, 2))
    axes = left.subplots()
    most = study.max_shift
    steps = np.arange(-most, most + 1)
    for run, colour, mark in zip(study.runs, _repeated(_COLOURS), _repeated(_MARKS), strict=False):
        path = run.table.path()
        axes.plot(steps, [at.value for at in path], color=colour, marker=mark, markersize=5,
                  label=run.run)  # fmt: skip
        axes.fill_between(steps, [at.low for at in path], [at.high for at in path], color=colour,
                          alpha=0.2, linewidth=0)  # fmt: skip
    axes.set_title("mean over the images, with 95 % interval", fontsize=12)
    _path_axes(axes)
    axes.legend(loc="best")
    rows = right.subplots(2, 1, height_ratios=(5, 1), sharex=True)
    example = study.example
    for run, colour, mark in zip(study.runs, _repeated(_COLOURS), _repeated(_MARKS), strict=False):
        rows[0].plot(steps, run.table.probability[example.index, most], color=colour, marker=mark,
                     markersize=5, label=run.run)  # fmt: skip
    rows[0].set_title(f"one image: {example.path}, {example.label}", fontsize=12)
    _path_axes(rows[0])
    rows[0].tick_params(labelbottom=True)
    _strip(rows[1], study)


def _path_axes(axes: Axes) -> None:
    axes.set_ylim(-0.02, 1.02)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("dx: pixels to the right (dy = 0)")
    axes.set_ylabel("probability of the true class")
    axes.grid(visible=True, color="#dddddd")


def _strip(axes: Axes, study: ShiftStudy) -> None:
    """The example as the networks see it, at some positions of the path."""
    most, pixels = study.max_shift, study.example.pixels
    places = sorted({round(place) for place in np.linspace(-most, most, min(_STRIP, 2 * most + 1))})
    # Each below its position on the curve's axis; a tile takes 0.9 of the distance between them.
    inches = 0.9 * _CURVE / len(places)
    zoom = 72 * min(inches, 0.72) / max(pixels.shape[:2])
    for place in places:
        moved = shifted(pixels[None], place, 0, study.border)[0]
        shown = moved if moved.shape[2] == 3 else moved[:, :, :1].repeat(3, axis=2)
        tile = OffsetImage(shown, zoom=zoom, interpolation="nearest")
        axes.add_artist(AnnotationBbox(tile, (place, 0.5), frameon=False))
    axes.set_ylim(0, 1)
    axes.axis("off")


def _layers(part: SubFigure, runs: Sequence[RunShift], number: int, distance: int) -> None:
    """For each run the relative differences over its layers, all on the same scale."""
    part.suptitle(
        f"layer by layer, the image shifted by {distance} pixel{'s' * (distance > 1)} "
        "(left, right, up and down)",
        fontsize=13,
    )
    axes = part.subplots(1, max(2, len(runs)), squeeze=False, sharey=True)[0]
    for empty in axes[len(runs) :]:
        empty.axis("off")
    values = [
        value
        for run in runs
        for layer in run.layers[number].layers
        for value in (layer.equivariance, layer.invariance)
        if value is not None
    ]
    top = 1.08 * max([0.5, *values])
    for place, run in zip(axes, runs, strict=False):
        _curves(place, run.layers[number])
        place.set_title(run.run, fontsize=12)
        place.set_ylim(-0.03 * top, top)
    axes[0].set_ylabel("relative L2 difference")
    handles, names = axes[0].get_legend_handles_labels()
    part.legend(handles, names, loc="outside lower center", ncols=3, fontsize=10)


def _curves(axes: Axes, shifts: LayerShifts) -> None:
    layers = shifts.layers
    places = np.arange(len(layers))
    for figure, label, style in (
        ("invariance", "invariance: output against unshifted output",
         {"color": _COLOURS[1], "marker": "s"}),
        ("equivariance", "equivariance: map against shifted map",
         {"color": _COLOURS[0], "marker": "o"}),
        ("inside", "equivariance away from borders",
         {"color": _COLOURS[2], "marker": "^", "linestyle": "--"}),
    ):  # fmt: skip
        heights = [getattr(layer, figure) for layer in layers]
        if any(height is not None for height in heights):
            drawn = [np.nan if height is None else height for height in heights]
            options: dict[str, Any] = {"markersize": 5, "linewidth": 1.5, **style}
            axes.plot(places, drawn, label=label, **options)
    for place, layer in enumerate(layers):
        if layer.whole is False:
            axes.axvspan(place - 0.5, place + 0.5, color="#f0f0f0", zorder=0)
    axes.set_xticks(places, [_named(layer) for layer in layers], rotation=60, ha="right",
                    fontsize=8)  # fmt: skip
    axes.grid(visible=True, axis="y", color="#dddddd")
    if any(layer.whole is False for layer in layers):
        axes.set_xlabel("grey: not a whole number of strides, interpolated", color=_GREY)


def _named(layer: LayerShift) -> str:
    kind = layer.kind.replace("_", " ")
    name = layer.name if kind in layer.name else f"{layer.name} {kind}"
    return name if layer.stride is None else f"{name} /{max(layer.stride)}"


def _repeated(items: Sequence[str]) -> list[str]:
    return list(items) * 10
