"""Filter sheets: kernels at known pixels, colours, the legend, weights that are zero or NaN."""

import numpy as np
import pytest
from PIL import ImageDraw

from convscope.drawing.colours import MISSING, Range, as_colour, coloured, range_of
from convscope.drawing.page import MARGIN
from convscope.lenses.filters.picture import MOST_FILTERS, MOST_KERNELS, filter_sheet

BAR = 360  # pixels: the width of the legend


def weights(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def tile(sheet, index, shape):
    """One value of each square of a tile, (height, width, 3), and that all in it are the same."""
    left, top, right, bottom = sheet.tiles[index]
    pixels = np.asarray(sheet.picture)[top:bottom, left:right]
    factor = (bottom - top) // shape[0]
    values = pixels[::factor, ::factor]
    assert np.array_equal(values.repeat(factor, axis=0).repeat(factor, axis=1), pixels)
    return values


def legend(sheet):
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


def test_a_table_has_filters_down_and_input_channels_across(texts):
    now, before = weights(5, 4, 3, 2), weights(5, 4, 3, 2, seed=1)
    sheet = filter_sheet({"learned": now, "at initialisation": before}, title="t")
    ends = range_of(np.stack([now, before]))
    kernels = [*now.reshape(-1, 3, 2), *before.reshape(-1, 3, 2)]
    assert len(sheet.tiles) == len(kernels)
    for index, kernel in enumerate(kernels):
        assert np.array_equal(tile(sheet, index, (3, 2)), coloured(kernel, ends)), index
    lefts, tops = ([box[side] for box in sheet.tiles[:20]] for side in (0, 1))
    assert lefts == lefts[:4] * 5  # input channels across
    assert lefts[:4] == sorted(set(lefts))
    assert tops == sorted(tops)
    assert {"learned", "at initialisation", "filter", "input channel"} <= set(texts)


def test_filters_on_colours_are_drawn_as_colours_and_channel_by_channel(texts):
    filters = weights(4, 3, 5, 5)
    sheet = filter_sheet({"learned": filters}, title="t")
    ends = range_of(filters)
    colours = as_colour(filters, ends.limit)
    for index in range(4):
        first = 4 * index
        assert np.array_equal(tile(sheet, first, (5, 5)), colours[index])
        for channel in range(3):
            expected = coloured(filters[index, channel], ends)
            assert np.array_equal(tile(sheet, first + 1 + channel, (5, 5)), expected)
    assert any(text.startswith("colours: mid-grey is 0, black -") for text in texts)


def test_the_legend_has_the_range_of_all_panels(texts):
    now, before = weights(4, 1, 3, 3), 9 * weights(4, 1, 3, 3, seed=1)
    sheet = filter_sheet({"learned": now, "at initialisation": before}, title="t")
    ends = range_of(np.stack([now, before]))
    assert (sheet.vmin, sheet.vmax) == (ends.low, ends.high)
    assert np.array_equal(legend(sheet), coloured(np.linspace(ends.low, ends.high, BAR), ends))
    assert "kernels: one scale for all" in texts


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_filters_that_are_zero_have_one_colour(texts, channels):
    sheet = filter_sheet({"learned": np.zeros((2, channels, 3, 3), np.float32)}, title="t")
    assert (sheet.vmin, sheet.vmax, sheet.num_missing) == (0, 0, 0)
    zero = tuple(coloured(np.zeros(1), Range(0, 0))[0])
    assert set(map(tuple, legend(sheet))) == {zero}
    for index in range(len(sheet.tiles)):
        is_colour = channels == 3 and index % 4 == 0
        expected = (128, 128, 128) if is_colour else zero
        assert set(map(tuple, tile(sheet, index, (3, 3)).reshape(-1, 3))) == {expected}
    assert not any("nan" in text or "-0" in text for text in texts)


def test_nan_is_marked_and_outside_of_the_range():
    filters = weights(4, 3, 5, 5)
    filters[1, 2, 3, 4], filters[2, 0, 0, 0] = np.nan, -np.inf
    sheet = filter_sheet({"learned": filters}, title="t")
    ends = range_of(filters)
    assert np.isfinite([sheet.vmin, sheet.vmax]).all()
    assert (sheet.vmin, sheet.vmax, sheet.num_missing) == (ends.low, ends.high, 2)
    marked = [
        (index, *map(int, place))
        for index in range(16)
        for place in np.argwhere((tile(sheet, index, (5, 5)) == MISSING).all(axis=2))
    ]
    # Tiles of filter 1 and 2: as colours, and the channel with the value.
    assert marked == [(4, 3, 4), (7, 3, 4), (8, 0, 0), (9, 0, 0)]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_without_a_finite_value_the_legend_says_so(texts, channels):
    sheet = filter_sheet({"learned": np.full((2, channels, 3, 3), np.nan)}, title="t")
    assert sheet.num_missing == 2
    for index in range(len(sheet.tiles)):
        assert set(map(tuple, tile(sheet, index, (3, 3)).reshape(-1, 3))) == {MISSING}
    assert "no finite values" in texts
    assert not any("nan" in text for text in texts)


@pytest.mark.parametrize(
    ("shape", "shown", "note"),
    [
        ((200, 3, 3, 3), 4 * MOST_FILTERS, "first 128 of 200 filters"),
        ((40, 50, 1, 1), MOST_KERNELS**2, "first 32 of 40 filters, first 32 of 50 input channels"),
        ((8, 50, 1, 1), 8 * MOST_KERNELS, "all 8 filters, first 32 of 50 input channels"),
    ],
)
def test_what_is_left_out_is_said_and_still_in_the_range(texts, shape, shown, note):
    filters = weights(*shape)
    filters[-1, -1] = 99
    sheet = filter_sheet({"learned": filters}, title="t")
    assert len(sheet.tiles) == shown
    assert sheet.vmax == 99
    assert note in texts
