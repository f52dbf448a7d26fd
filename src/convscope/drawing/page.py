"""The layout of a sheet: title, notes, legend, and the size and number of tiles in a row.

It draws text, rectangles and colours, and does not depend on networks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from convscope.base.numbers import number
from convscope.drawing.colours import Range, coloured

INK, FAINT, PAPER = (32, 32, 32), (150, 150, 150), (255, 255, 255)
MARGIN = 24
SMALL, TINY = 15, 11
BODY = (1872, 900)  # pixels: with title and margins a screen of 1920 x 1080
LARGE_BODY = (1920, 1040)  # for many tiles, of which no screen shows the details
_BAR = (360, 22)
_WIDEST = 16 / 9
_LARGEST_TILE = 480
_SHRINK_ABOVE, _SHRINK_TO = 128, 56
_TITLE, _NOTE = 25, 17

Font = ImageFont.FreeTypeFont
Box = tuple[int, int, int, int]


def font(size: int, *, bold: bool = False) -> Font:
    """DejaVu Sans, which comes with matplotlib: the same letters on every machine."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)


@dataclass(frozen=True)
class Grid:
    """Tiles in rows. Each value is a square of `factor` pixels, or `shrink` x `shrink` are one.

    `tile` and `cell` are (width, height) in pixels; a cell has room for a caption, and a gap.
    """

    columns: int
    rows: int
    factor: int
    shrink: int
    tile: tuple[int, int]
    cell: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of all cells."""
        return self.columns * self.cell[0], self.rows * self.cell[1]

    def place(self, index: int) -> tuple[int, int]:
        """The left and upper edge of a tile."""
        return index % self.columns * self.cell[0], index // self.columns * self.cell[1]


def arranged(
    count: int,
    size: tuple[int, int],
    *,
    caption: tuple[int, int] = (0, 0),
    gap: int = 4,
    body: tuple[int, int] = BODY,
) -> Grid:
    """The grid with the largest tiles that fit into `body`, its shape near that of a screen.

    Maps of more than 128 pixels may be shrunk, to 56 at the least. Where even that does not fit,
    the grid is larger than the body.

    Args:
        count: tiles.
        size: (height, width) of a map.
        caption: (width, height) of the text below a tile.
        gap: pixels between cells.
        body: (width, height) in pixels.
    """
    longer = max(size)
    scales = [(factor, 1) for factor in range(max(1, _LARGEST_TILE // longer), 0, -1)]
    if longer > _SHRINK_ABOVE:
        scales += [(1, shrink) for shrink in range(2, max(2, longer // _SHRINK_TO) + 1)]
    grid = None
    for factor, shrink in scales:
        tile = -(-size[1] // shrink) * factor, -(-size[0] // shrink) * factor
        cell = max(tile[0], caption[0]) + gap, tile[1] + caption[1] + gap
        columns = min(count, body[0] // cell[0])
        fits = columns and -(-count // columns) * cell[1] <= body[1]
        if fits:
            columns = _columns(count, cell, body)
        else:
            columns = min(count, max(1, round(math.sqrt(count * _WIDEST * cell[1] / cell[0]))))
        grid = Grid(columns, -(-count // columns), factor, shrink, tile, cell)
        if fits:
            break
    assert grid is not None
    return grid


def _columns(count: int, cell: tuple[int, int], body: tuple[int, int]) -> int:
    """How many columns: few empty cells, and a shape near that of the body."""

    def cost(columns: int) -> float:
        rows = -(-count // columns)
        shape = math.log(columns * cell[0] / (rows * cell[1]) / (body[0] / body[1]))
        return abs(shape) + 2 * (rows * columns - count) / count

    least = -(-count // (body[1] // cell[1]))
    return min(range(least, min(count, body[0] // cell[0]) + 1), key=cost)


def page(
    size: tuple[int, int],
    *,
    title: str,
    notes: Sequence[str],
    ends: Range | None,
    legend: str = "",
) -> tuple[Image.Image, ImageDraw.ImageDraw, tuple[int, int]]:
    """A page with its title, notes and colour bar; and where its body of `size` starts.

    Args:
        size: (width, height) of the body, in pixels.
        title: as many lines as it needs.
        notes: each on a line of its own, or more.
        ends: the smallest and largest value of the colour bar; None for no bar.
        legend: the text above the bar.
    """
    width = max(size[0] + 2 * MARGIN, 1280)
    right = width - MARGIN - (_BAR[0] + 2 * MARGIN if ends else 0)
    bold, plain = font(_TITLE, bold=True), font(_NOTE)
    lines = [(line, bold) for line in wrapped(title, bold, right - MARGIN)]
    for note in notes:
        lines += [(line, plain) for line in wrapped(note, plain, right - MARGIN)]
    tops, top = [], MARGIN - 4
    for _, style in lines:
        tops.append(top)
        top += round(style.size * 1.35)
    head = max(top, MARGIN + 92 if ends else 0) + 12
    picture = Image.new("RGB", (width, head + size[1] + MARGIN), PAPER)
    pen = ImageDraw.Draw(picture)
    for (line, style), top in zip(lines, tops, strict=True):
        pen.text((MARGIN, top), line, INK, style)
    if ends is not None:
        _bar(picture, pen, (width - MARGIN - _BAR[0], MARGIN), ends, legend)
    return picture, pen, ((width - size[0]) // 2, head)


def _bar(
    picture: Image.Image, pen: ImageDraw.ImageDraw, place: tuple[int, int], ends: Range, legend: str
) -> None:
    """The colours from the smallest to the largest value; with zero, where it is between them."""
    left, top = place
    plain = font(SMALL + 2)
    pen.text((left, top - 4), shortened(legend, _BAR[0], plain), INK, plain)
    top += 20
    below = top + _BAR[1] + 5
    if not ends.low <= ends.high:
        pen.text((left, top), "no finite values", INK, plain)
        return
    values = np.linspace(ends.low, ends.high, _BAR[0])
    strip = coloured(values, ends)[None].repeat(_BAR[1], axis=0)
    picture.paste(Image.fromarray(strip), (left, top))
    pen.rectangle((left - 1, top - 1, left + _BAR[0], top + _BAR[1]), outline=FAINT)
    texts = number(ends.low), number(ends.high)
    pen.text((left, below), texts[0], INK, plain)
    pen.text((left + _BAR[0], below), texts[1], INK, plain, anchor="ra")
    if ends.low < 0 < ends.high:
        zero = left + round(_BAR[0] * -ends.low / (ends.high - ends.low))
        pen.line((zero, top + _BAR[1], zero, below + 1), INK)
        free = left + plain.getlength(texts[0]) + 12, left + _BAR[0] - plain.getlength(texts[1])
        if free[0] < zero < free[1] - 12:
            pen.text((zero, below), "0", INK, plain, anchor="ma")


def wrapped(text: str, style: Font, width: int) -> list[str]:
    """`text` in lines that fit `width`, broken at spaces; words that are too long are cut."""
    lines: list[str] = []
    text = "".join(c if c.isprintable() else "\ufffd" for c in text)  # file names hold anything
    for word in text.replace(" x ", "\u00a0x\u00a0").split(" "):  # a shape stays in one line
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and style.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(shortened(word, width, style))
    return lines


def shortened(text: str, width: int, style: Font) -> str:
    """`text` without its middle, where it is too long."""
    if style.getlength(text) <= width:
        return text
    for kept in range(len(text) - 1, 1, -1):
        short = f"{text[: kept // 2]}...{text[len(text) - (kept - kept // 2) :]}"
        if style.getlength(short) <= width:
            return short
    return ""
