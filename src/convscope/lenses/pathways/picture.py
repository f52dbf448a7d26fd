"""Pathways as a picture: from the image over maps and dense units to two logits.

Lines are contributions to a logit: red for positive ones, blue for negative ones; the width shows
the magnitude. The lines that end at a class box add up to its logit. The lines to units and the
lines to classes each have a scale, the same for all images of a sheet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from convscope.base.numbers import signed
from convscope.base.tensors import Pixels
from convscope.drawing.colours import Range, coloured, enlarged, range_of, shrunk
from convscope.drawing.page import (
    FAINT,
    INK,
    SMALL,
    Box,
    font,
    page,
    shortened,
    wrapped,
)
from convscope.drawing.sheets import Sheet, draw_map
from convscope.images.files import to_channels
from convscope.lenses.pathways.compute import PathwayLayer, Pathways
from convscope.lenses.pathways.curves import Edge, draw_edges, draw_scale
from convscope.lenses.pathways.downstream import CONVOLUTION
from convscope.lenses.pathways.files import short, sum_lines
from convscope.lenses.pathways.proof import Proof
from convscope.lenses.pathways.proof_picture import STRIP, draw_proofs

_WIDTH, _GAP = 1240, 64
_HEADER, _ROW, _TILE, _IMAGE, _LARGE_IMAGE = 92, 76, 64, 168, 448
_LABELS, _MAPS, _UNITS, _CLASSES = 296, 304, 648, 972  # left edges; labels end there
_UNIT_BOX, _CLASS_BOX = (160, 46), (268, 148)
_LINE = 22
_PANEL_BOX = (246, 246, 246)


@dataclass(frozen=True)
class Panel:
    """One image's pathways with all that is drawn of them.

    Attributes:
        name: of the image.
        image: as the network sees it, before normalisation.
        pathways: the contributions to the logits.
        proofs: what happened when units were switched off.
        class_names: in the order of the logits.
    """

    name: str
    image: Pixels
    pathways: Pathways
    proofs: Sequence[Proof]
    class_names: Sequence[str]


@dataclass(frozen=True)
class _Origin:
    """A box or tile where lines start: its contributions to target and contrast class.

    `combined`: it stands for all units that are not drawn.
    """

    label: str
    values: tuple[float, float]
    place: tuple[int, int]  # the middle of its right edge
    activation: float | None = None
    combined: bool = False


def pathways_sheet(panels: Sequence[Panel], *, title: str) -> Sheet:
    """One panel an image, side by side, on one scale of contributions.

    Args:
        panels: one or more.
        title: names the network.
    """
    limits = [max(of(panel) for panel in panels) or 1.0 for of in (_inner_limit, _outer_limit)]
    rows = max(_rows(panel.pathways) for panel in panels)
    sums = 2 + max(len(_sums(panel)) for panel in panels)
    height = _HEADER + rows * _ROW + 12 + sums * _LINE + STRIP
    size = (len(panels) * (_WIDTH + _GAP) - _GAP, height)
    notes = [
        "lines: contributions (activation x gradient) to a logit, by colour and width",
        "those that end at a class add up to its logit; those from maps to units are the target's",
        "numbers at maps and units: what goes to the target | to the contrast class",
        "grey lines: all units that are not shown, together, not to scale",
        "maps: activation, each on its own scale; contribution to the target, one scale an image",
        *dict.fromkeys(note for panel in panels for note in panel.pathways.notes),
    ]
    picture, pen, (left, top) = page(size, title=title, notes=notes, ends=None)
    tiles: list[Box] = []
    for place, panel in enumerate(panels):
        corner = left + place * (_WIDTH + _GAP), top
        if place:
            pen.line((corner[0] - _GAP // 2, top, corner[0] - _GAP // 2, top + size[1]), FAINT)
        tiles += _draw_panel(picture, pen, corner, panel, limits, (rows, sums))
    return Sheet(picture, -limits[1], limits[1], tuple(tiles))


def _rows(pathways: Pathways) -> int:
    """The number of rows of maps, with two for the rest where the maps lead to the classes."""
    alone = len(pathways.layers) == 1 and pathways.layers[0].role == CONVOLUTION
    return max(8, *(len(layer.drawn) + 2 * alone for layer in pathways.layers))


def _inner_limit(panel: Panel) -> float:
    """The largest magnitude of the lines from maps to units."""
    edges, first = panel.pathways.edges, panel.pathways.layers[0]
    return 0.0 if edges is None else float(np.abs(edges[:, list(first.drawn)]).max(initial=0))


def _outer_limit(panel: Panel) -> float:
    """The largest magnitude of the lines to the classes."""
    last = panel.pathways.layers[-1]
    values = [*last.channels[:, list(last.drawn)].ravel(), *last.bias_share]
    return float(np.abs(values).max(initial=0))


def _draw_panel(
    picture: Image.Image,
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    panel: Panel,
    limits: Sequence[float],
    lines: tuple[int, int],
) -> list[Box]:
    """One image's graph, sums and proof; `lines` is the number of rows of maps and of sums."""
    left, top = corner
    pathways, height = panel.pathways, lines[0] * _ROW
    body = top + _HEADER
    maps = next((layer for layer in pathways.layers if layer.role == CONVOLUTION), None)
    units = next((layer for layer in pathways.layers if layer.role != CONVOLUTION), None)
    origins = _origins(pathways.layers[-1], (left, body), height, units is not None)
    middles = _class_middles(body, height)
    edges = [
        Edge(
            origin.place,
            (left + _CLASSES, _end(middles[which], row, len(origins))),
            value,
            None if origin.combined else limits[1],
        )
        for row, origin in enumerate(origins)
        for which, value in enumerate(origin.values)
    ]
    if maps is not None and units is not None and pathways.edges is not None:
        for row in range(len(units.drawn)):
            for spot, channel in enumerate(maps.drawn):
                middle = _middle(body, height, spot, len(maps.drawn))
                start = left + _MAPS + 2 * _TILE + 10, middle
                end = left + _UNITS, origins[row].place[1]
                edges.append(Edge(start, end, float(pathways.edges[row, channel]), limits[0]))
        draw_scale(picture, pen, (left + _MAPS + 2 * _TILE + 46, top + 50), limits[0])
    draw_scale(picture, pen, (left + _CLASSES - 156, top + 50), limits[1])
    draw_edges(picture, (left, body, left + _WIDTH, body + height), edges)
    tiles = [_draw_image(picture, pen, (left, body + height // 2), panel)]
    _draw_heads(pen, corner, panel, maps, units)
    if maps is not None:
        rest = 0 if units is not None else 2
        tiles += _draw_maps(picture, pen, (left, body), height, maps, rest, limits[1])
    _draw_origins(pen, origins, units, limits[1])
    _draw_classes(pen, (left + _CLASSES, body), height, panel, limits[1])
    below = body + height + 12
    _draw_sums(pen, (left, below), panel)
    draw_proofs(pen, (left, below + lines[1] * _LINE), _WIDTH, panel.proofs, pathways.layers)
    return tiles


def _origins(
    layer: PathwayLayer, corner: tuple[int, int], height: int, boxes: bool
) -> list[_Origin]:
    """Where the lines to the classes start: units or maps, the rest of them, and biases."""
    left, top = corner
    count = len(layer.drawn) + 2
    kind = "units" if boxes else "channels"
    rest = len(layer.activations) - len(layer.drawn)
    origins = []
    right = left + (_UNITS + _UNIT_BOX[0] if boxes else _MAPS + 2 * _TILE + 10)
    for row, unit in enumerate(layer.drawn):
        values = float(layer.channels[0, unit]), float(layer.channels[1, unit])
        active = float(layer.activations[unit]) if boxes else None
        label = f"unit {unit}" if boxes else ""
        origins.append(_Origin(label, values, (right, _middle(top, height, row, count)), active))
    places = [(right, _middle(top, height, len(layer.drawn) + row, count)) for row in (0, 1)]
    origins.append(_Origin(f"{rest:,} other {kind}", layer.others, places[0], combined=True))
    origins.append(_Origin("biases behind", layer.bias_share, places[1]))
    return origins


def _middle(top: int, height: int, row: int, count: int) -> int:
    """The middle of one of `count` rows."""
    return top + (2 * row + 1) * height // (2 * max(1, count))


def _end(middle: int, row: int, count: int) -> int:
    """Where the line of a row meets its class box."""
    return middle + round((row - (count - 1) / 2) * (_CLASS_BOX[1] - 28) / max(1, count - 1))


def _class_middles(top: int, height: int) -> tuple[int, int]:
    return top + height // 4, top + 3 * height // 4


def _draw_image(
    picture: Image.Image, pen: ImageDraw.ImageDraw, middle: tuple[int, int], panel: Panel
) -> Box:
    """Draws the image; `middle` is the middle of its left edge."""
    pixels = np.ascontiguousarray(to_channels(panel.image, 3))
    side = _IMAGE if panel.pathways.layers[0].role == CONVOLUTION else _LARGE_IMAGE
    thumbnail = Image.fromarray(enlarged(pixels, max(1, side // max(pixels.shape[:2]))))
    thumbnail.thumbnail((side, side), Image.Resampling.BICUBIC)
    place = middle[0] + 1, middle[1] - thumbnail.height // 2
    box = (*place, place[0] + thumbnail.width, place[1] + thumbnail.height)
    pen.rectangle((box[0] - 1, box[1] - 1, box[2], box[3]), outline=FAINT)
    picture.paste(thumbnail, place)
    return box


def _draw_heads(
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    panel: Panel,
    maps: PathwayLayer | None,
    units: PathwayLayer | None,
) -> None:
    """The image's name, and above each column the layer's."""
    left, top = corner
    bold, small = font(20, bold=True), font(SMALL)
    pen.text((left, top - 4), wrapped(panel.name, bold, _WIDTH)[0], INK, bold)
    shape = " x ".join(map(str, (panel.image.shape[2], *panel.image.shape[:2])))
    heads = [(0, 200, "input", [shape])]
    if maps is not None:
        of = " x ".join(map(str, maps.activations.shape))
        heads.append((_MAPS - 92, 340, maps.name,
                      [f"{maps.role}, {of}", "activation | contribution"]))  # fmt: skip
    if units is not None:
        count = f"layer, {len(units.activations):,} units"
        heads.append((_UNITS, 164, units.name, [units.role.removesuffix(" layer"), count]))
    heads.append((_CLASSES, 268, "logits", [f"{len(panel.class_names):,} classes"]))
    strong = font(SMALL + 1, bold=True)
    for x, width, name, lines in heads:
        pen.text((left + x, top + 26), wrapped(name, strong, width)[0], INK, strong)
        for row, line in enumerate(lines):
            pen.text((left + x, top + 46 + row * 19), line, INK, small)


def _draw_maps(
    picture: Image.Image,
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    height: int,
    layer: PathwayLayer,
    rest: int,
    largest: float,
) -> list[Box]:
    """Each channel shown: number and contributions, activation, contribution by position.

    `rest` rows below them are left free.
    """
    left, top = corner
    small, boxes = font(SMALL), []
    shrink = max(1, -(-max(layer.activations.shape[1:]) // _TILE))
    factor = max(1, _TILE // max(layer.activations.shape[1:]))
    places = range_of(layer.contributions[0, list(layer.drawn)]) if layer.drawn else Range(0, 0)
    if not layer.drawn:
        pen.text((left + _MAPS - 92, top + 20), "no channel gives anything", INK, small)
    for spot, channel in enumerate(layer.drawn):
        middle = _middle(top, height, spot, len(layer.drawn) + rest)
        tile = left + _MAPS, middle - _TILE // 2
        maps = [layer.activations[channel], layer.contributions[0, channel]]
        own = range_of(maps[0])
        signed = Range(-places.limit, places.limit)
        for place, (values, ends) in enumerate(zip(maps, (own, signed), strict=True)):
            pixels = coloured(shrunk(values, shrink), ends)
            spot_at = tile[0] + place * (_TILE + 6), tile[1]
            boxes.append(draw_map(picture, pen, spot_at, pixels, factor))
        for_two = tuple(float(v) for v in layer.channels[:, channel])
        pen.text((left + _LABELS - 4, middle - 20), f"channel {channel}", INK, small, anchor="ra")
        pen.text((left + _LABELS - 4, middle), _two(for_two, largest), INK, small, anchor="ra")
    return boxes


def _two(values: Sequence[float], largest: float) -> str:
    """The contributions to the target and to the contrast class."""
    return f"{short(values[0], largest)} | {short(values[1], largest)}"


def _draw_origins(
    pen: ImageDraw.ImageDraw, origins: Sequence[_Origin], units: PathwayLayer | None, largest: float
) -> None:
    small, strong = font(SMALL), font(SMALL, bold=True)
    peak = float(np.abs(units.activations).max(initial=0)) if units is not None else 0.0
    low = min(0.0, float(units.activations.min(initial=0))) if units is not None else 0.0
    for origin in origins:
        if not origin.label:
            continue
        right, middle = origin.place
        box = (right - _UNIT_BOX[0], middle - _UNIT_BOX[1] // 2, right, middle + _UNIT_BOX[1] // 2)
        pen.rounded_rectangle(box, 8, _PANEL_BOX, FAINT)
        text = box[0] + 10
        if origin.activation is not None:
            colour = coloured(np.array([origin.activation]), Range(low, peak))[0]
            swatch = (box[0] + 8, middle - 14, box[0] + 22, middle + 14)
            pen.rectangle(swatch, tuple(colour.tolist()), FAINT)
            text = box[0] + 30
        pen.text((text, middle - 20), origin.label, INK, strong if origin.activation else small)
        pen.text((text, middle), _two(origin.values, largest), INK, small)


def _draw_classes(
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    height: int,
    panel: Panel,
    largest: float,
) -> None:
    pathways = panel.pathways
    bold, plain = font(20, bold=True), font(SMALL)
    layer = pathways.layers[-1]
    drawn = layer.channels[:, list(layer.drawn)].sum(axis=1)
    others = layer.others
    for which, middle in enumerate(_class_middles(corner[1], height)):
        index = (pathways.target, pathways.contrast)[which]
        box = (corner[0], middle - _CLASS_BOX[1] // 2,
               corner[0] + _CLASS_BOX[0], middle + _CLASS_BOX[1] // 2)  # fmt: skip
        pen.rounded_rectangle(box, 10, _PANEL_BOX, INK if not which else FAINT, 2)
        name = wrapped(panel.class_names[index], bold, _CLASS_BOX[0] - 24)[0]
        role = "target" if not which else "contrast class"
        predicted = ", predicted" if index == pathways.predicted else ""
        pen.text((box[0] + 12, box[1] + 8), name, INK, bold)
        two_of = short(drawn[which], largest), short(others[which], largest)
        lines = [
            f"{role}{predicted} · {pathways.probabilities[index]:.1%}",
            f"{len(layer.drawn)} shown {two_of[0]}, others {two_of[1]}",
            f"biases behind {short(layer.bias_share[which], largest)}",
            f"logit {signed(layer.logits[which], 4)}",
        ]
        for row, line in enumerate(lines):
            style = font(SMALL + 1, bold=True) if row == 3 else plain
            pen.text((box[0] + 12, box[1] + 38 + row * 25), line, INK, style)


def _draw_sums(pen: ImageDraw.ImageDraw, corner: tuple[int, int], panel: Panel) -> None:
    """For each layer and class: contributions + bias share, and the recorded logit."""
    plain, bold = font(SMALL), font(SMALL, bold=True)
    pen.text(corner, "the sums", INK, bold)
    for row, line in enumerate(_sums(panel), 1):
        place = corner[0], corner[1] + row * _LINE
        pen.text(place, shortened(line, _WIDTH, plain), INK, plain)


def _sums(panel: Panel) -> list[str]:
    pathways = panel.pathways
    return [
        line for layer in pathways.layers for line in sum_lines(layer, pathways, panel.class_names)
    ]
