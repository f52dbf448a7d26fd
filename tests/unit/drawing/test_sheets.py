"""Sheets: the numbers they carry, the colours they show, and that nothing lies on anything else."""

import io

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from convscope.base.numbers import number
from convscope.drawing.colours import (
    DEAD,
    MISSING,
    Range,
    Scale,
    as_colour,
    coloured,
    range_of,
    shrunk,
)
from convscope.drawing.page import Grid, arranged, font, shortened, wrapped
from convscope.drawing.sheets import Sheet, layer_sheet
from convscope.lenses.activations.strongest import (
    Block,
    block_ends,
    strongest_channels,
    strongest_sheet,
)
from convscope.lenses.filters.picture import filter_sheet


def values(channels=6, height=5, width=7, *, signed=True, seed=0):
    numbers = np.random.default_rng(seed).normal(size=(channels, height, width))
    return (numbers if signed else np.maximum(numbers, 0)).astype(np.float32)


def pixel(sheet, tile, row=0, column=0, factor=None):
    """The colour in the middle of a value's square."""
    left, top, right, _ = sheet.tiles[tile]
    factor = factor or (right - left)
    place = left + column * factor + factor // 2, top + row * factor + factor // 2
    return sheet.picture.getpixel(place)


def assert_apart(sheet):
    boxes = sheet.tiles
    width, height = sheet.picture.size
    for index, (left, top, right, bottom) in enumerate(boxes):
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        for other in boxes[index + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


# --- the legend's range is the array's range


@pytest.mark.parametrize("signed", [True, False])
def test_layer_scale_has_the_range_of_the_layer(signed):
    maps = values(signed=signed)
    sheet = layer_sheet(maps, title="t", scale=Scale.layer)
    assert (sheet.vmin, sheet.vmax) == (maps.min(), maps.max())


@pytest.mark.parametrize("signed", [True, False])
def test_unit_scale_has_the_range_of_the_shares(signed):
    maps = values(signed=signed).astype(np.float64)
    sheet = layer_sheet(maps, title="t", scale=Scale.unit)
    shares = maps / np.abs(maps).max(axis=(1, 2), keepdims=True)
    assert (sheet.vmin, sheet.vmax) == (shares.min(), shares.max())
    assert max(abs(sheet.vmin), sheet.vmax) == 1


def test_network_scale_has_the_range_that_is_given():
    maps = values(signed=False)
    sheet = layer_sheet(maps, title="t", scale=Scale.network, network=Range(-3.0, 9.0))
    assert (sheet.vmin, sheet.vmax) == (-3, 9)
    factor = (sheet.tiles[0][2] - sheet.tiles[0][0]) // maps.shape[2]
    expected = coloured(maps[0, 1, 2:3], Range(-3.0, 9.0))[0]
    assert pixel(sheet, 0, 1, 2, factor) == tuple(expected)


@pytest.mark.parametrize("count", [12, 300])
def test_vectors_have_their_range(count):
    vector = values(count, 1, 1).reshape(-1)
    sheet = layer_sheet(vector, title="t", scale=Scale.layer)
    assert (sheet.vmin, sheet.vmax) == (vector.min(), vector.max())
    assert len(sheet.tiles) == count
    assert_apart(sheet)


# --- colours


@pytest.mark.parametrize("ends", [Range(-2.0, 7.0), Range(-7.0, 1.0), Range(-4.0, -1.0)])
def test_signed_colours_are_symmetric_around_a_neutral_zero(ends):
    table = colormaps["RdBu_r"].resampled(257)(np.arange(257), bytes=True)[:, :3]
    zero = coloured(np.zeros(1), ends)[0]
    assert tuple(zero) == tuple(table[128])
    assert int(zero.max()) - int(zero.min()) <= 1  # no hue
    full = coloured(np.array([-ends.limit, ends.limit]), ends)
    assert np.array_equal(full, table[[0, 256]])
    some = np.linspace(0, ends.limit, 50)
    above, below = coloured(some, ends), coloured(-some, ends)
    places = [int(np.flatnonzero((table == c).all(axis=1))[0]) for c in above]
    mirrored = [int(np.flatnonzero((table == c).all(axis=1))[0]) for c in below]
    assert [256 - place for place in places] == mirrored


def test_other_colours_grow_lighter_from_black():
    ramp = coloured(np.linspace(0, 5, 200), Range(1.0, 5.0)).astype(float)
    light = ramp @ [0.299, 0.587, 0.114]
    assert light[0] < 2
    assert (np.diff(light) > -1).all()


def test_each_value_is_a_square_of_its_colour():
    maps = values()
    sheet = layer_sheet(maps, title="t", scale=Scale.layer)
    pixels = np.asarray(sheet.picture)
    for index, (left, top, right, bottom) in enumerate(sheet.tiles):
        factor = (right - left) // maps.shape[2]
        assert (right - left, bottom - top) == (7 * factor, 5 * factor)
        colours = coloured(maps[index], range_of(maps))
        drawn = pixels[top:bottom, left:right]
        assert np.array_equal(drawn, colours.repeat(factor, 0).repeat(factor, 1))


def test_filters_as_colours_have_one_affine_scale():
    filters = values(4 * 3, 3, 3).reshape(4, 3, 3, 3)
    limit = float(np.abs(filters).max())
    colours = as_colour(filters, limit)
    expected = np.rint(255 * (0.5 + filters.astype(np.float64) / (2 * limit)))
    assert np.array_equal(colours, np.moveaxis(expected, 1, -1))
    assert set(as_colour(np.zeros((1, 3, 2, 2)), limit).ravel()) == {128}


# --- odd values


def test_dead_maps_are_grey_with_a_dash_and_counted():
    maps = values(signed=False)
    maps[2] = maps[4] = 0
    for scale in (Scale.unit, Scale.layer):
        sheet = layer_sheet(maps, title="t", scale=scale)
        left, top, right, bottom = sheet.tiles[2]
        tile = np.asarray(sheet.picture)[top:bottom, left:right].reshape(-1, 3)
        assert sheet.num_dead == 2
        assert tuple(tile[0]) == DEAD
        assert len(np.unique(tile, axis=0)) == 2


def test_nan_and_infinity_are_marked_and_do_not_spoil_the_range():
    maps = values()
    ends = maps[1:].min(), maps[1:].max()
    maps[0, 0, 0], maps[0, 1, 1], maps[0, 2, 2] = np.nan, np.inf, -np.inf
    maps[0, 3:] = 0
    sheet = layer_sheet(maps, title="t", scale=Scale.layer)
    assert sheet.num_missing == 1
    assert sheet.vmin <= ends[0]
    assert np.isfinite([sheet.vmin, sheet.vmax]).all()
    factor = (sheet.tiles[0][2] - sheet.tiles[0][0]) // maps.shape[2]
    for place in (0, 1, 2):
        assert pixel(sheet, 0, place, place, factor) == MISSING


@pytest.mark.parametrize("shape", [(3, 4, 4), (5,), (50,), (), (2, 3), (2, 2, 3, 3)])
@pytest.mark.parametrize("fill", [np.nan, 0.0, np.inf, -1e38, 1e-45])
def test_no_values_crash(shape, fill):
    array = np.full(shape, fill, np.float32)
    scale = Scale.layer if np.isinf(fill) else Scale.unit
    assert_apart(layer_sheet(array, title="t", scale=scale))


def test_half_precision_and_whole_numbers():
    for kind in (np.float16, np.int32, np.bool_):
        maps = (values() > 0).astype(kind)
        assert layer_sheet(maps, title="t", scale=Scale.unit).vmax == 1


# --- the page


@pytest.mark.parametrize(
    "shape",
    [(1, 28, 28), (3, 224, 224), (16, 28, 28), (64, 224, 224), (100, 7, 7), (101, 7, 7),
     (512, 14, 14), (512, 1, 1), (2, 3, 500), (2, 500, 3), (1, 2000, 1500)],
)  # fmt: skip
def test_tiles_lie_apart_on_a_page_for_a_projector(shape):
    sheet = layer_sheet(np.ones(shape, np.float32), title="t " * 300, notes=["n"] * 3)
    assert len(sheet.tiles) == shape[0]
    assert_apart(sheet)
    assert sheet.picture.width <= 2000
    assert sheet.picture.height <= 1500


def test_small_maps_are_not_shrunk_and_large_ones_by_means():
    assert arranged(512, (128, 128)).shrink == 1
    assert arranged(1, (224, 224)).shrink == 1
    assert arranged(64, (224, 224)).shrink == 2
    maps = values(2, 5, 7).astype(np.float64)
    small = shrunk(maps, 2)
    assert small.shape == (2, 3, 4)
    assert small[1, 0, 0] == pytest.approx(maps[1, :2, :2].mean())
    assert small[1, 2, 3] == pytest.approx(maps[1, 4, 6])


def test_a_grid_has_a_place_for_every_tile():
    for count in (1, 2, 7, 64, 1000, 4096):
        grid = arranged(count, (1, 1), gap=1)
        assert isinstance(grid, Grid)
        assert grid.rows * grid.columns >= count > (grid.rows - 1) * grid.columns
        assert grid.place(count - 1)[1] + grid.tile[1] <= grid.size[1]


def test_text_fits():
    style = font(20)
    lines = wrapped("network · layer · 512 x 14 x 14 " + "w" * 200, style, 180)
    assert all(style.getlength(line) <= 180 for line in lines)
    assert any("512" in line and line.endswith("14") for line in lines)
    assert shortened("abcdefghijklmnop", 90, style).startswith("a")
    assert number(-1234.5) == "-1,234"
    long = layer_sheet(values(9, 1, 1).reshape(-1), title="t", class_names=["n" * 99] * 9)
    assert_apart(long)


def test_class_names_that_do_not_fit_the_values_are_left_out():
    assert layer_sheet(np.ones(3), title="t", class_names=["a"]).vmax == 1


def test_the_picture_is_a_png():
    sheet = layer_sheet(values(), title="t")
    assert isinstance(sheet, Sheet)
    with Image.open(io.BytesIO(sheet.png())) as picture:
        assert (picture.format, picture.size) == ("PNG", sheet.picture.size)


# --- filters


@pytest.mark.parametrize(
    ("shape", "tiles"),
    [((16, 1, 3, 3), 16), ((8, 3, 7, 7), 32), ((64, 48, 3, 3), 1024), ((5, 4, 1, 7), 20),
     ((400, 3, 3, 3), 512), ((1, 1, 1, 1), 1), ((2, 2, 32, 32), 4)],
)  # fmt: skip
def test_filters_beside_those_at_initialisation_on_one_scale(shape, tiles):
    rng = np.random.default_rng(0)
    now, before = rng.normal(size=shape), 3 * rng.normal(size=shape)
    sheet = filter_sheet({"learned": now, "at initialisation": before}, title="t")
    both = np.stack([now, before])
    assert (sheet.vmin, sheet.vmax) == (both.min(), both.max())
    assert len(sheet.tiles) == 2 * tiles
    if tiles < 100:
        assert_apart(sheet)
    first = 1 if shape[1] == 3 else 0  # after the filter's colours
    factor = (sheet.tiles[first][2] - sheet.tiles[first][0]) // shape[3]
    colour = coloured(now[0, 0, 0, :1], range_of(both))[0]
    assert pixel(sheet, first, 0, 0, factor) == tuple(colour)


def test_filters_that_are_no_numbers():
    weights = np.full((4, 3, 3, 3), np.nan)
    assert filter_sheet({"learned": weights}, title="t").num_missing == 4


# --- the strongest maps


def test_the_strongest_maps_have_the_largest_means():
    maps = values(12, 4, 4)
    means = maps.mean(axis=(1, 2), dtype=np.float64)
    assert strongest_channels(maps, 3) == sorted(range(12), key=lambda i: -means[i])[:3]
    maps[strongest_channels(maps, 1)[0], 0, 0] = np.nan
    assert np.isfinite(maps[strongest_channels(maps, 11)]).all()


@pytest.mark.parametrize("scale", list(Scale))
def test_blocks_on_one_sheet(scale):
    blocks = [Block("a", "relu", values(12, 28, 28, signed=False)), Block("b", "elu", values(3))]
    image = np.zeros((28, 28, 1), np.uint8)
    network = Range(-5.0, 5.0)
    sheet = strongest_sheet(image, blocks, title="t", scale=scale, network=network)
    assert len(sheet.tiles) == 8 + 3
    assert_apart(sheet)
    assert (sheet.vmin < 0, sheet.vmax) == (True, 5 if scale is Scale.network else 1)


def test_a_block_is_a_resolution_and_ends_with_its_last_activation():
    import torch

    import zoo
    from convscope.graph.capture import capture

    graph = capture(zoo.network("vgg"), torch.zeros(1, 3, 32, 32))
    ends = [(node.name, node.output_shape) for node in block_ends(graph).values()]
    assert ends == [
        ("features.3", (4, 32, 32)), ("features.8", (6, 16, 16)), ("features.15", (8, 8, 8)),
        ("features.22", (8, 4, 4)), ("features.29", (8, 2, 2)),
    ]  # fmt: skip
    for family in zoo.FAMILIES:
        graph = capture(zoo.network(family), torch.zeros(1, 3, 32, 32))
        ends = block_ends(graph)
        assert bool(ends) == (family != "mlp")
        assert list(ends) == [f"block {number}" for number in range(1, len(ends) + 1)]
