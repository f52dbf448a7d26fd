"""A filtered image as PNG: the original, the kernel and the result on one page."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from convscope.base.errors import ConvscopeError
from convscope.base.tensors import Pixels

_SIGNED = "RdBu_r"  # blue below zero, white at zero, red above: safe for red-green blindness
_ORANGE, _INK, _GREY = "#D55E00", "#202020", "#666666"
_AXES = ("row", "column")
_GAP, _CELL, _COLUMN = 0.4, 0.36, 5.4  # inches: between things, a kernel's row, a picture's place
_TABLE = (3.3, 5.0)  # inches: the highest and widest table of a kernel's entries


def is_signed(kernel: np.ndarray) -> bool:
    """Whether results lie around zero: the entries sum to zero or less, as an edge detector's do.

    The other kernels give pixels again, of which a few may leave 0..255.
    """
    return bool(kernel.sum() <= 1e-9 * np.abs(kernel).sum())


def num_clipped(result: np.ndarray) -> tuple[int, int]:
    """How many values of `result` round to less than 0 and to more than 255."""
    levels = np.rint(result)
    return int((levels < 0).sum()), int((levels > 255).sum())


def number(value: float) -> str:
    """`value` with at most six significant digits, and commas in its thousands."""
    return f"{value:,.6g}"


def kernel_picture(
    pixels: Pixels,
    result: np.ndarray,
    kernel: np.ndarray,
    *,
    title: str,
    settings: Sequence[str],
    lost: tuple[int, int] = (0, 0),
) -> bytes:
    """`kernel_figure` as PNG."""
    figure = kernel_figure(pixels, result, kernel, title=title, settings=settings, lost=lost)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=130)
    return content.getvalue()


def kernel_figure(
    pixels: Pixels,
    result: np.ndarray,
    kernel: np.ndarray,
    *,
    title: str,
    settings: Sequence[str],
    lost: tuple[int, int] = (0, 0),
) -> Figure:
    """Original and result side by side, under the kernel's name, numbers and settings.

    Where `is_signed(kernel)`, zero is white (in colour: mid-grey), colours are saturated from the
    99.5th percentile of the magnitudes on, and a bar shows them from minimum to maximum. Otherwise
    values are rounded and clipped to 0..255, and how many were is said.

    Args:
        pixels: the original, (height, width, 1 or 3), 0..255.
        result: (rows, columns, 1 or 3), as `convscope.images.kernels.convolve` gives it.
        kernel: (rows, columns); its entries are shown where they fit, up to 9 rows.
        title: the kernel's name.
        settings: lines below the name.
        lost: rows at the bottom and columns at the right of `pixels` to tint as not reached.

    Raises:
        ConvscopeError: the result holds NaN or infinity, which `convolve` never gives.
    """
    if not np.isfinite(result).all():
        raise ConvscopeError("result: holds NaN or infinity, and cannot be drawn")
    figure, left, right = _page(pixels, kernel, title, settings)
    _show(left, pixels)
    left.set_title(f"original, {pixels.shape[0]} x {pixels.shape[1]}", fontsize=15)
    if any(lost):
        _tint(left, pixels.shape[:2], lost)
        parts = [f"{n} {what}{'s' * (n > 1)}" for n, what in zip(lost, _AXES, strict=True) if n]
        _note(figure, left, f"orange: {' and '.join(parts)} not reached", _ORANGE)
    low, high = float(result.min()), float(result.max())
    size = f"{result.shape[0]} x {result.shape[1]}"
    right.set_title(f"result, {size}, {number(low)} to {number(high)}", fontsize=15)
    if is_signed(kernel):
        magnitudes = np.abs(result)
        limit = float(np.percentile(magnitudes, 99.5)) or float(magnitudes.max()) or 1.0
        _show(right, _coloured(result, limit))
        _bar(figure, right, (min(low, 0.0), max(high, 0.0)), limit, colour=result.shape[2] == 3)
    else:
        _show(right, np.clip(np.rint(result), 0, 255).astype(np.uint8))
        below, above = num_clipped(result)
        _note(figure, right, f"clipped: {below:,} values below 0, {above:,} above 255", _GREY)
    return figure


def _page(
    pixels: Pixels, kernel: np.ndarray, title: str, settings: Sequence[str]
) -> tuple[Figure, Axes, Axes]:
    """The page with its header drawn, and the places of the two pictures; sizes in inches."""
    aspect = min(3.0, max(0.25, pixels.shape[0] / pixels.shape[1]))
    wide = min(6.6, 5.6 / aspect)
    tall = wide * aspect
    column = max(wide, _COLUMN)
    numbers = [[f"{entry:.4g}" for entry in row] for row in kernel]
    cell = 0.22 + 0.11 * max(len(text) for row in numbers for text in row)
    table = kernel.shape[0] * _CELL, kernel.shape[1] * cell
    fits = table[0] <= _TABLE[0] and table[1] <= _TABLE[1]
    head = max(1.3, table[0]) if fits else 1.3
    width, height = 2 * column + 3 * _GAP, head + tall + 2 * _GAP + 1.3
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    top = height - _GAP
    text_left = _GAP
    if fits:
        place = (_GAP / width, (top - table[0]) / height, table[1] / width, table[0] / height)
        _draw_entries(figure.add_axes(place), kernel, numbers)
        text_left += table[1] + _GAP
    else:
        extremes = f"entries {number(kernel.min())} to {number(kernel.max())}"
        settings = (*settings, extremes)
    place = text_left / width, top / height
    figure.text(*place, title, fontsize=24, weight="bold", color=_INK, va="top")
    figure.text(place[0], (top - 0.48) / height, "\n".join(settings), fontsize=15, color=_INK,
                va="top", linespacing=1.35)  # fmt: skip
    axes = []
    for index in (0, 1):
        left = _GAP + index * (column + _GAP) + (column - wide) / 2
        bottom = top - head - 0.55 - tall
        axes.append(figure.add_axes((left / width, bottom / height, wide / width, tall / height)))
    return figure, axes[0], axes[1]


def _draw_entries(axes: Axes, kernel: np.ndarray, numbers: list[list[str]]) -> None:
    """The kernel as a table, coloured as results are but paler, so that black is read on it."""
    limit = 1.6 * float(np.abs(kernel).max()) or 1.0
    axes.imshow(kernel, cmap=_SIGNED, vmin=-limit, vmax=limit, aspect="auto")
    for (row, column), _ in np.ndenumerate(kernel):
        axes.text(column, row, numbers[row][column], ha="center", va="center_baseline", fontsize=13)
    axes.set_xticks(np.arange(kernel.shape[1] + 1) - 0.5, [])
    axes.set_yticks(np.arange(kernel.shape[0] + 1) - 0.5, [])
    axes.tick_params(length=0)
    axes.grid(color=_GREY, linewidth=0.8)


def _show(axes: Axes, pixels: Pixels) -> None:
    shown = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255)
    axes.set_anchor("N")
    axes.set_xticks([])
    axes.set_yticks([])


def _coloured(values: np.ndarray, limit: float) -> Pixels:
    """Values (height, width, 1 or 3) as RGB: one channel by the map, three around mid-grey."""
    shares = np.clip(0.5 + values / (2 * limit), 0, 1)
    if values.shape[2] == 3:
        return np.rint(255 * shares).astype(np.uint8)
    return colormaps[_SIGNED](shares[:, :, 0], bytes=True)[:, :, :3]


def _bar(
    figure: Figure, axes: Axes, ends: tuple[float, float], limit: float, *, colour: bool
) -> None:
    """The colours between the two ends below the picture: an end's number beside it, 0 below."""
    (page, height), box = figure.get_size_inches(), axes.get_position()
    wide = (max(box.width * page, _COLUMN) - 2.2) / page  # 1.1 inches for each number
    left = (box.x0 + box.x1 - wide) / 2
    bar = figure.add_axes((left, box.y0 - 0.44 / height, wide, 0.26 / height))
    low, high = ends if ends[0] < ends[1] else (-limit, limit)
    values = np.linspace(low, high, 512)[None, :, None]
    strip = _coloured(values.repeat(3, axis=2) if colour else values, limit)
    bar.imshow(strip, aspect="auto", extent=(low, high, 0, 1))
    bar.set_yticks([])
    zero = [0] if low < 0 < high else []
    bar.set_xticks(zero, [str(tick) for tick in zero], fontsize=14)
    middle, gap = box.y0 - 0.31 / height, 0.1 / page
    figure.text(left - gap, middle, number(low), fontsize=14, ha="right", va="center")
    figure.text(left + wide + gap, middle, number(high), fontsize=14, ha="left", va="center")


def _note(figure: Figure, axes: Axes, text: str, colour: str) -> None:
    box = axes.get_position()
    below = box.y0 - 0.14 / figure.get_figheight()
    figure.text((box.x0 + box.x1) / 2, below, text, fontsize=14, color=colour, ha="center",
                va="top")  # fmt: skip


def _tint(axes: Axes, size: tuple[int, int], lost: tuple[int, int]) -> None:
    """Marks the last rows and columns; an outline keeps them visible where pixels are tiny."""
    (height, width), (rows, columns) = size, lost
    style = {"facecolor": _ORANGE, "alpha": 0.75, "edgecolor": _ORANGE, "linewidth": 3}
    if rows:
        axes.add_patch(Rectangle((-0.5, height - 0.5 - rows), width, rows, **style))
    if columns:
        axes.add_patch(Rectangle((width - 0.5 - columns, -0.5), columns, height, **style))
