"""Draw the confusion matrix and the reliability diagram as PNG, in colour-blind safe colours."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from convscope.drawing.figures import png
from convscope.metrics.classification import Calibration

_MAP = "cividis"
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#666666"
_NUMBERED_UP_TO = 25


def confusion_picture(confusion: np.ndarray, class_names: Sequence[str], title: str) -> bytes:
    """The confusion matrix, coloured by the share of each row, as PNG.

    Up to 25 classes, the cells also show the counts.
    """
    count = len(class_names)
    side = min(20.0, max(5.5, 0.62 * count + 2.5))
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    axes = figure.add_subplot()
    rows = np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    shares = confusion / rows
    image = axes.imshow(shares, cmap=_MAP, vmin=0, vmax=1)
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label("share of the row's images")
    if count <= _NUMBERED_UP_TO:
        for (row, column), number in np.ndenumerate(confusion):
            if number:
                colour = "black" if shares[row, column] > 0.55 else "white"
                axes.text(column, row, f"{number:,}", ha="center", va="center", color=colour,
                          fontsize=9)  # fmt: skip
    size = 10 if count <= _NUMBERED_UP_TO else max(3, 200 // count)
    axes.set_xticks(range(count), class_names, rotation=60, ha="right", fontsize=size)
    axes.set_yticks(range(count), class_names, fontsize=size)
    axes.set_xlabel("predicted")
    axes.set_ylabel("label")
    axes.set_title(title)
    return png(figure)


def reliability_picture(calibration: Calibration, title: str) -> bytes:
    """The reliability diagram with a histogram of the confidence, as PNG."""
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
    lower.bar(edges[:-1], np.maximum(counts, 0.5), width, align="edge", color=_GREY,
              edgecolor="white")  # fmt: skip
    lower.set_yscale("log")
    lower.set_ylabel("images")
    lower.set_xlabel("confidence (probability of the predicted class)")
    lower.set_xlim(0, 1)
    return png(figure)
