"""The filters of a convolution as a picture: in colour, and kernel by kernel."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from convscope.base.numbers import number
from convscope.base.tensors import Pixels
from convscope.drawing.colours import Range, as_colour, coloured, range_of
from convscope.drawing.page import (
    BODY,
    FAINT,
    INK,
    MARGIN,
    SMALL,
    Box,
    arranged,
    font,
    page,
)
from convscope.drawing.sheets import Sheet, draw_map

MOST_KERNELS, MOST_FILTERS = 32, 128
_BETWEEN, _HEAD = 48, 34  # pixels: between panels, above a panel for its name


def filter_sheet(
    weights: Mapping[str, np.ndarray], *, title: str, notes: Sequence[str] = ()
) -> Sheet:
    """Filters (filters, input channels, height, width), one panel for each named array.

    All panels share one scale, symmetric around zero if any weight is negative. Filters on one or
    three channels are drawn filter by filter, those on three also in colour. Others are drawn as a
    table of kernels, with filters down and input channels across, the first 32 of each. Sheet.tiles
    has every kernel, panel by panel, filter by filter, the filter in colour first.

    Args:
        weights: by name ("learned", "at initialisation"), all of one shape.
        title: network, layer and shape.
        notes: lines below the title; a line that says what is omitted is added.
    """
    ends = range_of(np.stack(list(weights.values())))
    shape = next(iter(weights.values())).shape
    draw = _draw_filters if shape[1] in (1, 3) else _draw_kernels
    shown = {name: _first(array) for name, array in weights.items()}
    notes = [*notes, *_left_out(shape, next(iter(shown.values())).shape)]
    if shape[1] == 3 and ends.limit > 0:
        limit = number(ends.limit)
        notes.append(
            f"colours: mid-grey is 0, black -{limit}, white {limit}; then red, green, blue"
        )
    panels = [draw(array, ends, len(shown)) for array in shown.values()]
    width = sum(panel.width for panel, _ in panels) + _BETWEEN * (len(panels) - 1)
    height = max(panel.height for panel, _ in panels) + _HEAD
    picture, pen, (left, top) = page(
        (width, height), title=title, notes=notes, ends=ends, legend="kernels: one scale for all"
    )
    tiles: list[Box] = []
    for name, (panel, boxes) in zip(shown, panels, strict=True):
        pen.text((left, top), name, INK, font(SMALL + 5, bold=True))
        picture.paste(panel, (left, top + _HEAD))
        for a, b, c, d in boxes:
            tiles.append((a + left, b + top + _HEAD, c + left, d + top + _HEAD))
        left += panel.width + _BETWEEN
    missing = sum(int((~np.isfinite(a)).any(axis=(1, 2, 3)).sum()) for a in weights.values())
    return Sheet(picture, ends.low, ends.high, tuple(tiles), 0, missing)


def _first(weights: np.ndarray) -> np.ndarray:
    if weights.shape[1] in (1, 3):
        return weights[:MOST_FILTERS]
    return weights[:MOST_KERNELS, :MOST_KERNELS]


def _left_out(shape: Sequence[int], shown: Sequence[int]) -> list[str]:
    words = ("filters", "input channels")
    if tuple(shape) == tuple(shown):
        return []
    counts = [
        f"first {few} of {many:,} {word}" if few < many else f"all {many} {word}"
        for few, many, word in zip(shown, shape, words, strict=False)
    ]
    return [", ".join(counts) if shape[1] > 3 else counts[0]]


def _draw_filters(
    weights: np.ndarray, ends: Range, num_panels: int
) -> tuple[Image.Image, list[Box]]:
    """Each filter as a group: in colour if it has three channels, then kernel by kernel."""
    count, channels, height, width = weights.shape
    parts = 4 if channels == 3 else 1
    body = (BODY[0] - _BETWEEN * (num_panels - 1)) // num_panels, BODY[1] - _HEAD
    # A group of `parts` tiles is arranged as if it were one wide map.
    grid = arranged(
        count, (height, width * parts), caption=(0, SMALL + 6), gap=9 + 3 * parts, body=body
    )
    factor = grid.factor
    panel = Image.new("RGB", (grid.size[0] + 4, grid.size[1] + 4), (255, 255, 255))
    pen, small = ImageDraw.Draw(panel), font(SMALL)
    kernels = coloured(weights, ends)
    colours = as_colour(weights, ends.limit) if parts == 4 else None
    boxes: list[Box] = []
    for index in range(count):
        x, y = grid.place(index)
        tiles: list[Pixels] = [] if colours is None else [colours[index]]
        tiles += list(kernels[index])
        for place, tile in enumerate(tiles):
            corner = 1 + x + place * (width * factor + 3), 1 + y
            boxes.append(draw_map(panel, pen, corner, tile, factor))
        pen.text((1 + x, boxes[-1][3] + 2), str(index), INK, small)
    return panel, boxes


def _draw_kernels(
    weights: np.ndarray, ends: Range, num_panels: int
) -> tuple[Image.Image, list[Box]]:
    """A table of kernels: filters down, input channels across."""
    rows, columns, height, width = weights.shape
    small = font(SMALL)
    gutter = math.ceil(small.getlength(str(rows))) + 66
    body = (BODY[0] - _BETWEEN * (num_panels - 1)) // num_panels - gutter, BODY[1] - _HEAD - 44
    gap = 5
    factor = min((body[0] // columns - gap) // width, (body[1] // rows - gap) // height, 40)
    factor = max(1, factor)
    cell = width * factor + gap, height * factor + gap
    head = 44
    size = gutter + columns * cell[0] + MARGIN, head + rows * cell[1]
    panel = Image.new("RGB", size, (255, 255, 255))
    pen = ImageDraw.Draw(panel)
    pen.text((gutter, 0), "input channel", FAINT, small)
    pen.text((0, head), "filter", FAINT, small)
    across = next(s for s in (1, 2, 4, 8, 16, 32) if s * cell[0] >= small.getlength("00") + 8)
    down = next(s for s in (1, 2, 4, 8, 16, 32) if s * cell[1] >= SMALL + 2)
    for column in range(0, columns, across):
        middle = gutter + column * cell[0] + (cell[0] - gap) // 2
        pen.text((middle, head - 5), str(column), INK, small, anchor="ms")
    for row in range(0, rows, down):
        middle = head + row * cell[1] + (cell[1] - gap) // 2
        pen.text((gutter - 8, middle), str(row), INK, small, anchor="rm")
    pixels = coloured(weights, ends)
    boxes = []
    for row in range(rows):
        for column in range(columns):
            corner = gutter + column * cell[0], head + row * cell[1]
            boxes.append(draw_map(panel, pen, corner, pixels[row, column], factor))
    return panel, boxes
