"""Statistics of predictions under shifts, with intervals, from a table of classes.

Images are the independent units: every figure is first taken for each image, then averaged. Shifts
of one image are not independent, and are never counted as if they were.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from convscope.metrics.classification import wilson_interval

Classes = Int[np.ndarray, "images shifts"]
# Grids of shifts: dy from the top, dx from the left, no shift in the middle.
ClassGrids = Int[np.ndarray, "images side side"]
ShareGrids = Float[np.ndarray, "images side side"]
ShareGrid = Float[np.ndarray, "side side"]
Truth = Int[np.ndarray, " images"]
Hits = Bool[np.ndarray, " images"]
OtherHits = Bool[np.ndarray, " others"]  # of other images, and as many as there are
PerImage = Float[np.ndarray, " images"]


@dataclass(frozen=True)
class Estimate:
    """A mean over images and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        """(low, high)."""
        return self.low, self.high

    @property
    def excludes_zero(self) -> bool:
        """Whether zero is outside of the interval."""
        return self.low > 0 or self.high < 0


def mean_of(values: PerImage, bounds: tuple[float, float]) -> Estimate:
    """The mean with its interval by the normal approximation, cut at what is possible.

    For a single image, the interval is `bounds`. Where all images have the same value it has no
    width, and does not cover rarer images.

    >>> estimate = mean_of(np.array([0.0, 1.0, 1.0, 1.0]), (0.0, 1.0))
    >>> round(estimate.value, 2), round(estimate.low, 2), estimate.high
    (0.75, 0.26, 1.0)
    """
    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(mean, *bounds)
    margin = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    return Estimate(mean, max(bounds[0], mean - margin), min(bounds[1], mean + margin))


def share_of(hits: Hits) -> Estimate:
    """The share of images with Wilson's interval."""
    count = int(hits.sum())
    return Estimate(count / len(hits), *wilson_interval(count, len(hits)))


def difference_of(figures: PerImage | Hits, others: PerImage | Hits) -> Estimate:
    """The mean difference of two figures of the same images, pair by pair."""
    return mean_of(figures.astype(np.float64) - others.astype(np.float64), (-1.0, 1.0))


def gap_of(hits: Hits, others: OtherHits) -> Estimate:
    """The difference of two shares of independent sets of images.

    Source: Newcombe 1998, "Interval estimation for the difference between independent
    proportions", method 10: Wilson's intervals, combined.
    """
    one, two = share_of(hits), share_of(others)
    below = ((one.value - one.low) ** 2 + (two.high - two.value) ** 2) ** 0.5
    above = ((one.high - one.value) ** 2 + (two.value - two.low) ** 2) ** 0.5
    value = one.value - two.value
    return Estimate(value, value - below, value + above)


def agreement(predicted: Classes) -> PerImage:
    """For each image the share of its pairs of different shifts that get the same class.

    Exact, from how often each class is said: of S shifts with k of class c, the sum over c of
    k (k - 1) / (S (S - 1)). The mean over images is the consistency of Zhang 2019 (arXiv
    1904.11486), section 4.1, which draws pairs of shifts at random; here every pair counts once.

    >>> agreement(np.array([[3, 3, 3, 3], [3, 3, 5, 5]])).round(4).tolist()
    [1.0, 0.3333]
    """
    shifts = predicted.shape[1]
    pairs = [int((count * (count - 1)).sum()) for count in map(np.bincount, predicted)]
    return np.array(pairs) / (shifts * (shifts - 1))


@dataclass(frozen=True)
class OnePixel:
    """What a shift by one pixel does, over the eight neighbours of no shift.

    Attributes:
        changed: share of images whose class changes for at least one of the eight.
        moved: mean over images and neighbours of |change of the true class's probability|.
        gained: the same with its sign: below zero, the unshifted image is the better one.
    """

    changed: Estimate
    moved: Estimate
    gained: Estimate


def one_pixel(predicted: ClassGrids, probability: ShareGrids) -> OnePixel:
    """Sensitivity to one pixel, from grids whose middle is the unshifted image."""
    change = neighbours(probability) - _middle(probability)[:, None]
    return OnePixel(
        share_of(changed(predicted)),
        mean_of(np.abs(change).mean(axis=1), (0.0, 1.0)),
        mean_of(change.mean(axis=1), (-1.0, 1.0)),
    )


def changed(predicted: ClassGrids) -> Hits:
    """Whether an image's class changes for at least one of its eight neighbours."""
    return (neighbours(predicted) != _middle(predicted)[:, None]).any(axis=1)


def neighbours(grids: np.ndarray) -> np.ndarray:
    """The eight values around the middle of grids (images, rows, columns): (images, 8)."""
    row, column = grids.shape[1] // 2, grids.shape[2] // 2
    block = grids[:, row - 1 : row + 2, column - 1 : column + 2].reshape(len(grids), 9)
    return np.delete(block, 4, axis=1)


def _middle(grids: np.ndarray) -> np.ndarray:
    return grids[:, grids.shape[1] // 2, grids.shape[2] // 2]
