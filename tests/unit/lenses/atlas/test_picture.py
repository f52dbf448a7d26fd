"""The sheet of the atlas: values at known pixels, the legend, what is zero and what is NaN."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

import convscope
import explored
from convscope.drawing.colours import MISSING, Range, coloured
from convscope.drawing.page import INK, MARGIN, PAPER, SMALL, font
from convscope.lenses.atlas.picture import (
    EMPTY,
    ChannelPanel,
    LayerPanel,
    colour_limit,
    hierarchy_sheet,
    notes_of,
    panels_of,
    projection_pixels,
)

SIDE = 8  # of a patch: each pixel is a square of 64 / 8
FACTOR, GAP, BETWEEN = 8, 2, 8


def values(colours=1, side=SIDE, seed=0):
    return np.random.default_rng(seed).normal(size=(colours, side, side)).astype(np.float32)


def patch(channels=1, side=SIDE, seed=1):
    shape = side, side, channels
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def drawn(tiles, caption="caption", **more):
    layer = LayerPanel(("layer", "1 channels"), (ChannelPanel(caption, tuple(tiles)),))
    return hierarchy_sheet([layer], **{"title": "t", "notes": [], **more})


def cell(sheet, rank, half, side=FACTOR * SIDE, box=0):
    """The pixels of one of 9 cells: `half` 0 is the projection, 1 the patch."""
    left, top, *_ = sheet.tiles[box]
    left += half * (3 * side + 2 * GAP + BETWEEN) + rank % 3 * (side + GAP)
    top += rank // 3 * (side + GAP)
    return np.asarray(sheet.picture)[top : top + side, left : left + side]


def squares(pixels, factor=FACTOR):
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def test_each_value_of_a_projection_is_a_square_of_its_colour():
    projection = np.zeros((1, SIDE, SIDE), np.float32)
    projection[0, :2] = 4  # more than 3 % of the pixels: the limit
    projection[0, 5, 1], projection[0, 5, 2] = -2, 1
    expected = coloured(projection[0] / 4, Range(-1, 1))
    assert tuple(expected[7, 7]) == tuple(coloured(np.zeros(1), Range(-1, 1))[0])
    for rank in range(9):
        tiles = [(values(seed=rank), patch())] * 9
        tiles[rank] = projection, patch(seed=rank)
        sheet = drawn(tiles)
        assert (cell(sheet, rank, 0) == squares(expected)).all()
        assert (cell(sheet, rank, 1) == squares(patch(seed=rank).repeat(3, axis=2))).all()


def test_projections_in_colour_have_mid_grey_as_zero():
    projection, seen = values(3), patch(3)
    sheet = drawn([(projection, seen)])
    limit = colour_limit(projection)
    shares = np.clip(0.5 + np.moveaxis(projection, 0, -1).astype(np.float64) / (2 * limit), 0, 1)
    assert (cell(sheet, 0, 0) == squares(np.rint(255 * shares))).all()
    assert (cell(sheet, 0, 1) == squares(seen)).all()


def test_the_colour_limit_is_the_quantile_of_the_magnitudes():
    magnitudes = np.arange(100, dtype=np.float32).reshape(1, 10, 10)
    assert colour_limit(-magnitudes) == pytest.approx(0.97 * 99)
    three = np.stack([magnitudes[0], -2 * magnitudes[0], 0 * magnitudes[0]])
    assert colour_limit(three) == pytest.approx(0.97 * 198)
    few = np.zeros((1, 20, 20), np.float32)
    few[0, 3, 3] = -5  # less than 3 % of the pixels
    assert colour_limit(few) == 5
    assert tuple(projection_pixels(few)[3, 3]) == tuple(coloured(np.array([-5.0]), Range(-5, 5))[0])


@pytest.mark.parametrize("colours", [1, 3])
def test_an_all_zero_projection_has_the_colour_of_zero(colours):
    zero = np.zeros((colours, SIDE, SIDE), np.float32)
    expected = (128, 128, 128) if colours == 3 else coloured(np.zeros(1), Range(-1, 1))[0]
    assert colour_limit(zero) == 0
    assert (cell(drawn([(zero, patch(colours))]), 0, 0) == expected).all()


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("colours", [1, 3])
def test_what_is_not_finite_is_magenta_and_does_not_change_the_other_pixels(colours, odd):
    projection = values(colours)
    projection[:, :3] = 2 * np.abs(projection).max()  # the limit, whatever one pixel is
    expected = projection_pixels(projection)
    expected[6, 5] = MISSING
    projection[0, 6, 5] = odd
    assert (cell(drawn([(projection, patch(colours))]), 0, 0) == squares(expected)).all()
    everywhere = np.full((colours, SIDE, SIDE), odd, np.float32)
    assert (cell(drawn([(everywhere, patch(colours))]), 0, 0) == MISSING).all()


def test_cells_without_image_are_empty_and_the_same_on_both_sides():
    sheet = drawn([(values(), patch())] * 4)
    for half in (0, 1):
        assert (cell(sheet, 3, half) != EMPTY).any()
        for rank in range(4, 9):
            assert (cell(sheet, rank, half) == EMPTY).all()


def test_a_patch_at_the_border_keeps_its_shape_in_the_middle_of_its_cell():
    cut = values()[:, :4, :6], patch()[:4, :6]
    sheet = drawn([(values(), patch()), cut])
    pixels = cell(sheet, 1, 1)
    rows, columns = np.nonzero((pixels != EMPTY).any(axis=-1))
    assert (rows.min(), rows.max() + 1) == (2 * FACTOR, 6 * FACTOR)
    assert (columns.min(), columns.max() + 1) == (FACTOR, 7 * FACTOR)


def test_a_unit_that_sees_only_padding_has_empty_cells():
    sheet = drawn([(np.zeros((1, 0, 0), np.float32), patch()[:0, :0]), (values(), patch())])
    assert (cell(sheet, 0, 0) == EMPTY).all()
    assert (cell(sheet, 1, 0) == squares(projection_pixels(values()))).all()


def test_large_patches_are_shrunk_by_means():
    projection, seen = np.zeros((1, 224, 224), np.float32), patch(side=224)
    projection[0, 0, 1] = 8  # a quarter of it in the mean of 2 x 2
    sheet = drawn([(projection, seen)])
    mean = seen[:2, :2, 0].astype(float).mean()
    assert (cell(sheet, 0, 1, side=112)[0, 0] == round(mean)).all()
    shown = cell(sheet, 0, 0, side=112)
    assert tuple(shown[0, 0]) == tuple(coloured(np.ones(1), Range(-1, 1))[0])
    assert tuple(shown[0, 1]) == tuple(coloured(np.zeros(1), Range(-1, 1))[0])


def text(words, style, anchor="la"):
    """A line of text as it is drawn on paper, and where it stands relative to its anchor."""
    left, top, right, bottom = map(int, style.getbbox(words, anchor=anchor))
    picture = Image.new("RGB", (right - left, bottom - top), PAPER)
    ImageDraw.Draw(picture).text((-left, -top), words, INK, style, anchor=anchor)
    return np.asarray(picture), (left, top)


def assert_written(sheet, words, place, style, anchor="la"):
    expected, (left, top) = text(words, style, anchor)
    left, top = place[0] + left, place[1] + top
    found = np.asarray(sheet.picture)[top : top + len(expected), left : left + expected.shape[1]]
    assert (found == expected).all(), words
    assert (expected != PAPER).any()


def test_the_legend_goes_from_minus_one_to_one_with_zero_in_the_middle():
    sheet = drawn([(values(), patch())])
    assert (sheet.vmin, sheet.vmax) == (-1, 1)
    width = 360
    left, top = sheet.picture.width - MARGIN - width, MARGIN + 20
    bar = np.asarray(sheet.picture)[top + 11, left : left + width]
    assert (bar == coloured(np.linspace(-1, 1, width), Range(-1, 1))).all()
    style = font(SMALL + 2)
    below = top + 22 + 5
    assert_written(sheet, "-1", (left, below), style)
    assert_written(sheet, "0", (left + width // 2, below), style, "ma")
    assert_written(sheet, "1", (left + width, below), style, "ra")
    assert_written(sheet, "share of each projection's colour limit", (left, top - 24), style)


def test_in_colour_there_is_no_legend():
    sheet = drawn([(values(3), patch(3))])
    corner = np.asarray(sheet.picture)[: MARGIN + 60, sheet.picture.width // 2 :]
    assert (corner == PAPER).all()


def test_captions_stand_below_their_channel():
    sheet = drawn([(values(), patch())], caption="7 · up to 3.2")
    left, _, _, bottom = sheet.tiles[0]
    assert_written(sheet, "7 · up to 3.2", (left, bottom + 3), font(SMALL))


def test_two_rows_of_channels_and_the_layers_below_each_other():
    channels = tuple(ChannelPanel(str(n), ((values(seed=n), patch()),)) for n in range(20))
    layers = [LayerPanel(("one", "a"), channels), LayerPanel(("two", "b"), channels[:3])]
    layers.append(LayerPanel(("all dead", "c"), ()))
    sheet = hierarchy_sheet(layers, title="t", notes=["n"])
    first = list(sheet.tiles[:-3])
    assert len({box[1] for box in first}) == 2
    assert len(first) < 20
    assert min(box[1] for box in sheet.tiles[-3:]) > max(box[3] for box in first)
    for place, box in enumerate(sheet.tiles[-3:]):
        expected = squares(projection_pixels(values(seed=place)))
        pixels = np.asarray(sheet.picture)[box[1] : box[1] + 64, box[0] : box[0] + 64]
        assert (pixels == expected).all()
    for index, (left, _, right, bottom) in enumerate(sheet.tiles):
        for other in sheet.tiles[index + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """An atlas, its classifier and its images."""
    folder = tmp_path_factory.mktemp("atlas")
    explored.write_images(folder / "images", per_class=3)
    classifier = explored.classifier()
    dataset = convscope.open_dataset(str(folder / "images")).aligned_to(explored.CLASSES)
    return explored.write_atlas(folder, classifier, dataset), classifier, dataset


def test_the_panels_of_an_atlas_show_its_projections_and_patches(stored):
    atlas, classifier, dataset = stored
    preprocess = classifier.preprocess
    layers = panels_of(atlas, preprocess, lambda number: dataset.image(number, 3), per_layer=2)
    assert [layer.about[0] for layer in layers] == atlas.about.layers
    for panel in layers:
        layer = atlas.layer(panel.about[0])
        ranking, found = layer.ranking, layer.projections
        dead = int(ranking.dead.sum())
        assert panel.about[1] == f"{len(ranking.active)} channels, {dead} dead"
        assert len(panel.channels) == 2
        for one in panel.channels:
            channel = int(one.caption.split(" ")[0])
            assert f"· {ranking.share[channel]:.0%} of images ·" in one.caption
            best = ranking.selectivity()[1][channel]
            assert atlas.about.class_names[best] in one.caption
            place = found.channels.tolist().index(channel)
            assert len(one.tiles) == (ranking.images[channel] >= 0).sum()
            for rank, (projection, seen) in enumerate(one.tiles):
                y0, x0, y1, x1 = layer.crops[channel, rank]
                shares = found.shares[place, rank, :, : y1 - y0, : x1 - x0].astype(np.float32)
                assert (projection == shares * found.scales[place, rank]).all()
                image = dataset.image(int(ranking.images[channel, rank]), 3)
                whole = preprocess.centre(preprocess.canvas(image))
                assert (seen == whole[y0:y1, x0:x1]).all()


def test_the_notes_say_how_many_images_and_what_zero_looks_like(stored):
    from dataclasses import replace

    about = stored[0].about
    notes = " ".join(notes_of(replace(about, top=4)))
    assert "the 4 images that activate it most" in notes
    assert "Zero is mid-grey" in notes
    assert "selectivity" in notes
    grey = {**about.preprocess, "channels": 1}
    notes = " ".join(notes_of(replace(about, top=50, preprocess=grey, class_names=[])))
    assert "the 9 images that activate it most" in notes
    assert "Zero is white" in notes
    assert "selectivity" not in notes
