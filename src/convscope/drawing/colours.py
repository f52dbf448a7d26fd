"""Numbers to colours: zero always has the same colour, and NaN a separate one.

Look-up tables are matplotlib's; both are safe for red-green blindness.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from convscope.base.tensors import Pixels

# Zero is black and white respectively. With an odd number of levels, one is exactly zero.
_SEQUENTIAL, _DIVERGING, _LEVELS = "magma", "RdBu_r", 257

MISSING = (255, 0, 255)  # not in either table
DEAD = (205, 205, 205)
MARK = (90, 90, 90)


class Scale(StrEnum):
    """Over what colours compare: one map, the maps of a layer, or all layers."""

    unit = "unit"
    layer = "layer"
    network = "network"


@dataclass(frozen=True)
class Range:
    """The smallest and largest of some values: the ends of a legend. NaN where there are none."""

    low: float
    high: float

    @property
    def signed(self) -> bool:
        """Whether colours must diverge from zero."""
        return self.low < 0

    @property
    def limit(self) -> float:
        """The largest magnitude: where colours are full."""
        return max(abs(self.low), abs(self.high))

    def joined(self, other: "Range") -> "Range":
        """The range of both together."""
        low, high = np.fmin(self.low, other.low), np.fmax(self.high, other.high)
        return Range(float(low), float(high))


def range_of(values: np.ndarray) -> Range:
    """The range of the finite ones of `values`.

    >>> range_of(np.array([-1.5, 4.0, np.inf, np.nan]))
    Range(low=-1.5, high=4.0)
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return Range(float("nan"), float("nan"))
    return Range(float(finite.min()), float(finite.max()))


def coloured(values: np.ndarray, ends: Range) -> np.ndarray:
    """The colours (..., 3), 0..255, of values (...) on a scale.

    With negative ends, white is zero, red the largest magnitude, blue its negative; otherwise black
    is zero and pale yellow the largest value. NaN and infinities are magenta.
    """
    values = values.astype(np.float64)
    missing = ~np.isfinite(values)
    shares = np.where(missing, 0.0, values) / (ends.limit if ends.limit > 0 else 1.0)
    if ends.signed:
        shares = (shares + 1) / 2
    places = np.rint(np.clip(shares, 0, 1) * (_LEVELS - 1)).astype(np.intp)
    colours = _table(ends.signed)[places]
    colours[missing] = MISSING
    return colours


def as_colour(filters: np.ndarray, limit: float) -> np.ndarray:
    """Filters (..., 3 channels, height, width) as pixels (..., height, width, 3), 0..255.

    One affine scale for all: mid-grey is zero, 0 and 255 are -limit and limit.
    """
    filters = np.moveaxis(filters.astype(np.float64), -3, -1)
    missing = ~np.isfinite(filters).all(axis=-1)
    shares = 0.5 + np.nan_to_num(filters, posinf=0, neginf=0) / (2 * limit if limit > 0 else 1.0)
    colours = np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)
    colours[missing] = MISSING
    return colours


def enlarged(pixels: Pixels, factor: int) -> Pixels:
    """Every pixel as a square of `factor` x `factor`, without smoothing."""
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def shrunk(maps: np.ndarray, factor: int) -> np.ndarray:
    """Maps (..., height, width) with means of `factor` x `factor` values; fewer at the end."""
    if factor == 1:
        return maps
    values, counts = maps.astype(np.float64), np.ones(maps.shape[-2:])
    for axis in (-1, -2):
        starts = np.arange(0, maps.shape[axis], factor)
        values = np.add.reduceat(values, starts, axis=axis)
        counts = np.add.reduceat(counts, starts, axis=axis)
    return values / counts


def _table(signed: bool) -> np.ndarray:
    from matplotlib import colormaps

    table = colormaps[_DIVERGING if signed else _SEQUENTIAL].resampled(_LEVELS)
    return table(np.arange(_LEVELS), bytes=True)[:, :3]
