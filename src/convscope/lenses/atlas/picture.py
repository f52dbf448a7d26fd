"""What channels look for, as a picture: projections beside the patches that excited them."""

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

PER_LAYER = 8
_WIDTH, _ASIDE, _ROWS = 2040, 232, 2
_SHOWN = 9
_GAP, _MIDDLE, _BETWEEN = 2, 8, 22  # of cells, of projections and patches, of channels
_CAPTION = SMALL + 12
_SMALLEST, _LARGEST = 64, 112  # pixels that a cell should have
# Projections have few very large values: colours are full from this share of the pixels on.
_FULL_FROM = 0.97
_EMPTY = (240, 240, 240)


@dataclass(frozen=True, eq=False)
class Unit:
    """A channel as it is drawn.

    Attributes:
        caption: number and figures.
        projections: (top, colours, height, width), signed; what lies beyond a patch is cut off.
        patches: (height, width, channels) 0..255 each, the parts of the images that the units see.
    """

    caption: str
    projections: np.ndarray
    patches: tuple[Pixels, ...]


@dataclass(frozen=True, eq=False)
class Group:
    """The channels of a layer: `about` is what stands beside them, its first line bold."""

    about: tuple[str, ...]
    units: tuple[Unit, ...]


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


def hierarchy_sheet(groups: Sequence[Group], *, title: str, notes: Sequence[str]) -> Sheet:
    """For each layer two rows of channels, each as 3 x 3 projections beside the 3 x 3 patches.

    Projections are signed: mid-grey, or white where images are grey, is zero; each has its own
    scale, and its 3 % largest magnitudes have the full colour. What is small is enlarged without
    smoothing; what is large is shrunk, each pixel being a mean.

    Args:
        groups: from the image to the logits.
        title: network and data.
        notes: lines below the title.

    Source: Zeiler & Fergus 2013, figure 2.
    """
    grey = all(unit.projections.shape[1] == 1 for group in groups for unit in group.units)
    layouts = [_layout(group) for group in groups]
    counts = [min(len(g.units), _ROWS * p.columns) for g, p in zip(groups, layouts, strict=True)]
    heights = [
        max(1, -(-count // layout.columns)) * (layout.side + _CAPTION + 10)
        for count, layout in zip(counts, layouts, strict=True)
    ]
    size = _ASIDE + _WIDTH, sum(heights) + 14 * (len(groups) - 1)
    picture, pen, (left, top) = page(
        size, title=title, notes=notes, ends=Range(-1, 1) if grey else None,
        legend="share of each one's full colour" if grey else "",
    )  # fmt: skip
    tiles: list[Box] = []
    for group, layout, count, height in zip(groups, layouts, counts, heights, strict=True):
        if tiles:
            pen.line((left, top - 9, left + size[0], top - 9), (225, 225, 225))
        _write_about(pen, (left, top), group.about)
        for place, unit in enumerate(group.units[:count]):
            row, column = divmod(place, layout.columns)
            x = left + _ASIDE + column * (layout.width + _BETWEEN)
            y = top + row * (layout.side + _CAPTION + 10)
            tiles.append(_draw_unit(picture, pen, (x, y), unit, layout))
        top += height + 14
    return Sheet(picture, -1.0, 1.0, tuple(tiles))


def _layout(group: Group) -> _Layout:
    shapes = [patch.shape[:2] for unit in group.units for patch in unit.patches]
    side = max((max(shape) for shape in shapes), default=_SMALLEST)
    factor, shrink = max(1, -(-_SMALLEST // max(1, side))), max(1, -(-side // _LARGEST))
    return _Layout(-(-side // shrink) * factor, factor, shrink)


def notes_of(about: About) -> list[str]:
    """What the reader of an atlas' sheet must know."""
    zero = "white" if about.preprocess["channels"] == 1 else "mid-grey"
    below = "channel, largest activation, share of the images that activate it"
    if about.class_names:
        below += ", and the class it answers to most with its selectivity, 0 to 1"
    shown = (
        "For each channel the nine images that excite it most, strongest first, cut to what the "
        "unit sees; at the left what excited it there, projected back by deconvnet: switches of "
        "the max pools, ReLU on the way back, batch norm times gamma / sigma, no bias."
    )
    scale = f"Zero is {zero}; each has its own scale, full from its 3 % largest magnitudes on."
    return [shown, f"{scale} Below: {below}."]


def groups_of(
    atlas: Atlas,
    preprocess: Preprocess,
    read: Callable[[int], Pixels],
    *,
    layers: Sequence[str] | None = None,
    per_layer: int = PER_LAYER,
) -> list[Group]:
    """Layers of an atlas with some of their projected channels, for `hierarchy_sheet`.

    Args:
        atlas: a whole one.
        preprocess: the network's view of an image.
        read: an image of the atlas by its number, decoded.
        layers: all by default.
        per_layer: channels of each, drawn by the atlas' seed from those that are not dead.

    Raises:
        ConvscopeError: a damaged atlas, or an image that cannot be read.
    """
    return [
        _group(atlas, name, preprocess, read, per_layer) for name in layers or atlas.about.layers
    ]


def _group(
    atlas: Atlas,
    name: str,
    preprocess: Preprocess,
    read: Callable[[int], Pixels],
    per_layer: int,
) -> Group:
    layer = atlas.layer(name)
    ranking, found = layer.ranking, layer.projections
    living = np.flatnonzero(~ranking.dead[found.channels])
    drawn = np.random.default_rng(atlas.about.seed).permutation(living)[:per_layer]
    dead, channels = int(ranking.dead.sum()), len(ranking.active)
    selectivity, best = ranking.selectivity()
    units = []
    for place in sorted(drawn.tolist()):
        channel = int(found.channels[place])
        patches = []
        for image, crop in zip(ranking.images[channel], layer.crops[channel], strict=True):
            if image >= 0:
                pixels = preprocess.centre(preprocess.canvas(read(int(image))))
                y0, x0, y1, x1 = crop.tolist()
                patches.append(pixels[y0:y1, x0:x1])
        caption = (
            f"{channel} · up to {number(float(ranking.largest[channel]))} · "
            f"{ranking.share[channel]:.0%} of images"
        )
        if best[channel] >= 0:
            of = atlas.about.class_names[int(best[channel])]
            caption += f" · {of} {selectivity[channel]:.2f}"
        shares, scales = found.shares[place], found.scales[place]
        projections = shares.astype(np.float32) * scales[:, None, None, None]
        units.append(Unit(caption, projections, tuple(patches)))
    sizes = layer.crops[ranking.images >= 0]
    largest = (sizes[:, 2:] - sizes[:, :2]).max(axis=0) if len(sizes) else (0, 0)
    seen = f"{largest[0]} x {largest[1]} pixels seen" + ("" if layer.exact else " at most")
    about = (name, f"{channels:,} channels, {dead:,} dead", seen)
    return Group(about, tuple(units))


def _write_about(pen: ImageDraw.ImageDraw, corner: tuple[int, int], about: Sequence[str]) -> None:
    styles = [font(SMALL + 2, bold=True)] + [font(SMALL)] * (len(about) - 1)
    y = corner[1]
    for text, style in zip(about, styles, strict=True):
        for line in wrapped(text, style, _ASIDE - 20):
            pen.text((corner[0], y), line, INK, style)
            y += SMALL + 8


def _draw_unit(
    picture: Image.Image,
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    unit: Unit,
    layout: _Layout,
) -> Box:
    """Nine projections at the left, nine patches at the right, the caption below."""
    x, y = corner
    side, step = layout.side, layout.cell + _GAP
    halves = x, x + side + _MIDDLE
    for place in range(_SHOWN):
        tiles: tuple[Pixels, ...] = ()
        if place < len(unit.patches) and unit.patches[place].size:
            patch = unit.patches[place]
            values = unit.projections[place][:, : patch.shape[0], : patch.shape[1]]
            shown = np.moveaxis(to_channels(patch, 3), -1, 0)
            small = shrunk(shown, layout.shrink).round().astype(np.uint8)
            tiles = (
                projection_pixels(shrunk(values, layout.shrink)),
                np.ascontiguousarray(np.moveaxis(small, 0, -1)),
            )
        for half, left in enumerate(halves):
            spot = left + place % 3 * step, y + place // 3 * step
            pen.rectangle((*spot, spot[0] + layout.cell - 1, spot[1] + layout.cell - 1), _EMPTY)
            if tiles:
                tile = Image.fromarray(enlarged(tiles[half], layout.factor))
                free = layout.cell - tile.width, layout.cell - tile.height
                picture.paste(tile, (spot[0] + free[0] // 2, spot[1] + free[1] // 2))
    for left in halves:
        pen.rectangle((left - 1, y - 1, left + side, y + side), outline=FAINT)
    style = font(SMALL)
    pen.text((x, y + side + 3), shortened(unit.caption, layout.width, style), INK, style)
    return (x, y, x + layout.width, y + side)


def full_from(values: np.ndarray) -> float:
    """The magnitude from which on a projection's colours are full; 0 where all of it is zero."""
    magnitudes = np.abs(values).max(axis=0)
    return float(np.quantile(magnitudes, _FULL_FROM)) or float(magnitudes.max())


def projection_pixels(values: np.ndarray) -> Pixels:
    """A projection (colours, height, width) as pixels (height, width, 3), on its own scale."""
    limit = full_from(values)
    if values.shape[0] == 3:
        return as_colour(values, limit)
    shares = values.mean(axis=0) / (limit if limit > 0 else 1)
    return coloured(np.clip(shares, -1, 1), Range(-1, 1)).astype(np.uint8)
