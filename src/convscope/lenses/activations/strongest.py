"""The maps with the largest means of each block on one sheet, beside the image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from PIL import Image, ImageDraw

from convscope.base.numbers import number
from convscope.base.tensors import Pixels
from convscope.drawing.colours import Range, Scale, coloured, enlarged, range_of, shrunk
from convscope.drawing.page import FAINT, INK, SMALL, Box, font, page, wrapped
from convscope.drawing.sheets import Maps, Sheet, draw_map, scaled
from convscope.graph.blocks import HEAD, blocks
from convscope.graph.graph import Graph, Node
from convscope.graph.kinds import ACTIVATIONS, POOLS
from convscope.images.files import to_channels

PER_BLOCK = 8
_TILE, _TEXT, _IMAGE = 128, 230, 320
_ROW = _TILE + SMALL + 14
_LEGENDS = {
    Scale.unit: "share of each map's largest magnitude",
    Scale.layer: "share of each row's largest magnitude",
    Scale.network: "one scale for all layers",
}


@dataclass(frozen=True)
class Block:
    """The last activation of a block: layer, kind, and its maps (channels, height, width)."""

    name: str
    kind: str
    values: np.ndarray


def block_ends(graph: Graph) -> dict[str, Node]:
    """For each block ("block 1", ...) its last activation function, or its last pool without one.

    The head and maps of one pixel are omitted.
    """
    ends: dict[str, Node] = {}
    for name, block in blocks(graph).items():
        node = graph[name]
        if block == HEAD or len(node.output_shape) != 3 or node.output_shape[1:] == (1, 1):
            continue
        pool_only = block not in ends or ends[block].kind in POOLS
        if node.kind in ACTIVATIONS or (node.kind in POOLS and pool_only):
            ends[block] = node
    return ends


def strongest_channels(values: np.ndarray, count: int = PER_BLOCK) -> list[int]:
    """The `count` channels of (channels, height, width) with the largest mean, largest first.

    Maps with NaN or infinities are last.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        means = values.astype(np.float64).mean(axis=(1, 2))
    means[~np.isfinite(means)] = -np.inf
    return np.argsort(-means, kind="stable")[:count].tolist()


def strongest_sheet(
    image: Pixels,
    blocks: Sequence[Block],
    *,
    title: str,
    notes: Sequence[str] = (),
    scale: Scale = Scale.unit,
    network: Range | None = None,
) -> Sheet:
    """The image at the left; at its right a row for each block with its strongest maps.

    Each map is labelled with its channel and mean, each row with the range of its block. Maps have
    the scale of their layer's own sheet; the legend shows shares, except for `Scale.network`.

    Args:
        image: resized and cropped as for the network, before normalisation.
        blocks: one or more, from the image to the logits.
        title: network and image.
        notes: lines below the title.
        scale: over what colours compare.
        network: the range of all layers, for `Scale.network`.
    """
    layers = [scaled(block.values, scale, network) for block in blocks]
    legend = _LEGENDS[scale]
    if scale is Scale.layer:
        # Each row has its own scale, so that one legend for all rows shows shares.
        layers = [
            replace(maps, values=maps.values.astype(np.float64) / (maps.ends.limit or 1))
            for maps in layers
        ]
        layers = [replace(maps, ends=range_of(maps.values)) for maps in layers]
    ends = reduce(Range.joined, (maps.ends for maps in layers))
    shown = _shown(image)
    aside = shown.width + 32
    size = (
        aside + _TEXT + PER_BLOCK * (_TILE + 12),
        max(len(blocks) * _ROW, shown.height),
    )
    picture, pen, (left, top) = page(size, title=title, notes=notes, ends=ends, legend=legend)
    picture.paste(shown, (left, top))
    tiles: list[Box] = []
    for row, (block, maps) in enumerate(zip(blocks, layers, strict=True)):
        corner = left + aside, top + row * _ROW
        _draw_about(pen, corner, block)
        place = corner[0] + _TEXT, corner[1]
        tiles += _draw_maps(picture, pen, place, block, replace(maps, ends=ends))
    return Sheet(picture, ends.low, ends.high, tuple(tiles))


def _draw_about(pen: ImageDraw.ImageDraw, corner: tuple[int, int], block: Block) -> None:
    """Name, kind, shape and range of a block's last layer."""
    small, bold = font(SMALL), font(SMALL + 2, bold=True)
    ends = range_of(block.values)
    shape = " x ".join(map(str, block.values.shape))
    lines = [(line, bold) for line in wrapped(block.name, bold, _TEXT - 16)[:3]]
    for text in (block.kind, shape, f"{number(ends.low)} to {number(ends.high)}"):
        lines += [(line, small) for line in wrapped(text, small, _TEXT - 16)]
    for place, (line, style) in enumerate(lines):
        pen.text((corner[0], corner[1] + place * (SMALL + 8)), line, INK, style)


def _draw_maps(
    picture: Image.Image,
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    block: Block,
    maps: Maps,
) -> list[Box]:
    """The strongest maps side by side, each with its channel and its mean."""
    small, boxes = font(SMALL), []
    shrink = max(1, -(-max(block.values.shape[1:]) // _TILE))
    for place, channel in enumerate(strongest_channels(block.values)):
        values = shrunk(maps.values[channel], shrink)
        left = corner[0] + place * (_TILE + 12)
        box = draw_map(
            picture, pen, (left, corner[1]), coloured(values, maps.ends),
            max(1, _TILE // max(values.shape)), dead=bool(maps.dead[channel]),
        )  # fmt: skip
        with np.errstate(invalid="ignore"):
            mean = float(block.values[channel].mean(dtype=np.float64))
        pen.text((left, box[3] + 2), f"{channel}, mean {number(mean)}", INK, small)
        boxes.append(box)
    return boxes


def _shown(image: Pixels) -> Image.Image:
    """The image with a frame, enlarged by an integer factor or shrunk to fit."""
    pixels = np.ascontiguousarray(to_channels(image, 3))
    longer = max(pixels.shape[:2])
    if longer <= _IMAGE:
        shown = Image.fromarray(enlarged(pixels, _IMAGE // longer))
    else:
        shown = Image.fromarray(pixels)
        shown.thumbnail((_IMAGE, _IMAGE), Image.Resampling.BICUBIC)
    framed = Image.new("RGB", (shown.width + 2, shown.height + 2), FAINT)
    framed.paste(shown, (1, 1))
    return framed
