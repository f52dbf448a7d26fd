"""A classifier's predictions for shifted images: every shift of every image, as a table.

A shift (dx, dy) moves the picture dx pixels to the right and dy down, in pixels of the network's
input: after resizing and cropping, before normalising.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
import torch

from convscope.base.errors import ConvscopeError, DataError
from convscope.base.tensors import PixelBatch, Pixels
from convscope.images.borders import Border
from convscope.images.preprocess import Preprocess
from convscope.lenses.shift.statistics import (
    ClassGrids,
    Estimate,
    OnePixel,
    PerImage,
    ShareGrid,
    ShareGrids,
    Truth,
    agreement,
    mean_of,
    one_pixel,
)
from convscope.nets.classifier import BATCH_SIZE, Classifier


@dataclass(frozen=True, eq=False)
class ShiftTable:
    """A classifier's predictions for every shift of every image.

    Attributes:
        border: how the pixels that the shift leaves empty are filled.
        max_shift: grids reach from -max_shift to max_shift; index [i, j] is dy = i - max_shift,
            dx = j - max_shift.
        targets: (images,) true classes.
        predicted: (images, 2 max_shift + 1, 2 max_shift + 1) classes.
        probability: the same shape, of the true class, 0..1.
    """

    border: Border
    max_shift: int
    targets: Truth
    predicted: ClassGrids
    probability: ShareGrids

    @cached_property
    def agreements(self) -> PerImage:
        """For each image the share of pairs of different shifts with the same class."""
        return agreement(self.predicted.reshape(len(self.targets), -1))

    @cached_property
    def right(self) -> PerImage:
        """For each image the share of shifts with the true class."""
        return (self.predicted == self.targets[:, None, None]).mean(axis=(1, 2))

    @property
    def consistency(self) -> Estimate:
        """The mean share of pairs of different shifts with the same class."""
        return mean_of(self.agreements, (0.0, 1.0))

    @property
    def accuracy(self) -> Estimate:
        """The mean share of shifts with the true class."""
        return mean_of(self.right, (0.0, 1.0))

    @property
    def accuracy_grid(self) -> ShareGrid:
        """The share of images with the true class, for each shift."""
        return (self.predicted == self.targets[:, None, None]).mean(axis=0)

    @property
    def one_pixel(self) -> OnePixel:
        """Sensitivity to a shift by one pixel."""
        return one_pixel(self.predicted, self.probability)

    def path(self) -> list[Estimate]:
        """The mean probability of the true class for dy = 0, dx from -max_shift to max_shift."""
        columns = self.probability[:, self.max_shift].astype(np.float64)
        return [mean_of(column, (0.0, 1.0)) for column in columns.T]


def check_shift(max_shift: int, size: tuple[int, int]) -> None:
    """Checks that images of `size` (height, width) can be shifted by this much.

    Raises:
        ConvscopeError: saying what is allowed.
    """
    if not 1 <= max_shift < min(size):
        raise ConvscopeError(
            f"the largest shift must be 1 to {min(size) - 1} pixels for an input of "
            f"{size[0]} x {size[1]}, got {max_shift}"
        )


def shifted(pixels: PixelBatch, dx: int, dy: int, border: str) -> PixelBatch:
    """The same pictures dx pixels further to the right and dy further down.

    Raises:
        ConvscopeError: the border mode is unknown.

    >>> row = np.array([1, 2, 3, 4], dtype=np.uint8).reshape(1, 1, 4, 1)
    >>> [shifted(row, 1, 0, border).ravel().tolist() for border in ("zero", "edge", "wrap")]
    [[0, 1, 2, 3], [1, 1, 2, 3], [4, 1, 2, 3]]
    """
    height, width = pixels.shape[1:3]
    rows, columns = (max(0, dy), max(0, -dy)), (max(0, dx), max(0, -dx))
    wide = np.pad(pixels, ((0, 0), rows, columns, (0, 0)), Border.of(border).numpy_mode)
    return wide[:, rows[1] : rows[1] + height, columns[1] : columns[1] + width]


def shift_tables(
    classifiers: Sequence[Classifier],
    images: Iterable[Pixels],
    targets: Truth,
    *,
    max_shift: int = 8,
    border: str = "zero",
    batch_size: int = BATCH_SIZE,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[ShiftTable, ...]:
    """Every shift of every image through every classifier; the images are read once.

    The unshifted logits are those of `evaluate` at the same batch size, bit for bit.

    Args:
        classifiers: with the same classes in the same order.
        images: as decoded from their files.
        targets: their classes.
        max_shift: both dx and dy go from -max_shift to max_shift.
        border: see `convscope.images.borders.Border`; "zero" is black before normalising.
        batch_size: images at a time.
        progress: called with (images run, images to run) over all shifts and classifiers.

    Raises:
        ConvscopeError: a trunk, or a shift or border that is not possible.
        DataError: no images, or logits that are not finite.
    """
    border = Border.of(border)
    for classifier in classifiers:
        check_shift(max_shift, classifier.preprocess.size)
    side, count = 2 * max_shift + 1, len(targets)
    if not count:
        raise DataError("there are no images to shift")
    total, done = count * side * side * len(classifiers), 0
    shape = (len(classifiers), count, side, side)
    predicted, probability = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    first = 0
    for group in _groups(images, batch_size):
        place = slice(first, first + len(group))
        first += len(group)
        truth = torch.from_numpy(targets[place])
        for number, classifier in enumerate(classifiers):
            for row, column, logits in _logits(classifier, group, max_shift, border):
                shares = torch.softmax(logits, 1).gather(1, truth[:, None])[:, 0]
                predicted[number, place, row, column] = logits.argmax(1).numpy()
                probability[number, place, row, column] = shares.numpy()
                done += len(group)
                progress(done, total)
            if not np.isfinite(probability[number, place]).all():
                raise DataError(
                    f"{classifier.name}: its logits are not all finite; its weights may be damaged"
                )
    return tuple(
        ShiftTable(border, max_shift, targets, classes, shares)
        for classes, shares in zip(predicted, probability, strict=True)
    )


def pixels_of(preprocess: Preprocess, images: Sequence[Pixels]) -> PixelBatch:
    """Images at the network's input size, before normalising."""
    return np.stack([preprocess.centre(preprocess.canvas(image)) for image in images])


def _logits(
    classifier: Classifier, images: Sequence[Pixels], max_shift: int, border: Border
) -> Iterator[tuple[int, int, torch.Tensor]]:
    """(row, column) of the grid and the logits of all images shifted so."""
    preprocess = classifier.preprocess
    pixels = pixels_of(preprocess, images)
    height, width = pixels.shape[1:3]
    around = (max_shift, max_shift)
    # Normalised once, with its border; a shift is a window of it.
    wide = preprocess.normalise(np.pad(pixels, ((0, 0), around, around, (0, 0)), border.numpy_mode))
    side = 2 * max_shift + 1
    for row in range(side):
        for column in range(side):
            # A window further up shows the image moved down.
            top, left = side - 1 - row, side - 1 - column
            window = wide[:, :, top : top + height, left : left + width]
            window = window.contiguous(memory_format=torch.channels_last)
            yield row, column, classifier.logits(window)


def _groups(images: Iterable[Pixels], size: int) -> Iterator[list[Pixels]]:
    iterator = iter(images)
    while group := list(islice(iterator, size)):
        yield group
