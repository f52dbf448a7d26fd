"""The lines of a pathway: their colour, width and scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from convscope.base.numbers import number
from convscope.drawing.colours import Range, coloured
from convscope.drawing.page import INK, PAPER, SMALL, Box, font

_SCALE, _WIDEST = 150, 13  # pixels: of the legend, of the widest line
_GREY = (200, 200, 200)
_SMOOTH = 3  # the factor by which lines are drawn larger at first


@dataclass(frozen=True)
class Edge:
    """A contribution from one place to another; `limit` is the value of the widest line.

    Without a limit it is drawn thin and grey: a sum of many units, not to scale.
    """

    start: tuple[int, int]
    end: tuple[int, int]
    value: float
    limit: float | None


def draw_scale(
    picture: Image.Image, pen: ImageDraw.ImageDraw, corner: tuple[int, int], limit: float
) -> None:
    """The colours and numbers of the lines below, with lines of these widths."""
    (left, top), small = corner, font(SMALL)
    values = np.linspace(-limit, limit, _SCALE)
    strip = coloured(values, Range(-limit, limit))[None].repeat(_WIDEST, axis=0)
    below = np.abs(np.arange(_WIDEST) - _WIDEST // 2)[:, None]
    strip[below * 2 > np.abs(values / limit)[None] * _WIDEST] = PAPER
    picture.paste(Image.fromarray(strip), (left, top))
    texts = [(0, "la", number(-limit)), (_SCALE, "ra", number(limit))]
    if small.getlength(texts[0][2]) < _SCALE / 2 - 10:
        texts.append((_SCALE // 2, "ma", "0"))
    for place, anchor, text in texts:
        pen.text((left + place, top + _WIDEST + 3), text, INK, small, anchor=anchor)


def draw_edges(picture: Image.Image, box: Box, edges: Sequence[Edge]) -> None:
    """Curves from left to right, the largest on top; drawn enlarged, then scaled down."""
    size = (box[2] - box[0]) * _SMOOTH, (box[3] - box[1]) * _SMOOTH
    layer = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(layer)
    along = np.linspace(0, 1, 33)
    rise = along * along * (3 - 2 * along)
    for edge in sorted(edges, key=_share):
        if not edge.value:
            continue
        width = max(1, round(_share(edge) * _WIDEST * _SMOOTH)) if edge.limit else 2 * _SMOOTH
        columns = edge.start[0] + along * (edge.end[0] - edge.start[0]) - box[0]
        rows = edge.start[1] + rise * (edge.end[1] - edge.start[1]) - box[1]
        points = [(x * _SMOOTH, y * _SMOOTH) for x, y in zip(columns, rows, strict=True)]
        colour = _GREY
        if edge.limit:
            ends = Range(-edge.limit, edge.limit)
            colour = tuple(coloured(np.array([edge.value]), ends)[0].tolist())
        pen.line(points, colour, width, joint="curve")
    picture.paste(layer.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.BOX), box[:2])


def _share(edge: Edge) -> float:
    """The width of a line as a share of the widest."""
    return abs(edge.value) / edge.limit if edge.limit else 0.0
