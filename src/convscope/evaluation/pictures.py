"""Draw the confusion matrix and the reliability diagram as PNG, in colour-blind safe colours."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure

from convscope.drawing.figures import png
from convscope.metrics.classification import Calibration

_MAP = "cividis"
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#666666"
_NUMBERED_UP_TO = 25  # classes: the cells have their counts
_NAMED_UP_TO = 60  # classes: the axes have their names
_MOST_CELLS = 250  # on a side, so that a cell is a few pixels large


def confusion_picture(confusion: np.ndarray, class_names: Sequence[str], title: str) -> bytes:
    """`confusion_figure` as PNG."""
    return png(confusion_figure(confusion, class_names, title))


def confusion_figure(confusion: np.ndarray, class_names: Sequence[str], title: str) -> Figure:
    """The confusion matrix, coloured by the share of each row.

    Up to 25 classes, the cells also show the counts. With more, colours follow the square root of
    the share, so that rare confusions can be seen. With more than 60, axes have class numbers
    instead of names; with more than 250, a cell is the largest share in a block of classes.

    Args:
        confusion: (classes, classes) counts, rows are labels.
        class_names: one for each class.
        title: of the figure.
    """
    count = len(class_names)
    side = min(20.0, max(5.5, 0.62 * count + 2.5))
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    axes = figure.add_subplot()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    block = -(-count // _MOST_CELLS)
    numbered, named = count <= _NUMBERED_UP_TO, count <= _NAMED_UP_TO
    image = axes.imshow(
        _largest_of_blocks(shares, block),
        cmap=_MAP,
        norm=Normalize(0, 1) if numbered else PowerNorm(0.5, 0, 1),
        interpolation="nearest",
        extent=(-0.5, block * -(-count // block) - 0.5, block * -(-count // block) - 0.5, -0.5),
    )
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    cells = "share of the row's images"
    bar.set_label(cells if block == 1 else f"{cells}, the largest of {block} x {block} classes")
    if numbered:
        for (row, column), number in np.ndenumerate(confusion):
            if number:
                colour = "black" if shares[row, column] > 0.55 else "white"
                axes.text(column, row, f"{number:,}", ha="center", va="center", color=colour,
                          fontsize=9)  # fmt: skip
    if named:
        size = 10 if numbered else max(5, 250 // count)
        axes.set_xticks(range(count), class_names, rotation=60, ha="right", fontsize=size)
        axes.set_yticks(range(count), class_names, fontsize=size)
    axes.set_xlabel("predicted" if named else "predicted (class number, from 0)")
    axes.set_ylabel("label" if named else "label (class number, from 0)")
    axes.set_title(title)
    return figure


def _largest_of_blocks(shares: np.ndarray, block: int) -> np.ndarray:
    """The maximum of each block x block part; the last parts may be smaller."""
    starts = np.arange(0, len(shares), block)
    return np.maximum.reduceat(np.maximum.reduceat(shares, starts, axis=0), starts, axis=1)


def reliability_picture(calibration: Calibration, title: str) -> bytes:
    """`reliability_figure` as PNG."""
    return png(reliability_figure(calibration, title))


def reliability_figure(calibration: Calibration, title: str) -> Figure:
    """The reliability diagram with a histogram of the confidence; empty bins have no bar."""
    figure = Figure(figsize=(6.4, 7), layout="constrained")
    upper, lower = figure.subplots(2, height_ratios=(3, 1), sharex=True)
    edges, counts = calibration.edges, calibration.counts
    width = edges[1] - edges[0]
    filled = counts > 0
    upper.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1.2, label="perfect")
    upper.bar(
        edges[:-1][filled], calibration.accuracy[filled], width, align="edge", color=_BLUE,
        edgecolor="white", label="accuracy of the bin",
    )  # fmt: skip
    upper.plot(
        calibration.confidence[filled], calibration.accuracy[filled], "o", color=_ORANGE,
        markersize=5, label="mean confidence of the bin",
    )  # fmt: skip
    upper.set_ylim(0, 1)
    upper.set_ylabel("accuracy")
    upper.legend(loc="upper left")
    upper.set_title(f"{title}\nexpected calibration error {calibration.error:.4f}")
    lower.bar(edges[:-1][filled], counts[filled], width, align="edge", color=_GREY,
              edgecolor="white")  # fmt: skip
    lower.set_yscale("log")
    lower.set_ylim(bottom=0.5)  # one image is a bar, too
    lower.set_ylabel("images")
    lower.set_xlabel("confidence (probability of the predicted class)")
    lower.set_xlim(0, 1)
    return figure
