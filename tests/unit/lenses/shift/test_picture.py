"""The picture of a shift study: what its axes show of the numbers of the study."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.offsetbox import AnnotationBbox
from PIL import Image

from convscope.images.borders import Border
from convscope.lenses.shift.compute import ShiftTable, shifted
from convscope.lenses.shift.picture import shift_figure, shift_picture
from convscope.lenses.shift.result import LayerShift, LayerShifts
from convscope.lenses.shift.statistics import share_of
from convscope.lenses.shift.study import Example, Fit, RunShift, ShiftStudy

MOST, SIDE, COUNT = 2, 5, 20
EXAMPLE = 3


def layer(name, kind, stride, whole, figures):
    return LayerShift(name, kind, (4, 6, 6), stride, whole, figures[0], figures[1], 0.5, figures[2])


LAYERS = (
    layer("input", "input", (1, 1), True, (0.0, 0.0, 0.3)),
    layer("pool", "max_pool", (2, 2), False, (0.1, None, 0.8)),
    layer("fc", "linear", None, None, (None, None, 0.2)),
)


def a_run(name, predicted, border=Border.ZERO, layers=LAYERS):
    """A run on images of class 1."""
    generator = np.random.default_rng(len(name))
    probability = generator.random((COUNT, SIDE, SIDE)).astype(np.float32)
    table = ShiftTable(border, MOST, np.ones(COUNT, np.int64), predicted, probability)
    fit = Fit("0" * 64, 10, None, None, share_of(np.array([True])), None, None)
    shifts = tuple(LayerShifts(distance, 8, layers) for distance in (1, 4))
    return RunShift(name, "net", table, shifts, fit, 0)


def a_study(*runs, channels=1):
    pixels = np.random.default_rng(5).integers(0, 256, (12, 12, channels), dtype=np.uint8)
    example = Example(EXAMPLE, "test/7.png", "seven", pixels)
    return ShiftStudy("toys", "test", COUNT, 50, runs, (), example, ("a", "b"))


def random_classes(seed):
    return np.random.default_rng(seed).integers(0, 2, (COUNT, SIDE, SIDE))


@pytest.fixture
def two():
    return a_study(a_run("first", random_classes(1)), a_run("second", random_classes(2)))


def parts_of(figure):
    """The parts of the figure from the top: heat maps, paths, a row for each distance."""
    return figure.subfigs


def heat_maps(figure):
    return [axes for axes in parts_of(figure)[0].axes if axes.get_xlabel().startswith("dx")]


def colour_bar(figure):
    (bar,) = [axes for axes in parts_of(figure)[0].axes if axes.get_ylabel() == "accuracy"]
    return bar


def test_heat_maps_hold_the_accuracy_of_each_shift_on_one_scale(two):
    figure = shift_figure(two)
    grids = [run.table.accuracy_grid for run in two.runs]
    low, high = min(map(np.min, grids)), max(map(np.max, grids))
    for axes, run, grid in zip(heat_maps(figure), two.runs, grids, strict=True):
        (image,) = axes.images
        assert np.array_equal(image.get_array(), grid)
        assert image.get_clim() == (low, high)
        # Pixel centres are whole dx and dy; the first row is dy = -2, at the top.
        assert tuple(image.get_extent()) == (-2.5, 2.5, 2.5, -2.5)
        assert axes.get_ylim() == (2.5, -2.5)
        share = f"{100 * run.table.consistency.value:.1f} %"
        assert axes.get_title().splitlines()[0] == f"{run.run} (net)"
        assert share in axes.get_title()
    texts = [text.get_text() for text in colour_bar(figure).get_yticklabels()]
    assert (texts[0], texts[-1]) == (f"{100 * low:.1f} %", f"{100 * high:.1f} %")
    assert len(texts) == 6


def test_a_pixel_of_the_map_has_the_colour_of_its_accuracy():
    """One shift is right for all images, the others for none: one yellow square, the rest dark."""
    predicted = np.zeros((COUNT, SIDE, SIDE), np.int64)
    predicted[:, 0, 4] = 1  # dy = -2, dx = 2: the upper right corner
    figure = shift_figure(a_study(a_run("one", predicted)))
    pixels = np.asarray(Image.open(io.BytesIO(drawn(figure))).convert("RGB")).astype(int)
    (axes,) = heat_maps(figure)
    for dx, dy, colour in ((2, -2, (254, 232, 56)), (-2, -2, (0, 34, 78)), (1, 2, (0, 34, 78))):
        x, y = axes.transData.transform((dx, dy))
        found = pixels[len(pixels) - 1 - round(y), round(x)]
        assert np.abs(found - colour).max() <= 3, (dx, dy)


def drawn(figure):
    content = io.BytesIO()
    figure.savefig(content, format="png")  # at the figure's own resolution, as transData has it
    return content.getvalue()


def test_the_title_says_which_images_shifts_and_border(two):
    text = shift_figure(two).get_suptitle()
    assert "toys, test split, 20 of 50 images" in text
    assert "every dx and dy from -2 to 2 pixels" in text
    assert "border zero: empty pixels are filled with black pixels" in text
    wrapped = a_study(a_run("one", random_classes(1), Border.WRAP))
    assert "border wrap" in shift_figure(wrapped).get_suptitle()


def test_paths_are_the_probabilities_along_dy_0(two):
    left, right = parts_of(shift_figure(two))[1].subfigs
    (axes,) = left.axes
    for line, band, run in zip(axes.lines, axes.collections, two.runs, strict=True):
        path = run.table.path()
        assert line.get_xdata().tolist() == [-2, -1, 0, 1, 2]
        assert list(line.get_ydata()) == [at.value for at in path]
        heights = band.get_paths()[0].vertices[:, 1]
        assert heights.min() == pytest.approx(min(at.low for at in path))
        assert heights.max() == pytest.approx(max(at.high for at in path))
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["first", "second"]
    assert len({line.get_color() for line in axes.lines}) == 2
    assert axes.get_ylim() == (-0.02, 1.02)
    for line, run in zip(right.axes[0].lines, two.runs, strict=True):
        assert np.array_equal(line.get_ydata(), run.table.probability[EXAMPLE, MOST])
    assert right.axes[0].get_title() == "one image: test/7.png, seven"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("border", ["zero", "wrap"])
def test_the_strip_shows_the_shifted_example_below_its_dx(channels, border):
    run = a_run("one", random_classes(1), Border(border))
    study = a_study(run, channels=channels)
    strip = parts_of(shift_figure(study))[1].subfigs[1].axes[1]
    boxes = [artist for artist in strip.artists if isinstance(artist, AnnotationBbox)]
    assert [box.xy[0] for box in boxes] == [-2, -1, 0, 1, 2]
    for box in boxes:
        expected = shifted(study.example.pixels[None], box.xy[0], 0, border)[0]
        assert np.array_equal(box.offsetbox.get_data(), np.broadcast_to(expected, (12, 12, 3)))


def test_layers_have_their_figures_gaps_and_grey_bands(two):
    figure = shift_figure(two)
    assert len(parts_of(figure)) == 4
    for part, distance in zip(parts_of(figure)[2:], ("1 pixel ", "4 pixels "), strict=True):
        assert f"shifted by {distance}" in part.get_suptitle()
        for axes in part.axes:
            by_label = {line.get_label().split(":")[0]: line.get_ydata() for line in axes.lines}
            assert by_label["invariance"].tolist() == [0.3, 0.8, 0.2]
            assert np.array_equal(by_label["equivariance"], [0.0, 0.1, np.nan], equal_nan=True)
            inside = by_label["equivariance away from borders"]
            assert np.array_equal(inside, [0.0, np.nan, np.nan], equal_nan=True)
            labels = [text.get_text() for text in axes.get_xticklabels()]
            assert labels == ["input /1", "pool max pool /2", "fc linear"]
            (band,) = axes.patches
            assert (band.get_x(), band.get_width()) == (0.5, 1.0)
            assert to_hex(band.get_facecolor()) == "#f0f0f0"
            assert "interpolated" in axes.get_xlabel()
            assert axes.get_ylim()[1] > 0.8
        (legend,) = part.legends
        assert len(legend.get_texts()) == 3


def test_layers_without_any_figure_are_drawn():
    nothing = (layer("input", "input", None, None, (None, None, None)),)
    figure = shift_figure(a_study(a_run("one", random_classes(1), layers=nothing)))
    assert parts_of(figure)[2].axes[0].lines[:] == []
    assert drawn(figure)


def test_an_accuracy_of_zero_everywhere_has_a_legend_that_says_so():
    figure = shift_figure(a_study(a_run("one", np.zeros((COUNT, SIDE, SIDE), np.int64))))
    (axes,) = heat_maps(figure)
    assert not axes.images[0].get_array().any()
    assert [text.get_text() for text in colour_bar(figure).get_yticklabels()] == ["0.0 %"]
    assert drawn(figure)


def test_the_png_is_the_figure(two):
    with Image.open(io.BytesIO(shift_picture(two))) as picture:
        width, height = shift_figure(two).get_size_inches() * 110
        assert picture.size == pytest.approx((width, height), abs=1)
