"""Resizing against Pillow and against the triangle filter by loops; windows pixel by pixel."""

import numpy as np
import pytest
from PIL import Image

from convscope.images.preprocess import Preprocess, resized

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZES = [
    ((96, 128), (48, 64)),
    ((97, 131), (33, 45)),
    ((300, 200), (32, 32)),
    ((40, 30), (80, 60)),
    ((50, 70), (224, 100)),
    ((1, 9), (3, 3)),
]


def photo(height, width, channels, seed):
    """Smooth pixels with a little grain."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j][..., None]
    speed, phase = generator.uniform(3, 9, (2, channels)), generator.uniform(0, 6, channels)
    wave = np.sin(rows * speed[0] + phase) * np.cos(columns * speed[1] - phase)
    grain = generator.normal(0, 3, (height, width, channels))
    return np.clip(np.round(127 + 110 * wave + grain), 0, 255).astype(np.uint8)


def by_pillow(pixels, size):
    image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
    small = np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    return small.reshape(*size, pixels.shape[2])


def axis_weights(old, new):
    """The antialiased triangle filter along one axis, (new, old): each row sums to one."""
    scale = old / new
    reach = max(scale, 1)
    weights = np.zeros((new, old))
    for place in range(new):
        centre = (place + 0.5) * scale
        for pixel in range(old):
            weights[place, pixel] = max(0.0, 1 - abs(pixel + 0.5 - centre) / reach)
        weights[place] /= weights[place].sum()
    return weights


def slowly_resized(pixels, size):
    rows = axis_weights(pixels.shape[0], size[0])
    columns = axis_weights(pixels.shape[1], size[1])
    return np.einsum("ij,jkc,lk->ilc", rows, pixels.astype(float), columns)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_resized_is_within_one_level_of_pillow(old, new, channels):
    for seed in range(3):
        pixels = photo(*old, channels, seed)
        difference = np.abs(resized(pixels, new).astype(int) - by_pillow(pixels, new))
        assert difference.max() <= 1
        assert (difference == 1).mean() <= 0.05


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_resized_is_the_triangle_filter(old, new, channels):
    pixels = photo(*old, channels, seed=9)
    # Rows and columns are rounded one after the other: at most half a level each, and a bit.
    assert np.abs(resized(pixels, new) - slowly_resized(pixels, new)).max() <= 1.1


def test_the_comparison_notices_a_resize_without_antialiasing():
    import torch
    import torch.nn.functional as F

    pixels = photo(97, 131, 3, seed=0)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    rough = F.interpolate(tensor, (33, 45), mode="bilinear")[0].permute(1, 2, 0).numpy()
    assert np.abs(rough - by_pillow(pixels, (33, 45))).max() > 2


def scaled_length(length, scale):
    return max(1, round(length * scale))


def slow_canvas_size(chosen, height, width):
    if chosen.fit == "stretch":
        return chosen.size
    if chosen.fit == "pad":
        scale = min(chosen.size[0] / height, chosen.size[1] / width)
        return scaled_length(height, scale), scaled_length(width, scale)
    scale = chosen.resize / min(height, width)
    return (
        max(scaled_length(height, scale), chosen.size[0]),
        max(scaled_length(width, scale), chosen.size[1]),
    )


def slow_window(canvas, top, left, size, mean):
    """Pixel by pixel: the canvas where it has one, else the mean."""
    pixels = np.zeros((*size, canvas.shape[2]), np.uint8)
    for row in range(size[0]):
        for column in range(size[1]):
            for channel in range(canvas.shape[2]):
                y, x = row + top, column + left
                inside = 0 <= y < canvas.shape[0] and 0 <= x < canvas.shape[1]
                value = canvas[y, x, channel] if inside else round(mean[channel] * 255)
                pixels[row, column, channel] = value
    return pixels


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(20, 20), (13, 40), (40, 13), (4, 5), (1, 30)])
def test_preprocessing_of_one_image(fit, channels, shape):
    chosen = Preprocess(
        size=(11, 9),
        channels=channels,
        resize=14,
        fit=fit,
        mean=MEAN[:channels],
        std=STD[:channels],
    )
    pixels = photo(*shape, channels, seed=1)
    canvas = chosen.canvas(pixels)
    assert canvas.shape[:2] == slow_canvas_size(chosen, *shape)
    assert np.abs(canvas - slowly_resized(pixels, canvas.shape[:2])).max() <= 1.1
    margin = canvas.shape[0] - 11, canvas.shape[1] - 9
    centre = slow_window(canvas, margin[0] // 2, margin[1] // 2, (11, 9), MEAN)
    np.testing.assert_array_equal(chosen.centre(canvas), centre)
    expected = (centre.astype(float) / 255 - MEAN[:channels]) / STD[:channels]
    got = chosen.batch([pixels])[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_windows_at_every_place():
    chosen = Preprocess(size=(4, 4), channels=3, resize=5, mean=MEAN, std=STD)
    canvas = photo(5, 6, 3, seed=2)
    for top in range(-6, 8):
        for left in range(-6, 8):
            expected = slow_window(canvas, top, left, (4, 3), MEAN)
            np.testing.assert_array_equal(chosen.window(canvas, top, left, (4, 3)), expected)
