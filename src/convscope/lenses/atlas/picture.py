"""The top images of channels as a picture: each patch beside its projection."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from convscope.base.tensors import Pixels
from convscope.drawing.colours import Range, as_colour, coloured, enlarged, shrunk
from convscope.drawing.page import FAINT, INK, SMALL, Box, font, number, page, shortened, wrapped
from convscope.drawing.sheets import Sheet
from convscope.images.files import to_channels
from convscope.images.preprocess import Preprocess
from convscope.lenses.atlas.files import About, Atlas
from convscope.lenses.atlas.result import Channel, channels_of

PER_LAYER = 8
_WIDTH, _ASIDE, _ROWS = 2040, 232, 2
_SHOWN = 9
_GAP, _MIDDLE, _BETWEEN = 2, 8, 22  # of cells, of projections and patches, of channels
_CAPTION = SMALL + 12
_SMALLEST, _LARGEST = 64, 112  # pixels that a cell should have
# Projections have few very large values: above this quantile of the magnitudes colours saturate.
_QUANTILE = 0.97
EMPTY = (240, 240, 240)


@dataclass(frozen=True, eq=False)
class ChannelPanel:
    """A channel as it is drawn.

    Attributes:
        caption: its index and statistics.
        tiles: of each top image the projection (colours, height, width), signed, and the patch
            (height, width, channels), 0..255: the part of the image that the unit sees.
    """

    caption: str
    tiles: tuple[tuple[np.ndarray, Pixels], ...]


@dataclass(frozen=True, eq=False)
class LayerPanel:
    """The channels of a layer: `about` is the text beside them, its first line bold."""

    about: tuple[str, ...]
    channels: tuple[ChannelPanel, ...]


@dataclass(frozen=True)
class _Layout:
    """How a layer's channels are laid out: cells of `cell` pixels, made by `factor` or `shrink`."""

    cell: int
    factor: int
    shrink: int

    @property
    def side(self) -> int:
        """Of 3 x 3 cells."""
        return 3 * self.cell + 2 * _GAP

    @property
    def width(self) -> int:
        """Of a channel."""
        return 2 * self.side + _MIDDLE

    @property
    def columns(self) -> int:
        """Channels side by side."""
        return max(1, (_WIDTH + _BETWEEN) // (self.width + _BETWEEN))


def hierarchy_sheet(layers: Sequence[LayerPanel], *, title: str, notes: Sequence[str]) -> Sheet:
    """For each layer two rows of channels, each as 3 x 3 projections beside the 3 x 3 patches.

    Projections are signed: mid-grey, or white where images are grey, is zero. Each has a scale of
    its own, on which the largest 3 % of its magnitudes are saturated; NaN and infinities are
    magenta. Small tiles are enlarged without smoothing; large ones are shrunk, each pixel being a
    mean.

    Args:
        layers: from the image to the logits.
        title: network and data.
        notes: lines below the title.

    Source: Zeiler & Fergus 2014, figure 2.
    """
    tiles = [tile for layer in layers for channel in layer.channels for tile in channel.tiles]
    grey = all(projection.shape[0] == 1 for projection, _ in tiles)
    layouts = [_layout(layer) for layer in layers]
    counts = [
        min(len(layer.channels), _ROWS * layout.columns)
        for layer, layout in zip(layers, layouts, strict=True)
    ]
    heights = [
        max(1, -(-count // layout.columns)) * (layout.side + _CAPTION + 10)
        for count, layout in zip(counts, layouts, strict=True)
    ]
    size = _ASIDE + _WIDTH, sum(heights) + 14 * (len(layers) - 1)
    picture, pen, (left, top) = page(
        size, title=title, notes=notes, ends=Range(-1, 1) if grey else None,
        legend="share of each projection's colour limit" if grey else "",
    )  # fmt: skip
    boxes: list[Box] = []
    for layer, layout, count, height in zip(layers, layouts, counts, heights, strict=True):
        if boxes:
            pen.line((left, top - 9, left + size[0], top - 9), (225, 225, 225))
        _write_about(pen, (left, top), layer.about)
        for place, channel in enumerate(layer.channels[:count]):
            row, column = divmod(place, layout.columns)
            x = left + _ASIDE + column * (layout.width + _BETWEEN)
            y = top + row * (layout.side + _CAPTION + 10)
            boxes.append(_draw_channel(picture, pen, (x, y), channel, layout))
        top += height + 14
    return Sheet(picture, -1.0, 1.0, tuple(boxes))


def _layout(layer: LayerPanel) -> _Layout:
    shapes = [patch.shape[:2] for channel in layer.channels for _, patch in channel.tiles]
    side = max((max(shape) for shape in shapes), default=_SMALLEST)
    factor, shrink = max(1, -(-_SMALLEST // max(1, side))), max(1, -(-side // _LARGEST))
    return _Layout(-(-side // shrink) * factor, factor, shrink)


def notes_of(about: About) -> list[str]:
    """The notes of an atlas' sheet."""
    zero = "white" if about.preprocess["channels"] == 1 else "mid-grey"
    below = "channel, largest activation, share of the images that activate it"
    if about.class_names:
        below += ", and the class with the largest mean activation, with the selectivity, 0 to 1"
    shown = (
        f"For each channel the {min(about.top, _SHOWN)} images that activate it most, the largest "
        "activation first, cut to what the unit sees; on the left the unit's activation projected "
        "to the pixels by a deconvnet: switches of the max pools, ReLU on the way back, batch norm "
        "times gamma / sigma, no bias."
    )
    scale = (
        f"Zero is {zero}; each projection has its own scale, on which the largest 3 % of the "
        "magnitudes are saturated."
    )
    return [shown, f"{scale} Below: {below}."]


def panels_of(
    atlas: Atlas,
    preprocess: Preprocess,
    read: Callable[[int], Pixels],
    *,
    layers: Sequence[str] | None = None,
    per_layer: int = PER_LAYER,
) -> list[LayerPanel]:
    """Layers of an atlas with some of their projected channels, for `hierarchy_sheet`.

    Args:
        atlas: a complete one.
        preprocess: the network's view of an image.
        read: an image of the atlas by its number, decoded.
        layers: all by default.
        per_layer: channels of each, drawn by the atlas' seed from those that are not dead.

    Raises:
        ConvscopeError: a damaged atlas, or an image that cannot be read.
    """
    return [
        _panel(atlas, name, preprocess, read, per_layer) for name in layers or atlas.about.layers
    ]


def _panel(
    atlas: Atlas,
    name: str,
    preprocess: Preprocess,
    read: Callable[[int], Pixels],
    per_layer: int,
) -> LayerPanel:
    layer = atlas.layer(name)
    ranking, projected = layer.ranking, layer.projections.channels
    living = projected[~ranking.dead[projected]]
    drawn = np.random.default_rng(atlas.about.seed).permutation(living)[:per_layer]
    entries = channels_of(atlas, layer, sorted(drawn.tolist()))
    channels = []
    for entry in entries:
        tiles = []
        for rank, image in enumerate(ranking.images[entry.channel, : len(entry.top)].tolist()):
            projection = layer.projection(entry.channel, rank)
            assert projection is not None
            top, left, bottom, right = entry.top[rank].crop
            pixels = preprocess.centre(preprocess.canvas(read(image)))
            tiles.append((projection, pixels[top:bottom, left:right]))
        channels.append(ChannelPanel(_caption(entry), tuple(tiles)))
    dead, total = int(ranking.dead.sum()), len(ranking.active)
    sizes = layer.crops[ranking.images >= 0]
    largest = (sizes[:, 2:] - sizes[:, :2]).max(axis=0) if len(sizes) else (0, 0)
    seen = f"{largest[0]} x {largest[1]} pixels seen" + ("" if layer.exact else " at most")
    return LayerPanel((name, f"{total:,} channels, {dead:,} dead", seen), tuple(channels))


def _caption(entry: Channel) -> str:
    text = f"{entry.channel} · up to {number(entry.maximum)} · {entry.active:.0%} of images"
    if entry.class_name is not None:
        text += f" · {entry.class_name} {entry.selectivity:.2f}"
    return text


def _write_about(pen: ImageDraw.ImageDraw, corner: tuple[int, int], about: Sequence[str]) -> None:
    styles = [font(SMALL + 2, bold=True)] + [font(SMALL)] * (len(about) - 1)
    y = corner[1]
    for text, style in zip(about, styles, strict=True):
        for line in wrapped(text, style, _ASIDE - 20):
            pen.text((corner[0], y), line, INK, style)
            y += SMALL + 8


def _draw_channel(
    picture: Image.Image,
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    channel: ChannelPanel,
    layout: _Layout,
) -> Box:
    """Nine projections on the left, nine patches on the right, the caption below."""
    x, y = corner
    side, step = layout.side, layout.cell + _GAP
    halves = x, x + side + _MIDDLE
    for place in range(_SHOWN):
        tiles: tuple[Pixels, ...] = ()
        if place < len(channel.tiles) and channel.tiles[place][1].size:
            projection, patch = channel.tiles[place]
            shown = np.moveaxis(to_channels(patch, 3), -1, 0)
            small = shrunk(shown, layout.shrink).round().astype(np.uint8)
            tiles = (
                projection_pixels(shrunk(projection, layout.shrink)),
                np.ascontiguousarray(np.moveaxis(small, 0, -1)),
            )
        for half, left in enumerate(halves):
            spot = left + place % 3 * step, y + place // 3 * step
            pen.rectangle((*spot, spot[0] + layout.cell - 1, spot[1] + layout.cell - 1), EMPTY)
            if tiles:
                tile = Image.fromarray(enlarged(tiles[half], layout.factor))
                free = layout.cell - tile.width, layout.cell - tile.height
                picture.paste(tile, (spot[0] + free[0] // 2, spot[1] + free[1] // 2))
    for left in halves:
        pen.rectangle((left - 1, y - 1, left + side, y + side), outline=FAINT)
    style = font(SMALL)
    pen.text((x, y + side + 3), shortened(channel.caption, layout.width, style), INK, style)
    return (x, y, x + layout.width, y + side)


def colour_limit(values: np.ndarray) -> float:
    """The magnitude above which a projection's colours are saturated; 0 where all of it is zero.

    The 97 % quantile over the pixels of the largest magnitude of their colours, or where that is 0
    the largest. Pixels with NaN or infinities do not count.
    """
    magnitudes = np.abs(values).max(axis=0)
    magnitudes = magnitudes[np.isfinite(magnitudes)]
    if not magnitudes.size:
        return 0.0
    return float(np.quantile(magnitudes, _QUANTILE)) or float(magnitudes.max())


def projection_pixels(values: np.ndarray) -> Pixels:
    """A projection (colours, height, width) as pixels (height, width, 3), on its own scale."""
    limit = colour_limit(values)
    if values.shape[0] == 3:
        return as_colour(values, limit)
    shares = values.mean(axis=0) / (limit if limit > 0 else 1)
    return coloured(shares, Range(-1, 1)).astype(np.uint8)
