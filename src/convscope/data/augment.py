"""Random changes to training images, keyed by (seed, epoch, image): not by who computes them.

Whatever the order, the batch or the number of workers, image i in epoch e is always changed in the
same way; so a resumed run continues exactly.
"""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from convscope.base.tensors import Images, PixelBatch, Pixels
from convscope.base.values import Value
from convscope.images.preprocess import Preprocess, resized

# Columns of uniform numbers, one row per image and epoch.
_TOP, _LEFT, _FLIP, _SCALE, _ERASE, _AREA, _ASPECT, _ROW, _COLUMN = range(9)
_COLOUR = slice(9, 13)
_DRAWS = 13
_Scale = Annotated[float, Field(gt=0, le=1)]


class Augment(Value):
    """What training may do to an image. Zero or equal bounds switch a change off."""

    flip: bool | None = Field(
        default=None, description="mirror half of the images; None: by the data"
    )
    pad: int | None = Field(
        default=None,
        ge=0,
        description="random shift by up to so many pixels, mean-filled; None: by size",
    )
    scale: tuple[_Scale, _Scale] = Field(
        default=(1.0, 1.0),
        description="scale jitter: the image's shorter side, as a multiple of `resize`, is drawn "
        "between these; at most 1, for the image is never enlarged",
    )
    colour: float = Field(
        default=0.0, ge=0, description="standard deviation of AlexNet's RGB shift"
    )
    erase: float = Field(
        default=0.0, ge=0, le=1, description="share of images with a rectangle erased"
    )


def uniforms(seed: int, epoch: int, images: np.ndarray, draws: int = _DRAWS) -> np.ndarray:
    """Numbers in [0, 1), (images, draws), a pure function of seed, epoch, image index and column.

    Source: Steele, Lea & Flood 2014, "Fast Splittable Pseudorandom Number Generators" (the
    SplitMix64 finaliser as a hash); 20 times faster here than a generator for each image.
    """
    with np.errstate(over="ignore"):
        key = _mixed(_mixed(np.array([seed], np.uint64)) + np.uint64(epoch))
        rows = _mixed(key + images.astype(np.uint64))
        columns = np.arange(1, draws + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return (_mixed(rows[:, None] + columns[None, :]) >> np.uint64(11)) * 2.0**-53


def _mixed(value: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        z = value + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def takes_whole_images(augment: Augment) -> bool:
    """Whether a canvas of the network's size is used as it is, but for mirroring."""
    return not augment.pad and augment.scale == (1.0, 1.0)


def mirror(batch: PixelBatch, draws: np.ndarray, augment: Augment) -> PixelBatch:
    """The images that the draws choose mirrored left to right, in place: as `cut` does it."""
    if augment.flip:
        chosen = draws[:, _FLIP] < 0.5
        batch[chosen] = batch[chosen, :, ::-1]
    return batch


def cut(canvas: Pixels, draw: np.ndarray, augment: Augment, preprocess: Preprocess) -> Pixels:
    """The random crop, scale and mirror of one canvas, of the preprocessing's size.

    A scale s < 1 is applied as a window of size / s on the canvas, brought to `size` afterwards: at
    s = 1 the pixels are the canvas's own.
    """
    low, high = augment.scale
    window = preprocess.size
    if low < 1 or high < 1:
        scale = low + (high - low) * draw[_SCALE]
        height, width = (
            max(1, min(side, round(own / scale)))
            for side, own in zip(canvas.shape[:2], preprocess.size, strict=True)
        )
        window = (height, width)
    pad = augment.pad or 0
    top = _place(canvas.shape[0] - window[0], pad, draw[_TOP])
    left = _place(canvas.shape[1] - window[1], pad, draw[_LEFT])
    pixels = preprocess.window(canvas, top, left, window)
    if augment.flip and draw[_FLIP] < 0.5:
        pixels = pixels[:, ::-1]
    return resized(pixels, preprocess.size)


def _place(room: int, pad: int, draw: float) -> int:
    """Where a window starts: anywhere it fits, give or take `pad`; centred where it cannot fit."""
    start, room = (0, room) if room >= 0 else (room // 2, 0)
    return start + int(draw * (room + 2 * pad + 1)) - pad


def change_values(
    images: Images, draws: np.ndarray, augment: Augment, preprocess: Preprocess, basis: np.ndarray
) -> Images:
    """Colour shift and erasing, on normalised images, in place.

    `basis` (3, 3) holds the principal axes of the training pixels' RGB values, each times the
    square root of its variance (`colour_basis`).

    Source: Krizhevsky et al. 2012, section 4.1 (RGB shift); Zhong et al. 2017, "Random Erasing"
    (area 2 to 33 %, aspect 0.3 to 3.3, filled with the mean).
    """
    if augment.colour and preprocess.channels == 3:
        amounts = augment.colour * _normals(draws)
        shift = torch.from_numpy((amounts @ basis.T) / np.asarray(preprocess.std)).float()
        images += shift.to(images.device)[:, :, None, None]
    for place in np.flatnonzero(draws[:, _ERASE] < augment.erase):
        rows, columns = _rectangle(draws[place], preprocess.size)
        images[int(place), :, rows, columns] = 0
    return images


def _normals(draws: np.ndarray) -> np.ndarray:
    """Three standard normal numbers per image, by Box and Muller's formula."""
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
    """Principal axes of an RGB covariance (3, 3), as columns, times their standard deviation."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0))
