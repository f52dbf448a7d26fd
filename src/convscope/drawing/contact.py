"""Pixel arrays as pictures for people: enlarged, and side by side."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from convscope.base.tensors import Pixels
from convscope.images.files import to_channels

_INK = (32, 32, 32)
_PAPER = (255, 255, 255)


def contact_sheet(
    images: Sequence[Pixels],
    captions: Sequence[str],
    *,
    title: str,
    columns: int = 6,
    tile: int = 160,
) -> Image.Image:
    """Images in a grid with a caption below each and a title above.

    Small images are enlarged by whole factors without smoothing, so that each pixel stays visible.
    """
    size = max(12, tile // 11)
    font, bold = ImageFont.load_default(size), ImageFont.load_default(size + 5)
    columns = max(1, min(columns, len(images)))
    rows = -(-len(images) // columns)
    lines = 1 + max((caption.count("\n") for caption in captions), default=0)
    gap, head = 14, size * 3
    cell = tile + gap, tile + gap + lines * (size + 4) + 4
    sheet = Image.new("RGB", (columns * cell[0] + gap, head + rows * cell[1] + gap), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((gap, size * 0.7), _shortened(title, sheet.width - 2 * gap, bold), _INK, bold)
    for place, (pixels, caption) in enumerate(zip(images, captions, strict=True)):
        left = gap + place % columns * cell[0]
        top = head + place // columns * cell[1]
        picture = _fitted(to_channels(pixels, 3), tile)
        sheet.paste(
            picture, (left + (tile - picture.width) // 2, top + (tile - picture.height) // 2)
        )
        text = "\n".join(_shortened(line, tile, font) for line in caption.split("\n"))
        pen.multiline_text((left, top + tile + 3), text, _INK, font)
    return sheet


def _fitted(pixels: Pixels, tile: int) -> Image.Image:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    longer = max(picture.size)
    if longer * 2 <= tile:
        factor = tile // longer
        return picture.resize(
            (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
        )
    scale = tile / longer
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BICUBIC)


def _shortened(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """`text` without its beginning where it is too long: a path's end says more."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("..." + text) > width:
        text = text[1:]
    return "..." + text
