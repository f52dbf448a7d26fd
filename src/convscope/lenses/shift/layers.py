"""How each layer responds to a shifted image: equivariant (its map shifts along) or invariant.

Both are relative L2 errors: the root of the sum over images, directions, channels and places of
squared differences, divided by that of the squares of what is compared with. Four directions:
left, right, up and down.
"""

import math
from collections.abc import Mapping, Sequence
from math import ceil, floor, gcd, prod

import numpy as np
import torch
from torch import Tensor

from convscope.base.errors import ConvscopeError
from convscope.base.tensors import Images, Pixels
from convscope.graph.batching import batch_in_memory
from convscope.graph.geometry import ReceptiveField, receptive_fields
from convscope.graph.graph import INPUT, Graph, Node
from convscope.graph.graph_of import graph_of
from convscope.graph.kinds import ACTIVATIONS, VIEWS, Kind
from convscope.images.borders import Border
from convscope.lenses.shift.compute import check_shift, pixels_of, shifted
from convscope.lenses.shift.result import LayerShift, LayerShifts
from convscope.nets.classifier import Classifier

_FOLLOWED = ACTIVATIONS | {Kind.BATCH_NORM}
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1))  # dx, dy
_SMALLEST = 1e-30


def whole_distance(classifiers: Sequence[Classifier]) -> int:
    """The smallest shift that is a whole number of strides in every layer of all networks.

    At most half the input's shorter side; where the strides ask for more, the largest of them that
    is not above it. At least 2, so that it differs from the shift by one pixel.
    """
    limit, distance = min(min(c.preprocess.size) for c in classifiers) // 2, 1
    for classifier in classifiers:
        graph = graph_of(classifier)
        for field in sorted(receptive_fields(graph).values(), key=lambda field: field.stride):
            for stride in field.stride:
                joint = distance * stride // gcd(distance, stride) if stride else distance
                distance = joint if joint <= limit else distance
    return distance if distance > 1 else max(1, min(4, limit))


def layer_shifts(
    classifier: Classifier,
    images: Sequence[Pixels],
    distances: Sequence[int],
    *,
    border: str = "zero",
) -> tuple[LayerShifts, ...]:
    """How the layers of a network respond when images are shifted, for each of some distances.

    Measured are the input, convolutions and dense layers after their activation function, pools,
    sums and the like; the softmax of the logits is the last.

    Args:
        classifier: any.
        images: as decoded from their files.
        distances: in pixels of the input.
        border: how empty pixels are filled, see `convscope.images.borders.Border`.

    Raises:
        ConvscopeError: no images, or a distance or border that is not possible.
    """
    if not len(images):
        raise ConvscopeError("there are no images to shift")
    border = Border.of(border)
    for distance in distances:
        check_shift(distance, classifier.preprocess.size)
    graph = graph_of(classifier)
    nodes, fields = measured_nodes(graph), receptive_fields(graph)
    pixels = pixels_of(classifier.preprocess, images)
    # Outputs before and after a shift, and copies of both to compare.
    numbers = 4 * sum(prod(node.output_shape) for node in nodes)
    size = batch_in_memory(numbers, least=2)
    names: list[str] = []
    sums = [_Sums(graph, fields, distance) for distance in distances]
    for first in range(0, len(pixels), size):
        chunk = pixels[first : first + size]
        before = _values(graph, nodes, classifier.preprocess.normalise(chunk))
        names = list(before)
        for one in sums:
            for dx, dy in _DIRECTIONS:
                moved = shifted(chunk, dx * one.distance, dy * one.distance, border)
                seen = classifier.preprocess.normalise(np.ascontiguousarray(moved))
                one.add(before, _values(graph, nodes, seen), dx, dy)
    return tuple(
        LayerShifts(one.distance, len(images), tuple(one.layer(name) for name in names))
        for one in sums
    )


def measured_nodes(graph: Graph) -> list[Node]:
    """The nodes that a reader would call layers: the input, then one for each step of the network.

    Left out are views, padding, and what goes into a batch norm or activation function alone.
    """
    followers: dict[str, list[Node]] = {node.name: [] for node in graph.nodes}
    for node in graph.nodes:
        for name in node.inputs:
            followers[name].append(node)
    return [
        node
        for node in graph.nodes
        if node.kind not in VIEWS | {Kind.PAD}
        and (node.kind is Kind.INPUT or not _is_identity(node))
        and not (len(followers[node.name]) == 1 and followers[node.name][0].kind in _FOLLOWED)
    ]


def _is_identity(node: Node) -> bool:
    """An adaptive pool to the size that the maps have."""
    return (
        node.kind in (Kind.ADAPTIVE_AVERAGE_POOL, Kind.ADAPTIVE_MAX_POOL)
        and node.input_shapes[0] == node.output_shape
    )


def _values(graph: Graph, nodes: Sequence[Node], images: Images) -> dict[str, Tensor]:
    names = [node.name for node in nodes]
    with torch.inference_mode():
        values = graph.run({INPUT: images.to(graph.device)}, names, batch_invariant=True)
    if graph.output == graph.logits and len(graph[graph.logits].output_shape) == 1:
        values["softmax"] = torch.softmax(values[graph.logits].float(), 1)
    return values


class _Sums:
    """Sums of squares under shifts by one distance: of differences, and of what they are from."""

    def __init__(self, graph: Graph, fields: Mapping[str, ReceptiveField], distance: int) -> None:
        self.distance = distance
        self._graph, self._size = graph, graph.input_shape[1:]
        self._fields = {
            name: field
            for name, field in fields.items()
            if len(graph[name].output_shape) == 3 and min(field.stride) > 0
        }
        self._sums: dict[tuple[str, str], np.ndarray] = {}
        self._shares: dict[str, list[float]] = {}

    def add(
        self, before: Mapping[str, Tensor], after: Mapping[str, Tensor], dx: int, dy: int
    ) -> None:
        """The outputs for some images, and for the same ones moved in a direction."""
        for name, moved in after.items():
            self._count(name, "invariance", moved, before[name])
            if name in self._fields:
                self._compare(name, moved, before[name], dx, dy)

    def _compare(self, name: str, moved: Tensor, still: Tensor, dx: int, dy: int) -> None:
        """Along the axis of the shift; a negative one is a positive one of mirrored maps."""
        field, axis = self._fields[name], 0 if dy else 1
        inside = [
            _inside(field, way, still.shape[2 + way], self._size[way],
                    self.distance * (dx + dy) if way == axis else 0)
            for way in (0, 1)
        ]  # fmt: skip
        self._shares.setdefault(name, []).append(float(inside[0].mean() * inside[1].mean()))
        if dx + dy < 0:
            moved, still = moved.flip(2 + axis), still.flip(2 + axis)
            inside[axis] = inside[axis][::-1]
        steps = self.distance / field.stride[axis]
        first, length = ceil(steps), still.shape[2 + axis]
        if first >= length:
            return
        target = _shifted_maps(still, steps, 2 + axis)
        moved = moved.narrow(2 + axis, first, length - first)
        self._count(name, "equivariance", moved, target)
        inside[axis] = inside[axis][first:]
        rows, columns = (torch.from_numpy(np.flatnonzero(way)).to(moved.device) for way in inside)
        if len(rows) and len(columns):
            cut = [part[:, :, rows][..., columns] for part in (moved, target)]
            self._count(name, "inside", cut[0], cut[1])

    def _count(self, name: str, figure: str, moved: Tensor, still: Tensor) -> None:
        difference = moved.double() - still
        both = [float(part.square().sum(dtype=torch.float64)) for part in (difference, still)]
        self._sums[name, figure] = self._sums.get((name, figure), np.zeros(2)) + both

    def layer(self, name: str) -> LayerShift:
        """The figures of a layer."""
        node = self._graph.by_name.get(name)
        field = self._fields.get(name)
        whole = None if field is None else not any(self.distance % step for step in field.stride)
        return LayerShift(
            name=name,
            kind=str(node.kind if node else Kind.SOFTMAX),
            shape=node.output_shape if node else self._graph[self._graph.logits].output_shape,
            stride=None if field is None else field.stride,
            whole=whole,
            equivariance=self._relative(name, "equivariance"),
            inside=self._relative(name, "inside"),
            inside_share=None if field is None else float(np.mean(self._shares[name])),
            invariance=self._relative(name, "invariance"),
        )

    def _relative(self, name: str, figure: str) -> float | None:
        difference, size = self._sums.get((name, figure), (0.0, 0.0))
        value = (difference / size) ** 0.5 if size > _SMALLEST else math.nan
        return float(value) if math.isfinite(value) else None


def _shifted_maps(maps: Tensor, steps: float, axis: int) -> Tensor:
    """Maps shifted by `steps` units, from their first position that has a value on."""
    first, length = ceil(steps), maps.shape[axis]
    near = maps.narrow(axis, first - floor(steps), length - first)
    share = steps - floor(steps)
    if not share:
        return near
    return (1 - share) * near + share * maps.narrow(axis, 0, length - first)


def _inside(field: ReceptiveField, axis: int, length: int, pixels: int, shift: int) -> np.ndarray:
    """Which rows see neither padding nor what came in, before and after a shift along them."""
    starts = np.arange(length) * field.stride[axis] - field.padding[axis]
    ends = starts + field.size[axis]
    # Between two units, the moved map takes from both: the fields reach a stride further.
    reach = 0 if shift % field.stride[axis] == 0 else field.stride[axis]
    here = (starts >= 0) & (ends <= pixels)
    return here & (starts - shift >= reach) & (ends - shift <= pixels - reach)
