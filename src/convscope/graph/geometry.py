"""The receptive field of a unit, clipped at every layer.

Rows and columns are computed separately: which rows of the images affect which row of a node. A
unit sees at most the product of its rows and columns, and in most networks exactly that. A lower
bound is computed too; where it equals this upper bound, the field is exact.
"""

import functools
import math
import operator
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
import torch

from convscope.base.errors import ConvscopeError
from convscope.base.torch_private import operation_name
from convscope.graph.graph import INPUT, Graph, Node
from convscope.graph.kinds import ACTIVATIONS, ARITHMETIC, KIND_OF, REARRANGEMENTS, Kind
from convscope.graph.program import Step
from convscope.graph.windows import adaptive_bounds

_ADAPTIVE = frozenset({Kind.ADAPTIVE_AVERAGE_POOL, Kind.ADAPTIVE_MAX_POOL})
_WINDOWED = _ADAPTIVE | {Kind.CONVOLUTION, Kind.MAX_POOL, Kind.AVERAGE_POOL}
_POINTWISE = ACTIVATIONS | {
    Kind.BATCH_NORM, Kind.LOCAL_RESPONSE_NORM, Kind.DROPOUT, Kind.IDENTITY,
}  # fmt: skip
_REARRANGED = frozenset({Kind.RESHAPE, Kind.PERMUTE, Kind.SLICE, Kind.PAD})

# Three bounds for the channels of a unit: no channel sees more than MOST, all of them together see
# at least TOGETHER, and each of them sees at least EACH.
_MOST, _TOGETHER, _EACH = 0, 1, 2


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """The pixels that the units of a node see; pairs are (vertical, horizontal).

    The unit in row i sees the rows from i * stride - padding on, `size` of them, those outside of
    the image included. This holds away from the border; `box` holds everywhere. Where windows
    differ in size (an adaptive pool from 7 to 3 rows) these three are a bound.

    `exact` says that every unit sees its whole box and nothing else. Otherwise the box is a bound:
    there are holes (dilation, strides longer than kernels), branches that see a cross, or channels
    that see less than others. `rows` (height, 2) and `columns` (width, 2) hold the first row and
    the one after the last that a unit sees, for each row of units; equal where that is none.

    Source: Araujo, Norris & Sim 2019, https://distill.pub/2019/computing-receptive-fields; the
    clipping at every layer and `exact` are convscope's.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    exact: bool
    rows: np.ndarray = field(repr=False)
    columns: np.ndarray = field(repr=False)

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """The box of the units at one position, as in `boxes`."""
        top, left, bottom, right = self.boxes(np.array([row]), np.array([column]))[0].tolist()
        return top, left, bottom, right

    def boxes(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(places, 4) top, left, bottom, right of the boxes of the units at some positions.

        In pixels of the image; bottom and right are exclusive. Units that see padding only have an
        empty box, (0, 0, 0, 0). Rows and columns are those of the node's map, (places,) each.

        Raises:
            ConvscopeError: for a position outside of the map.
        """
        height, width = len(self.rows), len(self.columns)
        outside = (rows < 0) | (rows >= height) | (columns < 0) | (columns >= width)
        if outside.any():
            row, column = rows[outside][0], columns[outside][0]
            raise ConvscopeError(
                f"no unit in row {row}, column {column}; rows are 0 to {height - 1}, "
                f"columns 0 to {width - 1}"
            )
        (top, bottom), (left, right) = self.rows[rows].T, self.columns[columns].T
        boxes = np.stack([top, left, bottom, right], axis=1)
        boxes[(top == bottom) | (left == right)] = 0
        return boxes


@dataclass(frozen=True, eq=False)
class _Axis:
    """The rows, or the columns, of a node: `seen[level, i, r]`, row i seeing row r of the images.

    For each of the three levels, a unit's field is compared with its rows times its columns.
    """

    seen: np.ndarray
    size: int = 1
    stride: int = 1
    padding: int = 0


_Field = tuple[_Axis, _Axis]


def receptive_fields(graph: Graph) -> Mapping[str, ReceptiveField]:
    """The receptive fields of the images and of all nodes that have rows and columns.

    Nodes whose rows and columns no longer correspond to the images' are left out: after flattening,
    with axes exchanged or mirrored, after operations that convscope does not know, and sums of maps
    with different strides.

    Source: as `ReceptiveField`.

    >>> from convscope.graph.capture import capture
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.MaxPool2d(2))
    >>> field = receptive_fields(capture(module, torch.zeros(1, 3, 8, 8)))["1"]
    >>> field.size, field.stride, field.padding, field.box(0, 3)
    ((4, 4), (2, 2), (1, 1), (0, 5, 3, 8))
    """
    height, width = graph.input_shape[1:]
    fields: dict[str, _Field] = {INPUT: (_identity(height), _identity(width))}
    for node in graph.nodes[1:]:
        sources = [fields[name] for name in node.inputs if name in fields]
        if sources and len(sources) == len(node.inputs) and _computes_only_its_kind(graph, node):
            field = _field(graph, node, sources)
            if field is not None:
                fields[node.name] = field
    return {
        name: _receptive_field(rows, columns)
        for name, (rows, columns) in fields.items()
        if len(graph[name].output_shape) == 3
    }


def _identity(length: int) -> _Axis:
    return _Axis(np.broadcast_to(np.eye(length, dtype=bool), (3, length, length)))


def _receptive_field(rows: _Axis, columns: _Axis) -> ReceptiveField:
    return ReceptiveField(
        size=(rows.size, columns.size),
        stride=(rows.stride, columns.stride),
        padding=(rows.padding, columns.padding),
        exact=_is_exact(rows) and _is_exact(columns),
        rows=_hull(rows),
        columns=_hull(columns),
    )


def _hull(axis: _Axis) -> np.ndarray:
    """For each row of units the first row seen and the one after the last; (0, 0) for none."""
    seen = axis.seen[_MOST]
    ends = seen.shape[1] - seen[:, ::-1].argmax(axis=1)
    return np.stack([seen.argmax(axis=1), np.where(seen.any(axis=1), ends, 0)], axis=1)


def _is_exact(axis: _Axis) -> bool:
    first, end = _hull(axis).T[..., None]
    places = np.arange(axis.seen.shape[2])
    return bool((axis.seen[_EACH] == ((places >= first) & (places < end))).all())


def _computes_only_its_kind(graph: Graph, node: Node) -> bool:
    """Whether a node's steps compute only its kind, unlike x - x.mean(), which includes a mean."""
    kinds = REARRANGEMENTS if node.kind in REARRANGEMENTS else {node.kind}

    def fits(step: Step) -> bool:
        if (name := operation_name(step.call)) is None:  # arithmetic on sizes, or getitem
            return getattr(operator, getattr(step.call, "__name__", ""), None) is step.call
        if name == "slice" and all(place in (None, 0, sys.maxsize) for place in step.args[1:4]):
            return True  # the first slice of x[:, 1:3]
        return name in ("sym_size", node.operation) or KIND_OF.get(name) in kinds

    recognised_as_a_whole = node.kind is Kind.LOCAL_RESPONSE_NORM
    return recognised_as_a_whole or all(fits(step) for step in graph.node_steps[node.name])


def _field(graph: Graph, node: Node, sources: Sequence[_Field]) -> _Field | None:
    """The field of a node from those of its inputs; None where it has none.

    A vector counts as a 1 x 1 map that sees what all its values see, so that a gate may be
    flattened and reshaped to a map again.
    """
    kind, shape = node.kind, node.output_shape
    if kind in ARITHMETIC or kind is Kind.CONCATENATE:
        return _merged(node, sources)
    if len(sources) > 1:
        return None
    if kind in _POINTWISE:
        return sources[0]
    if kind in _WINDOWED:
        field = _windowed(node, 0, sources[0][0]), _windowed(node, 1, sources[0][1])
        return _mixed(field) if kind is Kind.CONVOLUTION and node.window.groups == 1 else field
    if kind is Kind.LINEAR and len(shape) == 1:
        return _mixed(sources[0])
    if kind is Kind.FLATTEN:
        rows, columns = (_flattened(axis) for axis in sources[0])
        return rows, columns
    return _rearranged(graph, node, sources[0]) if kind in _REARRANGED else None


def _mixed(source: _Field) -> _Field:
    """Every channel sees what all channels of the source together see."""
    rows, columns = (
        replace(axis, seen=axis.seen[[_MOST, _TOGETHER, _TOGETHER]]) for axis in source
    )
    return rows, columns


def _flattened(axis: _Axis) -> _Axis:
    seen = np.logical_or.reduce(axis.seen, axis=1, keepdims=True)
    seen[_EACH] = axis.seen[_EACH].all(axis=0)
    return replace(axis, seen=seen, size=axis.size + (axis.seen.shape[1] - 1) * axis.stride)


def _windowed(node: Node, axis: int, source: _Axis) -> _Axis:
    """One axis of a convolution or pool."""
    inputs = source.seen.shape[1]
    outputs = _sides(node.output_shape)[axis]
    index = np.arange(outputs)
    if node.kind in _ADAPTIVE:
        # One window for all units: the shortest one, at stride floor(n / o), that contains the
        # window of every unit.
        starts, ends = adaptive_bounds(inputs, outputs)
        stride, padding = inputs // outputs, 0
        reach = int((ends - index * stride).max())
        places = starts[:, None] + np.arange((ends - starts).max())
        places = np.where(places < ends[:, None], places, -1)
    else:
        window = node.window
        stride, padding, reach = window.stride[axis], window.before[axis], window.extent(axis)
        places = window.places(axis, index)
    return _Axis(
        seen=_through(source.seen, places),
        size=source.size + (reach - 1) * source.stride,
        stride=source.stride * stride,
        padding=source.padding + padding * source.stride,
    )


def _through(seen: np.ndarray, places: np.ndarray) -> np.ndarray:
    """What units with the inputs `places` (outputs, window) see; they see nothing in padding."""
    through = np.zeros((len(seen), len(places), seen.shape[2]), dtype=bool)
    for place in places.T:
        inside = np.flatnonzero((place >= 0) & (place < seen.shape[1]))
        through[:, inside] |= seen[:, place[inside]]
    return through


def _merged(node: Node, sources: Sequence[_Field]) -> _Field | None:
    """Branches that are added, multiplied, ..., or concatenated as channels."""
    shape = node.output_shape
    if not _keeps_axes(node):
        return None
    height, width = _sides(shape)
    rows = [_broadcast(source[0], height) for source in sources]
    columns = [_broadcast(source[1], width) for source in sources]
    seen = [np.logical_or.reduce([axis.seen for axis in axes]) for axes in (rows, columns)]
    for level in (_TOGETHER, _EACH):
        products = [(r.seen[level], c.seen[level]) for r, c in zip(rows, columns, strict=True)]
        seen[0][level], seen[1][level] = _larger(products)
    if node.kind is Kind.CONCATENATE:  # each channel is that of one branch, or constant
        from_branches = sum(_channels(given) for given in node.input_shapes) == _channels(shape)
        for both, axes in zip(seen, (rows, columns), strict=True):
            both[_EACH] = np.logical_and.reduce([axis.seen[_EACH] for axis in axes])
            both[_EACH] &= from_branches
    vertical, horizontal = _joint_axis(rows, seen[0]), _joint_axis(columns, seen[1])
    return None if vertical is None or horizontal is None else (vertical, horizontal)


def _keeps_axes(node: Node) -> bool:
    """Whether the rows and columns of all branches are those of the output."""
    rank, stacked = len(node.output_shape), node.operation == "stack"
    if any(len(given) + stacked != rank for given in node.input_shapes) or (stacked and rank == 3):
        return False
    if node.kind is not Kind.CONCATENATE:
        return True
    return rank < 3 or node.settings["dim"] % (rank + 1) < rank - 1


def _larger(products: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns whose product lies inside the union of two products, as large as possible.

    Equal to the union where one contains the others, or where they differ along one axis only.
    """
    rows, columns = products[0]
    for more_rows, more_columns in products[1:]:
        if np.array_equal(rows, more_rows):
            columns = columns | more_columns
        elif np.array_equal(columns, more_columns):
            rows = rows | more_rows
        elif more_rows.sum() * more_columns.sum() > rows.sum() * columns.sum():
            rows, columns = more_rows, more_columns
    return rows, columns


def _broadcast(axis: _Axis, length: int) -> _Axis:
    if axis.seen.shape[1] == length:
        return axis
    return replace(axis, seen=np.repeat(axis.seen, length, axis=1), stride=0)


def _joint_axis(axes: Sequence[_Axis], seen: np.ndarray) -> _Axis | None:
    """The size, stride and padding that contain those of all branches; None where they differ."""
    stride = max(axis.stride for axis in axes)
    if seen.shape[1] == 1 or all(axis.stride == stride for axis in axes):
        padding = max(axis.padding for axis in axes)
        size = max(axis.size - axis.padding for axis in axes) + padding
        return _Axis(seen, size, stride, padding)
    hull = _hull(_Axis(seen))
    if (hull == hull[0]).all():  # a gate sees the whole map, and so does each gated unit
        start, end = hull[0].tolist()
        return _Axis(seen, size=end - start, stride=0, padding=-start)
    return None


def _rearranged(graph: Graph, node: Node, source: _Field) -> _Field | None:
    """Reshaping, slicing, padding, ...: read from where the node's steps put each number."""
    origin = _origins(graph, node)
    if origin is None:
        return None
    shape = (_channels(node.input_shapes[0]), *_sides(node.input_shapes[0]))
    moved = origin >= 0
    inside = [moved.any(axis=others) for others in ((1, 2), (0, 2), (0, 1))]
    k, i, j = (int(there.argmax()) for there in inside)
    came_from = (origin[:, i, j], origin[k, :, j], origin[k, i])
    channels, rows, columns = (
        np.where(there, np.unravel_index(np.maximum(numbers, 0), shape)[axis], -1)
        for axis, (there, numbers) in enumerate(zip(inside, came_from, strict=True))
    )
    # Each output channel, row and column must come from one channel, row and column.
    ordered = (channels[:, None, None] * shape[1] + rows[:, None]) * shape[2] + columns
    if not np.array_equal(
        origin, np.where(functools.reduce(np.logical_and.outer, inside), ordered, -1)
    ):
        return None
    # Removed channels may have seen more, and constant channels see nothing.
    all_there = len(np.unique(channels[inside[0]])) == shape[0]
    all_moved = bool(inside[0].all())
    vertical = _moved(source[0], rows, all_there, all_moved)
    horizontal = _moved(source[1], columns, all_there, all_moved)
    return None if vertical is None or horizontal is None else (vertical, horizontal)


def _moved(axis: _Axis, rows: np.ndarray, all_there: bool, all_moved: bool) -> _Axis | None:
    """One axis whose row i is row `rows[i]` of the source, or constant if `rows[i]` is -1."""
    progression = _progression(rows)
    if progression is None:
        return None
    step, offset = progression
    seen = _through(axis.seen, rows[:, None])
    if not all_there:
        seen[_TOGETHER] = seen[_EACH]
    seen[_EACH] &= all_moved
    return _Axis(seen, axis.size, axis.stride * step, axis.padding - offset * axis.stride)


def _origins(graph: Graph, node: Node) -> np.ndarray | None:
    """(channels, rows, columns) of the output: the index of the input value there, -1 for none."""
    steps = graph.node_steps[node.name]
    slot = graph.node_slots[node.inputs[0]]
    known = {0, slot, *(step.slot for step in steps)}
    if not all(known.issuperset(step.slots) for step in steps):
        return None
    shape = node.input_shapes[0]
    numbers = np.arange(1.0, math.prod(shape) + 1)
    # Again with negated numbers: a value that does not change is a constant of the border.
    both = torch.from_numpy(np.stack([numbers, -numbers]).reshape(2, *shape))
    first, second = graph.run({node.inputs[0]: both}, [node.name])[node.name].numpy()
    origin = np.where(first == -second, first, 0).astype(np.int64) - 1
    return origin.reshape(-1, *_sides(node.output_shape))


def _progression(rows: np.ndarray) -> tuple[int, int] | None:
    """(step, offset) with row i from row step * i + offset, except for a border that repeats rows.

    None where there are no such numbers, or they would be negative (a mirrored map).
    """
    index = np.flatnonzero(rows >= 0)
    if len(index) < 2:
        return 1, int(rows[index].sum() - index.sum())
    steps = np.diff(rows[index])
    runs = [list(run) for _, run in groupby(range(len(steps)), key=lambda i: steps[i])]
    for run in sorted(runs, key=len, reverse=True):
        inner = index[run[0] : run[-1] + 2]
        step = int(steps[run[0]])
        if step >= 0 and np.isin(rows[index], rows[inner]).all():
            return step, int(rows[inner[0]] - step * inner[0])
    return None


def _sides(shape: Sequence[int]) -> tuple[int, int]:
    """Height and width; a vector has one position."""
    return (shape[-2], shape[-1]) if len(shape) > 2 else (1, 1)


def _channels(shape: Sequence[int]) -> int:
    """The number of units at one position."""
    return math.prod(shape[:-2] if len(shape) > 2 else shape)
