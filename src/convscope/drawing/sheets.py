"""The output of a layer for one image as a picture: maps as tiles, vectors as cells or bars."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from convscope.base.numbers import number
from convscope.base.storage import safe_name
from convscope.base.tensors import Pixels
from convscope.drawing.colours import (
    DEAD,
    MARK,
    MISSING,
    Range,
    Scale,
    coloured,
    enlarged,
    range_of,
    shrunk,
)
from convscope.drawing.page import (
    BODY,
    FAINT,
    INK,
    LARGE_BODY,
    SMALL,
    TINY,
    Box,
    Font,
    Grid,
    arranged,
    font,
    page,
    shortened,
)

NUMBERED_UP_TO, BARS_UP_TO = 100, 20
_POSITIVE, _NEGATIVE = (178, 24, 43), (33, 102, 172)  # as in the maps: red above zero


@dataclass(frozen=True)
class Sheet:
    """A picture with the numbers it was drawn from.

    Attributes:
        picture: RGB.
        vmin: the value at the legend's left end: the smallest that the scale is for.
        vmax: the same for the right end.
        tiles: (left, top, right, bottom) of each map, cell or bar, right and bottom excluded.
        num_dead: maps that are zero everywhere.
        num_missing: maps with NaN or infinities.
    """

    picture: Image.Image
    vmin: float
    vmax: float
    tiles: tuple[Box, ...]
    num_dead: int = 0
    num_missing: int = 0

    def png(self) -> bytes:
        """The picture as the content of a PNG file."""
        return png(self.picture)


def png(picture: Image.Image) -> bytes:
    """The content of a PNG file."""
    content = io.BytesIO()
    # Level 2: half the time of the default level 6, and 2 % larger.
    picture.save(content, "PNG", compress_level=2)
    return content.getvalue()


@dataclass(frozen=True)
class Maps:
    """Maps (channels, height, width) as they are drawn: scaled, with marks for dead maps and NaN.

    Attributes:
        values: on the scale; for `unit` divided by `peaks`.
        ends: of the scale.
        peaks: the largest magnitude of each map.
        dead: which maps are zero everywhere.
        missing: which maps hold NaN or infinities.
    """

    values: np.ndarray
    ends: Range
    peaks: np.ndarray
    dead: np.ndarray
    missing: np.ndarray


def scaled(values: np.ndarray, scale: Scale, network: Range | None = None) -> Maps:
    """Maps (channels, height, width) on a scale; `network` is the range of all layers."""
    finite = np.isfinite(values)
    magnitudes = np.abs(np.where(finite, values, 0).astype(np.float64))
    peaks = magnitudes.max(axis=(1, 2))
    missing = np.logical_not(finite.all(axis=(1, 2)))
    dead = (peaks == 0) & ~missing
    if scale is Scale.unit:
        # In double precision a map's own largest magnitude becomes 1 exactly.
        values = values.astype(np.float64) / np.where(peaks > 0, peaks, 1)[:, None, None]
    ends = network if scale is Scale.network and network is not None else range_of(values)
    return Maps(values, ends, peaks, dead, missing)


def layer_sheet(
    values: np.ndarray,
    *,
    title: str,
    notes: Sequence[str] = (),
    scale: Scale = Scale.layer,
    network: Range | None = None,
    class_names: Sequence[str] | None = None,
) -> Sheet:
    """The sheet of a layer's values for one image: of maps (channels, height, width) or a vector.

    Arrays of other shapes are drawn as maps of their last two axes. NaN and infinities are magenta.

    Args:
        values: the layer's output, without the batch axis.
        title: network, layer, kind and shape.
        notes: lines below it; lines about dead maps and NaN are added.
        scale: over what colours compare.
        network: the range of all layers, for `Scale.network`.
        class_names: of a vector of logits or probabilities.
    """
    if values.size == 0:
        raise ValueError(f"nothing to draw in shape {values.shape}")
    if values.ndim <= 1:
        return _vector_sheet(values.reshape(-1), title, notes, scale, network, class_names)
    maps = scaled(values.reshape(-1, *values.shape[-2:]), scale, network)
    return _map_sheet(maps, title, notes, scale)


def _map_sheet(maps: Maps, title: str, notes: Sequence[str], scale: Scale) -> Sheet:
    count, height, width = maps.values.shape
    many = count > NUMBERED_UP_TO
    small, tiny = font(SMALL), font(TINY if many else SMALL)
    captions = [_caption(maps, index, scale) for index in range(count)]
    widest = max(math.ceil(tiny.getlength(text)) for text in captions)
    line = round(tiny.size) + 6 if widest else 0
    gutter = math.ceil(small.getlength(f"{count:,}")) + 14 if many else 0
    body = LARGE_BODY if many else BODY
    grid = arranged(
        count, (height, width), caption=(widest, line), gap=3 if many else 6,
        body=(body[0] - gutter, body[1]),
    )  # fmt: skip
    dead, missing = int(maps.dead.sum()), int(maps.missing.sum())
    notes = [*notes, *_remarks(count, dead, missing)]
    if grid.shrink > 1:
        notes.append(f"each pixel is the mean of {grid.shrink} x {grid.shrink} values")
    size = grid.size[0] + gutter, grid.size[1]
    picture, pen, (left, top) = page(
        size, title=title, notes=notes, ends=maps.ends, legend=_LEGENDS[scale]
    )
    left += gutter
    if gutter:
        _row_numbers(pen, grid, count, (left, top), small)
    pixels = coloured(shrunk(maps.values, grid.shrink), maps.ends)
    tiles = []
    for index in range(count):
        x, y = grid.place(index)
        tile = left + x, top + y
        dead_here = bool(maps.dead[index])
        box = draw_map(picture, pen, tile, pixels[index], grid.factor, dead=dead_here)
        colour = MISSING if maps.missing[index] else INK
        pen.text((box[0], box[3] + 2), captions[index], colour, tiny)
        tiles.append(box)
    return Sheet(picture, maps.ends.low, maps.ends.high, tuple(tiles), dead, missing)


def draw_map(
    picture: Image.Image,
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int],
    pixels: Pixels,
    factor: int,
    *,
    dead: bool = False,
) -> Box:
    """Draws one map with its left upper corner at `place`; a dead one grey, with a dash."""
    tile = Image.fromarray(enlarged(pixels, factor))
    box = (*place, place[0] + tile.width, place[1] + tile.height)
    pen.rectangle((box[0] - 1, box[1] - 1, box[2], box[3]), outline=FAINT)
    if dead:
        pen.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=DEAD)
        third, middle = tile.width // 3, (box[1] + box[3]) // 2
        pen.line((box[0] + third, middle, box[2] - 1 - third, middle), MARK, 1 + tile.height // 24)
    else:
        picture.paste(tile, place)
    return box


_LEGENDS = {
    Scale.unit: "share of each map's largest magnitude",
    Scale.layer: "one scale for this sheet",
    Scale.network: "one scale for all layers",
}


def _caption(maps: Maps, index: int, scale: Scale) -> str:
    """The channel's number, where there are not too many, and the magnitude that 1 means."""
    peak = number(maps.peaks[index]) if scale is Scale.unit and not maps.dead[index] else ""
    if len(maps.values) > NUMBERED_UP_TO:
        return "NaN" if maps.missing[index] else peak
    if maps.missing[index]:
        return f"{index} NaN"
    return f"{index} ({peak})" if peak else str(index)


def _row_numbers(
    pen: ImageDraw.ImageDraw, grid: Grid, count: int, corner: tuple[int, int], style: Font
) -> None:
    """The number of each row's first tile, and above the columns what is added to it."""
    left, top = corner
    step = max(1, -(-(SMALL + 3) // grid.cell[1]))
    for row in range(0, grid.rows, step):
        middle = top + row * grid.cell[1] + grid.tile[1] // 2
        pen.text((left - 10, middle), f"{row * grid.columns:,}", INK, style, anchor="rm")
    wide = style.getlength(f"+{grid.columns}") + 8
    step = next(s for s in (1, 2, 4, 5, 8, 10, 20, 50, 100, 1000) if s * grid.cell[0] >= wide)
    for column in range(0, min(grid.columns, count), step):
        middle = left + column * grid.cell[0] + grid.tile[0] // 2
        pen.text((middle, top - 3), f"+{column}", FAINT, style, anchor="ms")


def _remarks(count: int, dead: int, missing: int) -> list[str]:
    remarks = []
    if dead:
        remarks.append(f"{dead:,} of {count:,} maps dead: 0 everywhere, grey with a dash")
    if missing:
        remarks.append(f"{missing:,} of {count:,} maps hold NaN or infinities: magenta")
    return remarks


def _vector_sheet(
    values: np.ndarray,
    title: str,
    notes: Sequence[str],
    scale: Scale,
    network: Range | None,
    class_names: Sequence[str] | None,
) -> Sheet:
    if class_names is not None and len(class_names) != len(values):
        class_names = None
    zeros, missing = int((values == 0).sum()), int((~np.isfinite(values)).sum())
    notes = list(notes)
    if missing:
        notes.append(f"{missing:,} of {len(values):,} values are NaN or infinite: magenta")
    if len(values) <= BARS_UP_TO:
        names = class_names or [str(index) for index in range(len(values))]
        return _bar_sheet(values, title, notes, names)
    if zeros:
        notes.append(f"{zeros:,} of {len(values):,} values are 0")
    if class_names is not None:
        best = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")[:5]
        largest = ", ".join(f"{class_names[i]} {number(float(values[i]))}" for i in best)
        notes.append(f"largest: {largest}")
    # One vector is one map: `unit` divides by the largest magnitude of all its values.
    one = scaled(values.reshape(1, 1, -1), scale, network)
    legend = "share of the largest magnitude" if scale is Scale.unit else _LEGENDS[scale]
    if scale is Scale.unit:
        notes.append(f"largest magnitude {number(one.peaks[0])}")
    small = font(SMALL)
    gutter = math.ceil(small.getlength(f"{len(values):,}")) + 14
    grid = arranged(len(values), (1, 1), gap=1, body=(BODY[0] - gutter, BODY[1] - 60))
    size = grid.size[0] + gutter, grid.size[1] + 20
    picture, pen, (left, top) = page(size, title=title, notes=notes, ends=one.ends, legend=legend)
    left, top = left + gutter, top + 20
    _row_numbers(pen, grid, len(values), (left, top), small)
    pixels = coloured(one.values[0], one.ends)
    tiles = []
    for index in range(len(values)):
        x, y = grid.place(index)
        tiles.append(draw_map(picture, pen, (left + x, top + y), pixels[:, [index]], grid.factor))
    return Sheet(picture, one.ends.low, one.ends.high, tuple(tiles), zeros, missing)


def _bar_sheet(values: np.ndarray, title: str, notes: Sequence[str], names: Sequence[str]) -> Sheet:
    """Horizontal bars from zero, with names at the left and numbers at their ends."""
    ends, plain = range_of(values), font(20)
    low, high = (min(0.0, ends.low), max(0.0, ends.high)) if ends.low <= ends.high else (0.0, 1.0)
    span = (high - low) or 1.0
    gutter = min(420, max(math.ceil(plain.getlength(name)) for name in names)) + 16
    line = min(60, max(30, 700 // len(values)))
    left_room, right_room = 100 if low < 0 else 0, 100  # for the numbers
    length = 1232 - gutter - left_room - right_room
    picture, pen, (left, top) = page(
        (1232, line * len(values)), title=title, notes=notes, ends=None
    )
    zero = left + gutter + left_room + round(length * -low / span)
    tiles = []
    for index, value in enumerate(values.tolist()):
        upper, lower = top + index * line + 4, top + (index + 1) * line - 4
        middle = (upper + lower) // 2
        name = shortened(names[index], gutter - 16, plain)
        pen.text((left + gutter - 16, middle), name, INK, plain, anchor="rm")
        finite = bool(np.isfinite(value))
        end = zero + round(length * value / span) if finite else zero
        box = (min(zero, end), upper, max(zero, end) + (end == zero), lower)
        pen.rectangle(
            (box[0], box[1], box[2] - 1, box[3] - 1), _POSITIVE if value >= 0 else _NEGATIVE
        )
        text = number(value)
        if end < zero:
            pen.text((end - 8, middle), text, INK, plain, anchor="rm")
        else:
            pen.text((end + 8, middle), text, INK if finite else MISSING, plain, anchor="lm")
        tiles.append(box)
    pen.line((zero, top, zero, top + line * len(values)), INK)
    return Sheet(picture, ends.low, ends.high, tuple(tiles), 0, int((~np.isfinite(values)).sum()))


def sheet_file(layer: str, place: int, layers: int) -> str:
    """The file name of a layer's sheet: its place among `layers`, so that names sort, and name.

    >>> sheet_file("blocks.1 add", 7, 120)
    '007-blocks.1-add.png'
    """
    return f"{place:0{max(2, len(str(layers)))}d}-{safe_name(layer)}.png"
