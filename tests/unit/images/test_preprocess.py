"""Preprocessing: sizes, fits, values, and the inputs that it accepts."""

import json

import numpy as np
import pytest
import torch

from convscope.base.errors import ConvscopeError
from convscope.images.preprocess import Preprocess, resized

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def preprocess(size=(8, 8), resize=10, fit="crop", channels=3):
    return Preprocess(
        size=size, channels=channels, resize=resize, fit=fit,
        mean=MEAN[:channels], std=STD[:channels],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((20, 40), (10, 20)), ((40, 20), (20, 10)), ((5, 5), (10, 10)), ((3, 7), (10, 23))],
)
def test_crop_brings_the_shorter_side_to_resize(photo, shape, expected):
    assert preprocess().canvas(photo(*shape)).shape == (*expected, 3)


def test_a_canvas_is_never_smaller_than_the_input(photo):
    assert preprocess(size=(8, 16), resize=10).canvas(photo(20, 20)).shape == (10, 16, 3)


@pytest.mark.parametrize(
    ("shape", "expected"), [((20, 40), (4, 8)), ((40, 20), (8, 4)), ((2, 2), (8, 8))]
)
def test_pad_brings_the_longer_side_to_size(photo, shape, expected):
    assert preprocess(fit="pad").canvas(photo(*shape)).shape == (*expected, 3)


def test_pad_keeps_a_pixel_of_very_long_images(photo):
    assert preprocess(fit="pad").canvas(photo(1, 200)).shape == (1, 8, 3)


def test_pad_fills_with_the_mean(photo):
    pixels = photo(20, 40)
    wide = preprocess(fit="pad")
    whole = wide.centre(wide.canvas(pixels))
    assert whole.shape == (8, 8, 3)
    fill = np.round(np.array(MEAN) * 255)
    np.testing.assert_array_equal(whole[:2], np.broadcast_to(fill, (2, 8, 3)))
    np.testing.assert_array_equal(whole[6:], np.broadcast_to(fill, (2, 8, 3)))
    np.testing.assert_array_equal(whole[2:6], resized(pixels, (4, 8)))


def test_stretch_ignores_the_aspect_ratio(photo):
    pixels = photo(20, 40)
    canvas = preprocess(fit="stretch", size=(9, 7)).canvas(pixels)
    np.testing.assert_array_equal(canvas, resized(pixels, (9, 7)))


def test_centre_of_an_even_and_an_odd_margin():
    canvas = np.arange(10 * 11, dtype=np.uint8).reshape(10, 11, 1)
    np.testing.assert_array_equal(preprocess(channels=1).centre(canvas), canvas[1:9, 1:9])


def test_a_window_inside_is_the_canvas_itself():
    canvas = np.zeros((10, 10, 3), np.uint8)
    assert np.shares_memory(preprocess().window(canvas, 1, 2, (3, 4)), canvas)


def test_resizing_to_the_same_size_returns_the_array(photo):
    pixels = photo(6, 9)
    assert resized(pixels, (6, 9)) is pixels


def test_one_colour_stays_that_colour():
    pixels = np.full((37, 53, 3), (0, 128, 255), np.uint8)
    for size in ((5, 7), (37, 10), (90, 80)):
        np.testing.assert_array_equal(
            resized(pixels, size), np.broadcast_to((0, 128, 255), (*size, 3))
        )


@pytest.mark.parametrize("channels", [1, 3])
def test_normalised_values(channels):
    chosen = preprocess(channels=channels)
    batch = np.random.default_rng(0).integers(0, 256, (2, 8, 8, channels), dtype=np.uint8)
    images = chosen.normalise(batch)
    assert images.dtype == torch.float32
    assert images.shape == (2, channels, 8, 8)
    expected = (batch / 255 - np.array(MEAN[:channels])) / np.array(STD[:channels])
    np.testing.assert_allclose(images.numpy().transpose(0, 2, 3, 1), expected, atol=1e-5)


def test_normalised_images_are_channels_last():
    images = preprocess().normalise(np.zeros((2, 8, 8, 3), np.uint8))
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_normalising_leaves_the_batch_alone():
    batch = np.full((1, 8, 8, 3), 77, np.uint8)
    preprocess().normalise(batch)
    assert (batch == 77).all()


def test_the_fill_is_zero_after_normalising_to_half_a_level():
    chosen = preprocess()
    batch = np.broadcast_to(chosen.fill(), (1, 8, 8, 3)).copy()
    largest = chosen.normalise(batch).abs().amax(dim=(0, 2, 3)).numpy()
    assert (largest <= 0.5 / 255 / np.array(STD) + 1e-6).all()


def test_a_batch_of_images_of_different_sizes(photo):
    chosen = preprocess()
    images = [photo(20, 40), photo(9, 8), photo(8, 8)]
    batch = chosen.batch(images)
    assert batch.shape == (3, 3, 8, 8)
    for image, alone in zip(batch, images, strict=True):
        torch.testing.assert_close(image, chosen.batch([alone])[0], rtol=0, atol=0)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_read_only_and_mirrored_arrays_are_taken_without_a_warning(photo, fit):
    chosen = preprocess(fit=fit)
    pixels = photo(20, 40)
    expected = chosen.batch([pixels])
    read_only = pixels.copy()
    read_only.flags.writeable = False
    mirrored = np.ascontiguousarray(pixels[:, ::-1])[:, ::-1]
    for given in (read_only, mirrored):
        torch.testing.assert_close(chosen.batch([given]), expected, rtol=0, atol=0)


def test_one_mirrored_column_is_resized():
    column = np.arange(0, 40, 10, dtype=np.uint8).reshape(4, 1, 1)
    np.testing.assert_array_equal(resized(column[:, ::-1], (4, 3)), column.repeat(3, axis=1))


def test_a_read_only_batch_is_normalised_without_a_warning():
    batch = np.full((1, 8, 8, 3), 77, np.uint8)
    batch.flags.writeable = False
    expected = preprocess().normalise(batch.copy())
    torch.testing.assert_close(preprocess().normalise(batch), expected, rtol=0, atol=0)


def test_to_json_and_back():
    chosen = preprocess(size=(7, 9), fit="pad")
    text = json.dumps(chosen.model_dump(mode="json"))
    assert Preprocess.parse(json.loads(text), "preprocess.json") == chosen


@pytest.mark.parametrize(
    ("key", "value"), [("fit", "squeeze"), ("channels", 0), ("resize", 0), ("crop", 3)]
)
def test_wrong_values_are_refused_by_name(key, value):
    data = preprocess().model_dump() | {key: value}
    with pytest.raises(ConvscopeError, match=rf"preprocess\.json: {key}: "):
        Preprocess.parse(data, "preprocess.json")


def test_an_image_too_long_for_the_canvas_is_refused_before_it_is_made():
    line = np.zeros((10, 640_000, 3), np.uint8)
    with pytest.raises(ConvscopeError, match="640,000 x 10 pixels is too long and narrow"):
        preprocess(size=(224, 224), resize=256).canvas(line)
    assert preprocess(size=(224, 224), resize=256, fit="pad").canvas(line).shape == (1, 224, 3)
