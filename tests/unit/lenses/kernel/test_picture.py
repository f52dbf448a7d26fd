"""The picture of a filtered image: its pixels, colours, legend and notes."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from convscope.base.errors import ConvscopeError
from convscope.images.kernels import KERNELS, convolve
from convscope.lenses.kernel.picture import is_signed, kernel_figure, kernel_picture, num_clipped

STEP = np.array([[0, 0, 255, 255], [0, 0, 255, 255], [0, 0, 255, 255], [0, 0, 255, 255]])


def figure_of(pixels, kernel, **more):
    pixels = np.asarray(pixels, np.uint8)
    pixels = pixels if pixels.ndim == 3 else pixels[:, :, None]
    result = convolve(pixels, kernel, padding=np.shape(kernel)[0] // 2)
    figure = kernel_figure(
        pixels, result, np.array(kernel, float), title="a kernel", settings=("3 x 3", "stride 1"),
        **more,
    )  # fmt: skip
    return figure, result


def axes_of(figure):
    """The axes of the original and of the result."""
    found = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title().split(",")[0] for axes in found] == ["original", "result"]
    return found


def shown(axes):
    (image,) = axes.images
    return np.asarray(image.get_array())


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_edges_are_red_above_zero_blue_below_and_white_at_zero():
    figure, result = figure_of(STEP, KERNELS["sobel-left"])
    original, right = axes_of(figure)
    assert np.array_equal(shown(original), STEP)
    assert original.images[0].get_clim() == (0, 255)
    assert original.get_title() == "original, 4 x 4"
    assert right.get_title() == "result, 4 x 4, -1,020 to 1,020"
    colours = shown(right)
    assert (result[1, 0, 0], result[1, 1, 0], result[1, 3, 0]) == (0, -1020, 1020)
    assert colours[1, 0].tolist() == pytest.approx([247, 247, 247], abs=2)
    assert colours[1, 1].tolist() == [5, 48, 97]
    assert colours[1, 3].tolist() == [103, 0, 31]


def test_the_legend_goes_from_the_smallest_to_the_largest_value_with_zero_below():
    image = np.zeros((5, 5), np.uint8)
    image[2, 2] = 100
    figure, result = figure_of(image, [[0, 0, 0], [0, 1, 0], [0, 0, -3]])
    (bar,) = [axes for axes in figure.axes if axes.images and axes.images[0].get_extent()[3] == 1]
    (strip,) = bar.images
    assert tuple(strip.get_extent()) == (-300.0, 100.0, 0, 1)
    assert [text.get_text() for text in bar.get_xticklabels()] == ["0"]
    assert bar.get_xticks().tolist() == [0]
    assert {"-300", "100"} <= set(texts(figure))
    colours = np.asarray(strip.get_array())[0]
    low, high, zero = colours[0], colours[-1], colours[round(511 * 0.75)]
    assert low[2] > low[0]  # blue
    assert high[0] > high[2]  # red
    assert zero.min() > 240
    # The bar has the colours of the picture: the most negative pixel is its left end.
    place = np.unravel_index(result[:, :, 0].argmin(), result.shape[:2])
    assert np.array_equal(shown(axes_of(figure)[1])[place], low)


def test_colours_are_saturated_from_a_high_percentile_on():
    """One large value does not turn all others white."""
    image = np.full((40, 40), 10, np.uint8)
    image[20, 20] = 255
    image[:, 5:8] = 40
    figure, result = figure_of(image, KERNELS["laplacian"])
    limit = np.percentile(np.abs(result), 99.5)
    assert limit < np.abs(result).max() / 4
    colours = shown(axes_of(figure)[1])
    assert colours[20, 20].tolist() == [5, 48, 97]
    place = tuple(np.argwhere(result[:, :, 0] == 30)[0])
    assert colours[place].min() < 200


def test_colour_images_have_three_channels_around_mid_grey():
    image = np.zeros((3, 4, 3), np.uint8)
    image[:, 2:, 0] = 255  # a step in red alone
    figure, result = figure_of(image, KERNELS["sobel-right"])
    assert result[1, 1].tolist() == [1020, 0, 0]
    colours = shown(axes_of(figure)[1])
    assert colours[1, 1].tolist() == [255, 128, 128]
    assert colours[1, 0].tolist() == [128, 128, 128]
    assert np.array_equal(shown(axes_of(figure)[0]), image)


def test_other_kernels_give_grey_pixels_clipped_with_a_count():
    figure, result = figure_of([[0, 255, 0], [0, 255, 0], [0, 10, 0]], KERNELS["sharpen"])
    right = axes_of(figure)[1]
    assert np.array_equal(shown(right), np.clip(result[:, :, 0], 0, 255))
    assert right.images[0].get_clim() == (0, 255)
    assert right.images[0].get_cmap().name == "gray"
    assert "clipped: 7 values below 0, 2 above 255" in texts(figure)


def test_what_rounds_into_the_range_is_not_clipped():
    assert num_clipped(np.array([-0.5, -0.51, 0, 255, 255.5, 255.51])) == (1, 2)


def test_an_image_of_zeros_is_white_with_a_legend_that_holds_zero():
    figure, result = figure_of(np.zeros((4, 4)), KERNELS["outline"])
    assert not result.any()
    colours = shown(axes_of(figure)[1])
    assert (colours == colours[0, 0]).all()
    assert colours.min() > 240
    assert {"-1", "1"} <= set(texts(figure))
    assert axes_of(figure)[1].get_title() == "result, 4 x 4, 0 to 0"
    figure, _ = figure_of(np.zeros((4, 4)), KERNELS["blur"])
    assert not shown(axes_of(figure)[1]).any()
    assert "clipped: 0 values below 0, 0 above 255" in texts(figure)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_refused_and_not_drawn_as_some_colour(value):
    pixels, kernel = np.zeros((3, 3, 1), np.uint8), np.array(KERNELS["outline"], float)
    result = np.zeros((3, 3, 1))
    result[1, 1] = value
    with pytest.raises(ConvscopeError, match="result: holds NaN or infinity"):
        kernel_figure(pixels, result, kernel, title="t", settings=("s",))


def test_the_kernel_is_a_table_of_its_entries_with_title_and_settings():
    figure, _ = figure_of(STEP, KERNELS["sobel-left"])
    table = figure.axes[0]
    assert np.array_equal(shown(table), KERNELS["sobel-left"])
    entries = {text.get_position(): text.get_text() for text in table.texts}
    assert len(entries) == 9
    assert (entries[0, 1], entries[1, 1], entries[2, 1]) == ("2", "0", "-2")
    low, high = table.images[0].get_clim()
    assert low == -high
    assert high > 2
    assert texts(figure)[:2] == ["a kernel", "3 x 3\nstride 1"]


def test_a_kernel_without_space_has_its_range_instead_of_a_table():
    figure, _ = figure_of(np.zeros((40, 40)), np.arange(-40, 401).reshape(21, 21) / 10)
    assert figure.axes[0].get_title().startswith("original")
    assert "entries -4 to 40" in texts(figure)[1]


def test_rows_and_columns_that_are_not_reached_are_tinted():
    pixels = np.full((20, 30, 1), 128, np.uint8)
    kernel = np.array(KERNELS["blur"])
    result = convolve(pixels, kernel, 4)
    for lost, note, boxes in (
        ((0, 0), None, []),
        ((0, 3), "orange: 3 columns not reached", [(26.5, -0.5, 3, 20)]),
        ((1, 3), "orange: 1 row and 3 columns not reached",
         [(-0.5, 18.5, 30, 1), (26.5, -0.5, 3, 20)]),
    ):  # fmt: skip
        figure = kernel_figure(pixels, result, kernel, title="t", settings=("s",), lost=lost)
        patches = axes_of(figure)[0].patches
        found = [(p.get_x(), p.get_y(), p.get_width(), p.get_height()) for p in patches]
        assert found == boxes
        assert all(to_hex(patch.get_facecolor()) == "#d55e00" for patch in patches)
        assert [text for text in texts(figure) if "orange" in text] == ([note] if note else [])


def test_which_kernels_have_results_around_zero():
    signed = {name for name, rows in KERNELS.items() if is_signed(np.array(rows))}
    assert signed == {name for name in KERNELS if name.startswith("sobel")} | {
        "prewitt", "laplacian", "outline"
    }  # fmt: skip
    assert is_signed(np.array([[0.1, 0.2, -0.3]]))
    assert is_signed(-np.eye(3))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kernel", [np.zeros((3, 3)), np.ones((1, 40)) / 40, np.eye(9) - 1])
@pytest.mark.parametrize("shape", [(1, 200), (200, 1), (50, 50)])
def test_every_shape_can_be_drawn(shape, kernel, channels):
    pixels = np.full((*shape, channels), 7, np.uint8)
    result = convolve(pixels, kernel, padding=20)
    content = kernel_picture(pixels, result, kernel, title="t", settings=("s",), lost=(1, 1))
    assert max(Image.open(io.BytesIO(content)).size) < 3000
