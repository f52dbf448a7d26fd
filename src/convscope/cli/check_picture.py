"""A check of a data set as one picture: classes, sizes, unreadable files, near duplicates."""

from collections import Counter

import numpy as np
from PIL import Image, ImageDraw

from convscope.base.errors import UnreadableImageError
from convscope.data.check import Check
from convscope.drawing.page import FAINT, INK, MARGIN, SMALL, TINY, font, page, shortened
from convscope.drawing.sheets import png
from convscope.images.files import to_channels

_WIDTH, _GAP, _HEAD = 910, 52, 34
_CLASSES, _SAMPLES, _TILE, _NAME = 20, 8, 84, 190
_PAIRS, _PAIR_TILE = 12, 112
_BARS, _BAD = 24, 8
_BLUE, _LOST = (0, 114, 178), (213, 94, 0)


def check_sheet(found: Check) -> bytes:
    """The result of `convscope check` as the content of a PNG file.

    Left a few training images of each class; right the sizes, the unreadable files and the pairs of
    equal (distance 0) and nearly equal images in different splits, nearest first.
    """
    names = found.dataset.class_names
    pairs = _pairs(found)
    left = _HEAD + min(len(names), _CLASSES) * (_TILE + 6)
    right = (
        _sizes_height()
        + _HEAD + 24 * (1 + min(len(found.bad), _BAD + 1))
        + _HEAD + max(1, -(-min(len(pairs), _PAIRS) // 3)) * (_PAIR_TILE + 62)
    )  # fmt: skip
    lost = float(found.cropped()[found.facts.readable].mean()) if len(found.bad) < len(
        found.dataset) else 0.0  # fmt: skip
    about = (
        f"{len(found.dataset):,} images, {len(found.bad):,} unreadable · "
        f"{len(found.duplicates):,} groups of equal images, {len(found.across()):,} across "
        f"splits · {len(found.near.pairs):,} near-duplicate pairs across splits · a square "
        f"crop cuts off {lost:.1%} of the pixels"
    )
    notes = [about]
    if found.drawn:
        notes.append(f"{', '.join(found.drawn)}: the random split of `convscope train` (seed 0)")
    picture, pen, (x, y) = page(
        (2 * _WIDTH + _GAP, max(left, right)), title=f"{found.dataset.name} · check", notes=notes,
        ends=None,
    )  # fmt: skip
    ends = [_draw_classes(picture, pen, found, (x, y))]
    x += _WIDTH + _GAP
    y = _draw_sizes(pen, found, (x, y))
    y = _draw_bad(pen, found, (x, y))
    ends.append(_draw_pairs(picture, pen, found, pairs, (x, y)))
    # The page has room for the largest parts; crop what is empty.
    return png(picture.crop((0, 0, picture.width, min(picture.height, max(ends) + MARGIN))))


def _pairs(found: Check) -> list[tuple[int, int, float]]:
    """Equal images of different splits, then the nearest near duplicates: at most half of each."""
    equal = []
    for group in found.across():
        first = group[0]
        other = next(i for i in group if found.splits[i] != found.splits[first])
        equal.append((other, first, 0.0))
    near = [(p.held_out, p.other, p.distance) for p in found.near.pairs]
    half = _PAIRS // 2
    kept = max(half, _PAIRS - len(near))
    return (equal[:kept] + near)[:_PAIRS]


def _heading(pen: ImageDraw.ImageDraw, text: str, place: tuple[int, int]) -> int:
    pen.text(place, text, INK, font(18, bold=True))
    return place[1] + _HEAD


def _draw_classes(
    picture: Image.Image, pen: ImageDraw.ImageDraw, found: Check, place: tuple[int, int]
) -> int:
    names, counts, plain, small = (
        found.dataset.class_names,
        found.counts(),
        font(17),
        font(TINY + 2),
    )
    shown = min(len(names), _CLASSES)
    more = f" (the first {shown} of {len(names)})" if shown < len(names) else ""
    left, top = place[0], _heading(pen, f"training images of each class{more}", place)
    for index in range(shown):
        name = shortened(f"{index} {names[index]}", _NAME - 12, plain)
        pen.text((left, top + 12), name, INK, plain)
        texts = [f"{n:,} {split}" for n, split in
                 zip(counts[index].tolist(), ("train", "val", "test", "no split"), strict=True)
                 if n]  # fmt: skip
        pen.multiline_text((left, top + 36), "\n".join(texts), FAINT, small, spacing=2)
        mask = found.facts.readable & (found.dataset.labels == index)
        train = mask & (found.splits == "train")
        chosen = np.flatnonzero(train if train.any() else mask)
        # Evenly spaced: neighbouring files are often similar.
        chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, _SAMPLES).astype(int))] if len(
            chosen) else chosen  # fmt: skip
        for column, image in enumerate(chosen.tolist()):
            _paste(picture, found, image, (left + _NAME + column * (_TILE + 6), top), _TILE)
        top += _TILE + 6
    return top


def _sizes_height() -> int:
    return _HEAD + 190


def _shorter(found: Check) -> np.ndarray:
    return found.facts.sizes[found.facts.readable].min(axis=1, initial=1 << 40)


def _draw_sizes(pen: ImageDraw.ImageDraw, found: Check, place: tuple[int, int]) -> int:
    """A histogram of the shorter sides; where all are equal, a sentence."""
    left, top = place[0], _heading(pen, "shorter side in pixels", place)
    plain, shorter = font(SMALL), _shorter(found)
    bottom = place[1] + _sizes_height()
    if not len(shorter):
        pen.text((left, top), "no readable image", INK, plain)
        return top + 40
    low, high = int(shorter.min()), int(shorter.max())
    if low == high:
        height, width = Counter(map(tuple, found.facts.sizes[found.facts.readable].tolist())
                                ).most_common(1)[0][0]  # fmt: skip
        pen.text((left, top), f"{low} in every image (most are {height} x {width})", INK, plain)
        return top + 44
    edges = np.unique(np.rint(np.geomspace(low, high + 1, _BARS + 1)).astype(int))
    counts = np.histogram(shorter, edges)[0]
    base, tall, step = bottom - 50, bottom - 50 - top - 20, (_WIDTH - 20) // len(counts)
    for place_, count in enumerate(counts.tolist()):
        x = left + place_ * step
        height = round(tall * count / counts.max())
        if count:
            pen.rectangle((x + 1, base - max(1, height), x + step - 2, base), _BLUE)
            text = f"{count:,}" if count < 10_000 else f"{count // 1000}k"
            pen.text((x + step // 2, base - height - 3), text, INK, font(TINY), anchor="ms")
        if place_ % 3 == 0:
            pen.text((x, base + 4), str(edges[place_]), INK, font(TINY + 1))
    pen.line((left, base + 1, left + step * len(counts), base + 1), FAINT)
    pen.text((left + step * len(counts), base + 4), str(high), INK, font(TINY + 1), anchor="ra")
    return bottom


def _draw_bad(pen: ImageDraw.ImageDraw, found: Check, place: tuple[int, int]) -> int:
    left, top = place[0], _heading(pen, f"unreadable files: {len(found.bad):,}", place)
    plain = font(SMALL)
    for index, reason in sorted(found.bad.items())[:_BAD]:
        text = f"{found.dataset.paths[index]}: {reason}"
        pen.text((left, top), shortened(text, _WIDTH, plain), _LOST, plain)
        top += 24
    if len(found.bad) > _BAD:
        pen.text((left, top), f"... and {len(found.bad) - _BAD:,} more", INK, plain)
        top += 24
    return top + 14


def _draw_pairs(
    picture: Image.Image,
    pen: ImageDraw.ImageDraw,
    found: Check,
    pairs: list[tuple[int, int, float]],
    place: tuple[int, int],
) -> int:
    left, top = place[0], _heading(pen, "the same, or nearly, in two splits", place)
    small, width = font(TINY + 1), _WIDTH // 3
    if not pairs:
        pen.text((left, top), "none", INK, font(SMALL))
    for number, (one, other, distance) in enumerate(pairs):
        x, y = left + number % 3 * width, top + number // 3 * (_PAIR_TILE + 62)
        for offset, index in ((0, one), (_PAIR_TILE + 6, other)):
            _paste(picture, found, index, (x + offset, y), _PAIR_TILE)
        labels = found.dataset.labels
        conflict = "" if labels[one] == labels[other] else ", different classes"
        head = ("equal" if distance == 0 and found.facts.digests[one] == found.facts.digests[other]
                else f"distance {distance:.3f}")  # fmt: skip
        lines = [head + conflict, found.dataset.paths[one], found.dataset.paths[other]]
        for row, line in enumerate(lines):
            colour = _LOST if row == 0 and conflict else INK
            pen.text((x, y + _PAIR_TILE + 3 + 16 * row), shortened(line, width - 14, small), colour,
                     small)  # fmt: skip
    return top + (_PAIR_TILE + 62) * -(-len(pairs) // 3) if pairs else top + 24


def _paste(
    picture: Image.Image, found: Check, index: int, place: tuple[int, int], side: int
) -> None:
    """The whole image in a square; small ones enlarged by a whole factor, pixel by pixel."""
    try:
        pixels = to_channels(found.dataset.image(index, found.dataset.channels), 3)
    except UnreadableImageError:  # gone since it was looked at
        return
    tile = Image.fromarray(np.ascontiguousarray(pixels))
    longer = max(tile.size)
    scale = side // longer if longer * 2 <= side else side / longer
    method = Image.Resampling.NEAREST if longer * 2 <= side else Image.Resampling.BICUBIC
    size = max(1, round(tile.width * scale)), max(1, round(tile.height * scale))
    tile = tile.resize(size, method)
    picture.paste(tile, (place[0] + (side - size[0]) // 2, place[1] + (side - size[1]) // 2))
