"""Random numbers by SplitMix64 on Python integers; crops, erasing and colour by loops."""

import math

import numpy as np
import pytest
import torch

from convscope.data.augment import (
    Augment,
    colour_basis,
    random_crop,
    shift_and_erase,
    uniform_numbers,
)
from convscope.images.preprocess import Preprocess, resized

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
GREY = Preprocess(size=(6, 5), channels=1, resize=8, mean=(0.25,), std=(0.5,))
COLOUR = Preprocess(
    size=(12, 10), channels=3, resize=16, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3)
)


class SplitMix64:
    """The generator as published: a counter in steps of the golden ratio, mixed."""

    def __init__(self, seed):
        self.state = seed & MASK

    def next(self):
        self.state = (self.state + GOLDEN) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)


def slow_uniforms(seed, epoch, image, draws):
    """`uniform_numbers` chains the mixer: seed, then epoch, then image, then column."""
    key = SplitMix64(SplitMix64(seed).next() + epoch).next()
    row = SplitMix64(key + image).next()
    return [
        (SplitMix64(row + column * GOLDEN).next() >> 11) / 2**53 for column in range(1, draws + 1)
    ]


def test_the_twin_is_splitmix64():
    """The published first numbers for the seed 1234567."""
    generator = SplitMix64(1234567)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [generator.next() for _ in range(3)] == expected


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**63 - 1])
@pytest.mark.parametrize("epoch", [0, 1, 999])
def test_uniforms(seed, epoch):
    images = np.array([0, 1, 2, 77, 1_281_166])
    expected = [slow_uniforms(seed, epoch, int(image), 13) for image in images]
    np.testing.assert_array_equal(uniform_numbers(seed, epoch, images), expected)


def slow_start(room, pad, draw):
    if room < 0:
        places = list(range(room // 2 - pad, room // 2 + pad + 1))
    else:
        places = list(range(-pad, room + pad + 1))
    return places[math.floor(draw * len(places))]


def slow_cut(canvas, draw, augment, preprocess):
    tall, wide = preprocess.size
    scale = augment.scale[0] + (augment.scale[1] - augment.scale[0]) * draw[3]
    height = max(1, min(canvas.shape[0], round(tall / scale))) if scale < 1 else tall
    width = max(1, min(canvas.shape[1], round(wide / scale))) if scale < 1 else wide
    top = slow_start(canvas.shape[0] - height, augment.pad or 0, draw[0])
    left = slow_start(canvas.shape[1] - width, augment.pad or 0, draw[1])
    pixels = np.zeros((height, width, canvas.shape[2]), np.uint8)
    for row in range(height):
        for column in range(width):
            y, x = top + row, left + column
            inside = 0 <= y < canvas.shape[0] and 0 <= x < canvas.shape[1]
            pixels[row, column] = canvas[y, x] if inside else preprocess.fill()
    if augment.flip and draw[2] < 0.5:
        pixels = np.stack([row[::-1] for row in pixels])
    return resized(pixels, preprocess.size)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("pad", [None, 0, 2])
@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.5, 1.0), (0.3, 0.6)])
@pytest.mark.parametrize("shape", [(8, 9), (6, 5), (4, 9), (3, 3)])
def test_cut(flip, pad, scale, shape):
    augment = Augment(flip=flip, pad=pad, scale=scale)
    canvas = np.random.default_rng(4).integers(0, 256, (*shape, 1), dtype=np.uint8)
    for draw in uniform_numbers(3, 1, np.arange(30)):
        expected = slow_cut(canvas, draw, augment, GREY)
        np.testing.assert_array_equal(random_crop(canvas, draw, augment, GREY), expected)


def slow_rectangle(draw, size):
    area = (0.02 + (0.33 - 0.02) * draw[5]) * size[0] * size[1]
    aspect = math.exp(math.log(0.3) + draw[6] * (math.log(3.3) - math.log(0.3)))
    height = min(size[0], max(1, round(math.sqrt(area * aspect))))
    width = min(size[1], max(1, round(math.sqrt(area / aspect))))
    top = math.floor(draw[7] * (size[0] - height + 1))
    left = math.floor(draw[8] * (size[1] - width + 1))
    return top, left, height, width


def test_erasing():
    draws = uniform_numbers(8, 2, np.arange(200))
    images = torch.ones(200, 3, 12, 10)
    shift_and_erase(images, draws, Augment(erase=0.4), COLOUR, np.zeros((3, 3)))
    for image, draw in zip(images.numpy(), draws, strict=True):
        expected = np.ones((3, 12, 10), np.float32)
        if draw[4] < 0.4:
            top, left, height, width = slow_rectangle(draw, (12, 10))
            expected[:, top : top + height, left : left + width] = 0
        np.testing.assert_array_equal(image, expected)


def slow_shift(draw, strength, basis, std):
    first = math.sqrt(-2 * math.log(1 - draw[9]))
    second = math.sqrt(-2 * math.log(1 - draw[11]))
    normals = [
        first * math.cos(2 * math.pi * draw[10]),
        first * math.sin(2 * math.pi * draw[10]),
        second * math.cos(2 * math.pi * draw[12]),
    ]
    shift = [0.0, 0.0, 0.0]
    for channel in range(3):
        for axis in range(3):
            shift[channel] += strength * normals[axis] * basis[channel, axis] / std[channel]
    return shift


def test_colour_shift():
    covariance = np.array([[0.07, 0.05, 0.04], [0.05, 0.06, 0.05], [0.04, 0.05, 0.08]])
    basis = colour_basis(covariance)
    draws = uniform_numbers(8, 2, np.arange(50))
    images = torch.zeros(50, 3, 2, 2)
    shift_and_erase(images, draws, Augment(colour=0.1), COLOUR, basis)
    expected = np.array([slow_shift(draw, 0.1, basis, COLOUR.std) for draw in draws])
    for row in range(2):
        for column in range(2):
            got = images[:, :, row, column].numpy()
            np.testing.assert_allclose(got, expected, atol=1e-6)
