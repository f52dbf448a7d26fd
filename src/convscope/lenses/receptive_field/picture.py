"""A receptive field and the effective receptive field as a picture."""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from convscope.drawing.figures import png
from convscope.graph.geometry import ReceptiveField

_MAP, _EDGE, _NAN = "magma", "#56B4E9", "#009E73"


def field_picture(mass: np.ndarray, field: ReceptiveField | None, title: str) -> bytes:
    """`field_figure` as PNG."""
    return png(field_figure(mass, field, title))


def field_figure(mass: np.ndarray, field: ReceptiveField | None, title: str) -> Figure:
    """The gradient's mass (H, W) over the image with the box that the unit can see.

    The mass is shown as a share of the largest, on a square-root scale: a bell's foot is faint.
    NaN has a colour that is not on the scale.
    """
    height, width = mass.shape
    figure = Figure(figsize=(9.6, 7.6 * max(0.6, height / width)), layout="constrained")
    axes = figure.add_subplot()
    largest = float(np.nanmax(mass, initial=0))
    shares = np.sqrt(mass / largest) if largest else mass
    colours = colormaps[_MAP].with_extremes(bad=_NAN)
    image = axes.imshow(shares, cmap=colours, vmin=0, vmax=1)
    bar = figure.colorbar(image, ax=axes, ticks=np.sqrt([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1]))
    bar.ax.set_yticklabels(["0", "0.01", "0.05", "0.1", "0.25", "0.5", "1"], fontsize=12)
    bar.set_label(f"gradient's mass, as a share of the largest ({largest:.2g})", fontsize=13)
    box = (0,) * 4 if field is None else field.box(len(field.rows) // 2, len(field.columns) // 2)
    top, left, bottom, right = box
    if field is not None and top < bottom:
        axes.add_patch(
            Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False,
                      edgecolor=_EDGE, linewidth=3)
        )  # fmt: skip
        word = "sees" if field.exact else "can at most see"
        axes.set_xlabel(
            f"frame: what the unit {word}, {bottom - top} x {right - left} pixels of the image",
            fontsize=13,
        )
    axes.tick_params(labelsize=12)
    axes.set_title(title, fontsize=14)
    return figure
