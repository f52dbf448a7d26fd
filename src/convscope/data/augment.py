"""Data augmentation whose random numbers are a function of (seed, epoch, image index).

Image i in epoch e is always augmented in the same way, whatever the order, the batch size or the
number of workers. So a resumed run continues exactly.
"""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from convscope.base.tensors import Images, PixelBatch, Pixels
from convscope.base.values import Value
from convscope.images.preprocess import Preprocess, resized

# Each image gets a row of uniform numbers in each epoch. These are the columns.
_TOP, _LEFT, _FLIP, _SCALE, _ERASE, _AREA, _ASPECT, _ROW, _COLUMN = range(9)
_COLOUR = slice(9, 13)
_DRAWS = 13
_Scale = Annotated[float, Field(gt=0, le=1)]


class Augment(Value):
    """Settings of the augmentation. A zero, or two equal bounds, turns an augmentation off."""

    flip: bool | None = Field(
        default=None, description="flip half of the images left to right; None: by the data"
    )
    pad: int | None = Field(
        default=None,
        ge=0,
        description="random shift by up to this many pixels, mean-filled; None: by size",
    )
    scale: tuple[_Scale, _Scale] = Field(
        default=(1.0, 1.0),
        description="scale jitter: the image's shorter side, as a multiple of `resize`, is drawn "
        "between these; at most 1, because the image is never enlarged",
    )
    colour: float = Field(
        default=0.0, ge=0, description="standard deviation of AlexNet's RGB shift"
    )
    erase: float = Field(
        default=0.0, ge=0, le=1, description="share of images with a rectangle erased"
    )


def uniform_numbers(seed: int, epoch: int, images: np.ndarray, draws: int = _DRAWS) -> np.ndarray:
    """Uniform numbers in [0, 1), a pure function of seed, epoch, image index and column.

    A hash is 20 times as fast here as a random generator for each image.

    Source: Steele, Lea & Flood 2014, "Fast Splittable Pseudorandom Number Generators" (the
    finaliser of SplitMix64, used as a hash).

    Args:
        seed: of the run.
        epoch: counted from 0.
        images: (n,) image indices in the data set.
        draws: the number of columns.

    Returns:
        (n, draws) float64.
    """
    with np.errstate(over="ignore"):
        key = _splitmix64(_splitmix64(np.array([seed], np.uint64)) + np.uint64(epoch))
        rows = _splitmix64(key + images.astype(np.uint64))
        columns = np.arange(1, draws + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        # The upper 53 bits fill the mantissa of a float64.
        return (_splitmix64(rows[:, None] + columns[None, :]) >> np.uint64(11)) * 2.0**-53


def _splitmix64(value: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        z = value + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def only_flips(augment: Augment) -> bool:
    """Whether neither random crops nor scale jitter change the image: at most it is flipped."""
    return not augment.pad and augment.scale == (1.0, 1.0)


def flip_images(batch: PixelBatch, draws: np.ndarray, augment: Augment) -> PixelBatch:
    """Flips half of the images left to right, in place: the same images that `random_crop` flips.

    Args:
        batch: (batch, height, width, channels).
        draws: (batch, draws) from `uniform_numbers`.
        augment: the settings.
    """
    if augment.flip:
        flipped = draws[:, _FLIP] < 0.5
        batch[flipped] = batch[flipped, :, ::-1]
    return batch


def random_crop(
    canvas: Pixels, draw: np.ndarray, augment: Augment, preprocess: Preprocess
) -> Pixels:
    """A random crop of one canvas, scaled and perhaps flipped, of the preprocessing's size.

    A scale s < 1 crops a window of size / s and resizes it to `size`. At s = 1 the canvas's pixels
    are not interpolated.

    Args:
        canvas: the resized image (height, width, channels).
        draw: (draws,) the image's row from `uniform_numbers`.
        augment: the settings.
        preprocess: its `size` is that of the result.
    """
    low, high = augment.scale
    window = preprocess.size
    if low < 1 or high < 1:
        scale = low + (high - low) * draw[_SCALE]
        height, width = (
            max(1, min(side, round(target / scale)))
            for side, target in zip(canvas.shape[:2], preprocess.size, strict=True)
        )
        window = (height, width)
    pad = augment.pad or 0
    top = _offset(canvas.shape[0] - window[0], pad, draw[_TOP])
    left = _offset(canvas.shape[1] - window[1], pad, draw[_LEFT])
    pixels = preprocess.window(canvas, top, left, window)
    if augment.flip and draw[_FLIP] < 0.5:
        pixels = pixels[:, ::-1]
    return resized(pixels, preprocess.size)


def _offset(margin: int, pad: int, draw: float) -> int:
    """The first row or column of a window, uniform over those where the window fits, +- `pad`.

    `margin` is the canvas's side minus the window's. If it is negative, the window is centred.
    """
    start, margin = (0, margin) if margin >= 0 else (margin // 2, 0)
    return start + int(draw * (margin + 2 * pad + 1)) - pad


def shift_and_erase(
    images: Images, draws: np.ndarray, augment: Augment, preprocess: Preprocess, basis: np.ndarray
) -> Images:
    """Applies RGB shift and random erasing to normalised images, in place.

    Source: Krizhevsky et al. 2012, section 4.1 (RGB shift); Zhong et al. 2017, "Random Erasing"
    (area 2 to 33 %, aspect 0.3 to 3.3, filled with the mean).

    Args:
        images: (batch, channels, height, width), normalised.
        draws: (batch, draws) from `uniform_numbers`.
        augment: the settings.
        preprocess: with which the images were normalised.
        basis: (3, 3) from `colour_basis`.
    """
    if augment.colour and preprocess.channels == 3:
        amounts = augment.colour * _normals(draws)
        shift = torch.from_numpy((amounts @ basis.T) / np.asarray(preprocess.std)).float()
        images += shift.to(images.device)[:, :, None, None]
    for row in np.flatnonzero(draws[:, _ERASE] < augment.erase):
        rows, columns = _rectangle(draws[row], preprocess.size)
        images[int(row), :, rows, columns] = 0  # 0 is the mean after normalisation
    return images


def _normals(draws: np.ndarray) -> np.ndarray:
    """Three standard normal numbers per image, (batch, 3), by the Box-Muller transform."""
    first, second, third, fourth = draws[:, _COLOUR].T
    radius, other = np.sqrt(-2 * np.log1p(-first)), np.sqrt(-2 * np.log1p(-third))
    angle = 2 * np.pi * second
    return np.column_stack(
        [radius * np.cos(angle), radius * np.sin(angle), other * np.cos(2 * np.pi * fourth)]
    )


def _rectangle(draw: np.ndarray, size: tuple[int, int]) -> tuple[slice, slice]:
    area = (0.02 + 0.31 * draw[_AREA]) * size[0] * size[1]
    aspect = 0.3 * (3.3 / 0.3) ** draw[_ASPECT]
    height = min(size[0], max(1, round((area * aspect) ** 0.5)))
    width = min(size[1], max(1, round((area / aspect) ** 0.5)))
    top = int(draw[_ROW] * (size[0] - height + 1))
    left = int(draw[_COLUMN] * (size[1] - width + 1))
    return slice(top, top + height), slice(left, left + width)


def colour_basis(covariance: np.ndarray) -> np.ndarray:
    """The principal axes of an RGB covariance (3, 3) as columns, times their standard deviation."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0))
