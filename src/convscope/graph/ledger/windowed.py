"""The formulas of convolutions, dense layers and pools: sums and maxima of a window."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.graph.graph import Node
from convscope.graph.kinds import Kind
from convscope.graph.ledger.ledger import Ledger, Terms
from convscope.graph.ledger.place import Place, float64
from convscope.graph.windows import adaptive_bounds


@dataclass(frozen=True, eq=False)
class UnitWindow:
    """The rows and columns in the window of one unit, including the padding.

    `height` and `width` are those of the input; positions outside of it are padding.
    """

    rows: np.ndarray
    columns: np.ndarray
    height: int
    width: int

    @property
    def inside(self) -> tuple[np.ndarray, np.ndarray]:
        """(rows,) and (columns,) bool: which of them lie in the input."""
        rows = (self.rows >= 0) & (self.rows < self.height)
        return rows, (self.columns >= 0) & (self.columns < self.width)

    @property
    def slices(self) -> tuple[slice, slice]:
        """The rows and columns that lie in the input."""
        rows, columns = self.inside
        return _slice(self.rows[rows]), _slice(self.columns[columns])


def _slice(places: np.ndarray) -> slice:
    if not len(places):
        return slice(0, 0)
    step = int(places[1] - places[0]) if len(places) > 1 else 1
    return slice(int(places[0]), int(places[-1]) + 1, step)


def window_of_unit(node: Node, row: int, column: int) -> UnitWindow:
    """The window of a unit of a convolution, max pool or average pool.

    An average pool's window ends at the padding's border, which determines the divisor.
    """
    sides, axes = node.input_shapes[0][-2:], []
    for axis, unit in enumerate((row, column)):
        places = node.window.places(axis, unit)
        if node.kind is Kind.AVERAGE_POOL:
            places = places[places < sides[axis] + node.window.after[axis]]
        axes.append(places)
    return UnitWindow(axes[0], axes[1], *sides)


def window_of_adaptive_unit(node: Node, row: int, column: int) -> UnitWindow:
    """The window of a unit of an adaptive pool."""
    sides, axes = node.input_shapes[0][-2:], []
    for axis, unit in enumerate((row, column)):
        outputs = node.output_shape[-2:][axis] if len(node.output_shape) == 3 else 1
        starts, ends = adaptive_bounds(sides[axis], outputs)
        axes.append(np.arange(starts[unit], ends[unit]))
    return UnitWindow(axes[0], axes[1], *sides)


def _weighted(place: Place, terms: Terms, bias: float | None, **more: Any) -> Ledger:
    products = terms.weights * terms.values
    formula = "Σ weight · value" + (" + bias" if bias is not None else "")
    total = products.sum() + (bias or 0.0)
    scale = np.abs(products).sum() + abs(bias or 0.0)
    return place.ledger(formula, terms, total, scale, bias=bias, **more)


def _cut(place: Place, channels: slice, window: UnitWindow, border: float) -> Terms:
    """The values of an input (channels, height, width) in a window, with weight 1."""
    maps = place.input()
    first, last, _ = channels.indices(len(maps))
    shape = (last - first, len(window.rows), len(window.columns))
    inside = np.logical_and.outer(*window.inside)
    values = np.full(shape, border)
    part = maps[channels, *window.slices]
    if part.numel():
        values[:, inside] = float64(part).reshape(len(values), -1)
    index = np.empty((*shape, 3), dtype=np.int64)
    index[..., 0] = np.arange(first, last)[:, None, None]
    index[..., 1] = window.rows[:, None]
    index[..., 2] = window.columns
    padding = np.broadcast_to(~inside, shape).reshape(-1)
    return Terms(
        place.node.inputs[0], index.reshape(-1, 3), np.ones(values.size), values.reshape(-1),
        padding,
    )  # fmt: skip


def convolution(place: Place) -> Ledger:
    """Patch x kernel over the channels of the unit's group, plus the bias."""
    channel, row, column = place.index
    weight = place.parameter("weight")
    assert weight is not None
    depth = weight.shape[1]
    first = channel // (len(weight) // place.node.window.groups) * depth
    window = window_of_unit(place.node, row, column)
    terms = _cut(place, slice(first, first + depth), window, 0.0)
    kernel = float64(weight[channel]).reshape(-1)
    terms = Terms(terms.node, terms.indices, kernel, terms.values, terms.padding)
    bias = None if place.parameter("bias") is None else place.number("bias", channel, 0.0)
    return _weighted(place, terms, bias, window=tuple(weight.shape[1:]))


def linear(place: Place) -> Ledger:
    """Every input times its weight, plus the bias; over the last axis where there are several."""
    *rows, unit = place.index
    weight = place.parameter("weight")
    assert weight is not None
    values = float64(place.input()[tuple(rows)])
    count = len(values)
    index = np.empty((count, len(rows) + 1), dtype=np.int64)
    index[:, :-1] = rows
    index[:, -1] = np.arange(count)
    terms = Terms(
        place.node.inputs[0], index, float64(weight[unit]), values, np.zeros(count, dtype=bool)
    )
    bias = None if place.parameter("bias") is None else place.number("bias", unit, 0.0)
    return _weighted(place, terms, bias)


def _pool_window(place: Place) -> tuple[UnitWindow, bool]:
    """The window of a pool, and whether the pool is adaptive."""
    adaptive = place.node.kind in (Kind.ADAPTIVE_AVERAGE_POOL, Kind.ADAPTIVE_MAX_POOL)
    # A mean over both axes, without keepdim, has no row and column.
    row, column = place.index[1:] if len(place.index) == 3 else (0, 0)
    window = window_of_adaptive_unit if adaptive else window_of_unit
    return window(place.node, row, column), adaptive


def largest(place: Place) -> Ledger:
    """The window of a max pool, and its winner."""
    window, _ = _pool_window(place)
    terms = _cut(place, slice(place.index[0], place.index[0] + 1), window, -math.inf)
    # The first of equal values, or the first NaN; never padding, whose value is minus infinity.
    inside = np.flatnonzero(~terms.padding)
    winner = int(inside[np.argmax(terms.values[inside])]) if len(inside) else 0
    weight = np.zeros(len(terms))
    weight[winner] = 1.0
    terms = Terms(terms.node, terms.indices, weight, terms.values, terms.padding)
    value = terms.values[winner]
    return place.ledger("the largest value (weight 1)", terms, value, abs(value))


def average(place: Place) -> Ledger:
    """The mean over a window; whether the padding counts is the pool's setting."""
    window, adaptive = _pool_window(place)
    terms = _cut(place, slice(place.index[0], place.index[0] + 1), window, 0.0)
    count = len(terms)
    settings = place.node.settings
    if not adaptive and not settings["count_include_pad"]:
        count = int((~terms.padding).sum())
    count = (not adaptive and settings["divisor_override"]) or count
    terms = Terms(
        terms.node, terms.indices, np.full(len(terms), 1 / count), terms.values, terms.padding
    )
    return _weighted(place, terms, None)
