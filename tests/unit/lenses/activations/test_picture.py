"""`strongest.png`: values at known pixels, the legend, maps that are zero and maps with NaN."""

import numpy as np
import pytest
from PIL import ImageDraw

from convscope.drawing.colours import DEAD, MISSING, Range, Scale, coloured, range_of
from convscope.drawing.page import MARGIN
from convscope.lenses.activations.strongest import Block, strongest_channels, strongest_sheet

SIDE, FACTOR = 16, 8  # a map of 16 x 16 in a tile of 128 x 128 pixels
IMAGE = np.random.default_rng(9).integers(0, 256, (28, 28, 3), dtype=np.uint8)
BAR = 360  # pixels: the width of the legend


def maps(channels, seed=0):
    return np.random.default_rng(seed).normal(size=(channels, SIDE, SIDE)).astype(np.float32)


def drawn(*values, **more):
    blocks = [Block(f"block {i}: layer", "relu", v) for i, v in enumerate(values, 1)]
    return strongest_sheet(IMAGE, blocks, title="t", **more)


def tile(sheet, index):
    left, top, right, bottom = sheet.tiles[index]
    return np.asarray(sheet.picture)[top:bottom, left:right]


def squares(values, ends):
    return coloured(values, ends).repeat(FACTOR, axis=0).repeat(FACTOR, axis=1)


def legend(sheet):
    """The colours of the legend, from its smallest to its largest value."""
    left = sheet.picture.width - MARGIN - BAR
    return np.asarray(sheet.picture)[MARGIN + 30, left : left + BAR]


@pytest.fixture
def texts(monkeypatch):
    """Every text that is drawn."""
    written, text = [], ImageDraw.ImageDraw.text

    def record(self, place, content, *arguments, **more):
        written.append(content)
        return text(self, place, content, *arguments, **more)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", record)
    return written


def shares(values, scale):
    """Values as the scale divides them, in double precision."""
    values = values.astype(np.float64)
    if scale is Scale.unit:
        return values / np.abs(values).max(axis=(1, 2), keepdims=True)
    return values / np.abs(values).max() if scale is Scale.layer else values


@pytest.mark.parametrize("scale", list(Scale))
def test_each_tile_is_a_strong_map_in_the_colours_of_its_scale(scale):
    first, second = maps(12), 5 * maps(3, seed=1)
    ends = Range(-40.0, 50.0)
    sheet = drawn(first, second, scale=scale, network=ends)
    one, two = shares(first, scale), shares(second, scale)
    if scale is not Scale.network:
        ends = range_of(np.concatenate([one, two]))
    expected = [one[c] for c in strongest_channels(first)]
    expected += [two[c] for c in strongest_channels(second)]
    assert len(sheet.tiles) == len(expected) == 8 + 3
    for index, values in enumerate(expected):
        assert np.array_equal(tile(sheet, index), squares(values, ends)), index


@pytest.mark.parametrize("scale", list(Scale))
def test_the_legend_has_the_range_and_says_of_what(texts, scale):
    values = maps(2)
    sheet = drawn(values, scale=scale, network=Range(-5.0, 7.0))
    ends = Range(-5.0, 7.0) if scale is Scale.network else range_of(shares(values, scale))
    assert (sheet.vmin, sheet.vmax) == (ends.low, ends.high)
    assert np.array_equal(legend(sheet), coloured(np.linspace(ends.low, ends.high, BAR), ends))
    words = {
        Scale.unit: "share of each map's largest magnitude",
        Scale.layer: "share of each row's largest magnitude",
        Scale.network: "one scale for all layers",
    }
    assert words[scale] in texts


def test_the_image_stands_at_the_left_enlarged():
    sheet = drawn(maps(2))
    factor = 320 // 28
    side = 28 * factor
    right, top = sheet.tiles[0][0] - 230 - 32 - 1, sheet.tiles[0][1] + 1
    shown = np.asarray(sheet.picture)[top : top + side, right - side : right]
    assert np.array_equal(shown, IMAGE.repeat(factor, axis=0).repeat(factor, axis=1))


def test_each_row_and_map_carries_its_figures(texts):
    values = np.zeros((2, SIDE, SIDE), np.float32)
    values[0, 0, 0], values[1] = -1.5, 0.25
    drawn(values)
    shape = "2 x 16 x 16".replace(" ", "\u00a0")  # stays on one line
    assert {"block 1: layer", "relu", shape, "-1.5 to 0.25"} <= set(texts)
    assert [text for text in texts if ", mean " in text] == ["1, mean 0.25", "0, mean -0.00586"]


def test_maps_that_are_zero_are_grey_with_a_dash(texts):
    sheet = drawn(np.zeros((3, SIDE, SIDE), np.float32))
    assert (sheet.vmin, sheet.vmax) == (0, 0)
    assert set(map(tuple, legend(sheet))) == {tuple(coloured(np.zeros(1), Range(0, 0))[0])}
    for index in range(3):
        pixels = tile(sheet, index)
        assert tuple(pixels[0, 0]) == tuple(pixels[-1, -1]) == DEAD
        assert tuple(pixels[64, 64]) != DEAD  # the dash
    assert "0, mean 0" in texts


def test_nan_and_infinities_are_marked_last_and_outside_of_the_range(texts):
    values = maps(3)
    values[0, 2, 3], values[1, 4, 5] = np.nan, np.inf
    sheet = drawn(values, scale=Scale.layer)
    assert np.isfinite([sheet.vmin, sheet.vmax]).all()
    finite = np.where(np.isfinite(values), values, 0).astype(np.float64)
    ends = range_of(finite / np.abs(finite).max())
    assert (sheet.vmin, sheet.vmax) == (ends.low, ends.high)
    for index, (channel, row, column) in enumerate([(2, 0, 0), (0, 2, 3), (1, 4, 5)]):
        expected = squares(values[channel] / np.abs(finite).max(), ends)
        assert np.array_equal(tile(sheet, index), expected)
        square = tile(sheet, index)[row * FACTOR, column * FACTOR]
        assert (tuple(square) == MISSING) == (channel < 2)
    assert {"0, mean nan", "1, mean inf"} <= set(texts)


def test_without_a_finite_value_the_legend_says_so(texts):
    sheet = drawn(np.full((1, SIDE, SIDE), np.nan, np.float32))
    assert set(map(tuple, tile(sheet, 0).reshape(-1, 3))) == {MISSING}
    assert "no finite values" in texts
