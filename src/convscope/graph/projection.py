"""The activation of one unit projected back to the pixels of its receptive field.

The signal of `backward`, computed on crops of the recorded values: each unit has a window in every
node's map, which has one size for all units and grows layer by layer in the backward pass. The
forward pass is not repeated: on a crop, rounding could select other values in max pools.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from convscope.base.errors import ConvscopeError
from convscope.graph.backward import (
    RECTIFIERS,
    RULES,
    Rule,
    gradients,
    through_convolution,
    through_rectifier,
)
from convscope.graph.batching import batch_in_memory
from convscope.graph.graph import INPUT, Graph, Node
from convscope.graph.kinds import ACTIVATIONS, Kind

_POINTWISE = ACTIVATIONS | {
    Kind.BATCH_NORM, Kind.ADD, Kind.SUBTRACT, Kind.IDENTITY, Kind.DROPOUT,
}  # fmt: skip
_LINEAR = {Kind.BATCH_NORM, Kind.ADD, Kind.SUBTRACT, Kind.IDENTITY, Kind.DROPOUT}


@dataclass(frozen=True, eq=False)
class Patch:
    """A window of a map for each of several units: `values` (units, channels, height, width).

    Row 0 of unit i is row `top[i]` of the map, and likewise for `left`. Outside of the map, and
    outside of the window, the signal is zero.
    """

    values: Tensor
    top: Tensor
    left: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the windows."""
        return self.values.shape[2], self.values.shape[3]

    def moved(self, top: Tensor, left: Tensor, size: tuple[int, int]) -> "Patch":
        """The same signal in other windows; zero outside of this one."""
        rows = _picked(self.values, 2, top - self.top, size[0])
        return Patch(_picked(rows, 3, left - self.left, size[1]), top, left)


def croppable(graph: Graph, node_name: str) -> bool:
    """Whether `project` supports all nodes before this one; use `backward` for others."""
    return all(_is_local(graph[name]) for name in _before(graph, node_name))


def records_needed(graph: Graph, node_name: str, rules: str = "deconvnet") -> set[str]:
    """The names of the nodes whose outputs `project` reads for a node."""
    needed: set[str] = set()
    for name in _before(graph, node_name):
        node = graph[name]
        looks_at_signal_alone = rules == "deconvnet" and node.kind in RECTIFIERS
        if node.kind is Kind.MAX_POOL or (
            node.kind in ACTIVATIONS and not looks_at_signal_alone
        ):  # fmt: skip
            needed.update(node.inputs)
    return needed


def project(
    graph: Graph,
    records: Mapping[str, Tensor],
    node_name: str,
    units: Sequence[tuple[int, int, int, int]],
    rules: str = "deconvnet",
) -> Patch:
    """The signal of single units, each sent back with a seed of 1, in a window of the pixels.

    Multiplied by the unit's activation, it is the projection of Zeiler & Fergus 2014. It equals
    `backward` of the same units up to rounding, and is many times faster where fields are small.

    Args:
        graph: from `capture`.
        records: outputs (images, *shape) of at least the nodes in `records_needed`.
        node_name: a node with rows and columns, for which `croppable` holds.
        units: (image, channel, row, column) each; the image counts in the records.
        rules: `deconvnet`, `gradient` or `guided`, as in `backward`.

    Raises:
        ConvscopeError: for a node that is not `croppable`.

    Source: Zeiler & Fergus 2014, section 2.1; the crops are ours.
    """
    if not croppable(graph, node_name) or len(graph[node_name].output_shape) != 3:
        raise ConvscopeError(f"{node_name!r} cannot be projected on crops; use backward")
    parts = [
        _project(graph, records, node_name, units[start : start + count], RULES[rules])
        for count in [batch_in_memory(_largest(graph, node_name))]
        for start in range(0, len(units), count)
    ]
    return Patch(
        torch.cat([part.values for part in parts]),
        torch.cat([part.top for part in parts]),
        torch.cat([part.left for part in parts]),
    )


@torch.inference_mode(mode=False)  # a caller's inference mode would disable gradients
def _project(
    graph: Graph,
    records: Mapping[str, Tensor],
    node_name: str,
    units: Sequence[tuple[int, int, int, int]],
    rule: Rule,
) -> Patch:
    images, channels, rows, columns = torch.tensor(units).T
    seed = torch.zeros(len(units), graph[node_name].output_shape[0], 1, 1)
    seed[torch.arange(len(units)), channels] = 1
    signals = {node_name: Patch(seed, rows, columns)}
    for node in reversed(graph.nodes):
        if node.name not in signals or node.name == INPUT:
            continue
        for name, part in _passed(graph, node, signals.pop(node.name), records, images, rule):
            fitted = _fitted(part, graph[name].output_shape)
            signals[name] = _joined(signals[name], fitted) if name in signals else fitted
    return signals[INPUT]


def _passed(
    graph: Graph,
    node: Node,
    signal: Patch,
    records: Mapping[str, Tensor],
    images: Tensor,
    rule: Rule,
) -> list[tuple[str, Patch]]:
    """The signal at each input of a node."""

    def given(patch: Patch, fill: float = 0.0) -> Tensor:
        return _recorded(records[node.inputs[0]], images, patch, fill)

    if node.kind in RECTIFIERS:
        values = through_rectifier(node, rule, signal.values, lambda: given(signal))
        return [(node.inputs[0], replace(signal, values=values))]
    if node.kind is Kind.CONCATENATE:
        sizes = [shape[0] for shape in node.input_shapes]
        parts = signal.values.split(sizes, 1)
        return [
            (name, replace(signal, values=part))
            for name, part in zip(node.inputs, parts, strict=True)
        ]
    if node.kind in _POINTWISE:
        if node.kind in _LINEAR:
            values = [torch.zeros_like(signal.values) for _ in node.inputs]
        else:
            values = [given(signal)]
        slopes = gradients(graph, node, signal.values, values)
        return [
            (name, replace(signal, values=part))
            for name, part in zip(node.inputs, slopes, strict=True)
            if part is not None
        ]
    return [(node.inputs[0], _windowed(graph, node, signal, given))]


def _windowed(
    graph: Graph, node: Node, signal: Patch, given: Callable[[Patch, float], Tensor]
) -> Patch:
    """The signal at the input of a convolution or pool, in the window that affects the output's."""
    window, stride = node.window, node.window.stride
    size = [window.extent(axis, length) for axis, length in enumerate(signal.size)]
    below = Patch(
        signal.values.new_empty(1).expand(len(signal.top), node.input_shapes[0][0], *size),
        signal.top * stride[0] - window.before[0],
        signal.left * stride[1] - window.before[1],
    )
    if node.kind is Kind.CONVOLUTION:
        values = through_convolution(graph, node, signal.values, size)
    elif node.kind is Kind.MAX_POOL:
        before = given(below, -math.inf)
        _, switches = F.max_pool2d(
            before, window.kernel, stride, 0, window.dilation, return_indices=True
        )
        values = torch.ops.aten.max_pool2d_with_indices_backward(
            signal.values, before, window.kernel, stride, (0, 0), window.dilation, False, switches
        )
    else:
        values = torch.ops.aten.avg_pool2d_backward(
            signal.values, below.values, window.kernel, stride, (0, 0), False, True,
            node.settings.get("divisor_override"),
        )  # fmt: skip
    return replace(below, values=values)


def _fitted(patch: Patch, shape: Sequence[int]) -> Patch:
    """A window no larger than the map, along each axis; nothing outside of the map."""
    height, width = min(patch.size[0], shape[1]), min(patch.size[1], shape[2])
    # A window as large as the map is placed at its start.
    top = torch.zeros_like(patch.top) if height == shape[1] else patch.top
    left = torch.zeros_like(patch.left) if width == shape[2] else patch.left
    moved = patch.moved(top, left, (height, width))
    for dim, start, side in ((2, top, shape[1]), (3, left, shape[2])):
        places = start[:, None] + torch.arange(moved.values.shape[dim])
        inside = (places >= 0) & (places < side)
        if not bool(inside.all()):
            view = (-1, 1, inside.shape[1], 1) if dim == 2 else (-1, 1, 1, inside.shape[1])
            moved = replace(moved, values=moved.values * inside.view(view))
    return moved


def _joined(one: Patch, other: Patch) -> Patch:
    """The sum of two signals, in windows that hold both."""
    top, left = torch.minimum(one.top, other.top), torch.minimum(one.left, other.left)
    size = tuple(
        int(torch.maximum(a + one.size[axis], b + other.size[axis]).sub(start).max())
        for axis, (a, b, start) in enumerate(
            ((one.top, other.top, top), (one.left, other.left, left))
        )
    )
    first, second = (patch.moved(top, left, (size[0], size[1])) for patch in (one, other))
    return replace(first, values=first.values + second.values)


def _picked(values: Tensor, dim: int, starts: Tensor, length: int) -> Tensor:
    """`length` rows (or columns) of each unit from its start; zero outside of the window."""
    side = values.shape[dim]
    if length == side and not bool(starts.any()):
        return values
    places = starts[:, None] + torch.arange(length)
    inside = (places >= 0) & (places < side)
    view = (-1, 1, length, 1) if dim == 2 else (-1, 1, 1, length)
    index = places.clamp(0, side - 1).view(view)
    shape = list(values.shape)
    shape[dim] = length
    picked = values.gather(dim, index.expand(shape))
    return picked if bool(inside.all()) else picked * inside.view(view)


def _recorded(record: Tensor, images: Tensor, patch: Patch, fill: float) -> Tensor:
    """The recorded values in each unit's window; `fill` outside of the map."""
    rows = patch.top[:, None] + torch.arange(patch.size[0])
    columns = patch.left[:, None] + torch.arange(patch.size[1])
    row_in = (rows >= 0) & (rows < record.shape[2])
    column_in = (columns >= 0) & (columns < record.shape[3])
    # Channels last: the channels of a position are adjacent in memory and copied together.
    picked = record.permute(0, 2, 3, 1)[
        images[:, None, None],
        rows.clamp(0, record.shape[2] - 1)[:, :, None],
        columns.clamp(0, record.shape[3] - 1)[:, None, :],
    ].permute(0, 3, 1, 2)
    inside = row_in[:, :, None] & column_in[:, None, :]
    return picked if bool(inside.all()) else torch.where(inside[:, None], picked, fill)


def _before(graph: Graph, node_name: str) -> list[str]:
    """A node and all nodes that it depends on, without the input."""
    names = {node_name}
    for node in reversed(graph.nodes):
        if node.name in names:
            names.update(node.inputs)
    return [node.name for node in graph.nodes[1:] if node.name in names]


def _is_local(node: Node) -> bool:
    """Whether every window of the output depends only on a window of the input."""
    same = all(shape == node.output_shape for shape in node.input_shapes)
    if len(node.output_shape) != 3 or any(len(shape) != 3 for shape in node.input_shapes):
        return False
    if node.kind is Kind.CONCATENATE:
        return node.operation != "stack" and node.settings["dim"] % 4 == 1
    if node.kind is Kind.AVERAGE_POOL:
        return node.window.before == (0, 0) and not node.settings.get("ceil_mode")
    if node.kind in _POINTWISE:
        return same
    return node.kind in (Kind.CONVOLUTION, Kind.MAX_POOL)


def _largest(graph: Graph, node_name: str) -> int:
    """A bound on how many numbers one unit's window has in the largest of the maps."""
    return max(math.prod(graph[name].output_shape) for name in _before(graph, node_name))
