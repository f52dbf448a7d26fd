"""The parameters that weight sharing and pooling save, compared with dense layers.

Source: the comparisons of the guide "Understanding Convolutional Neural Networks", sections 1 and
4. Each is made only where it applies to the network.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

from convscope.graph.cost import dense_parameters, mlp_parameters, num_parameters
from convscope.graph.graph import Graph, Node
from convscope.graph.kinds import ACTIVATIONS, ARITHMETIC, POOLS, Kind

HIDDEN = (128, 128, 128)
_KEEP_THE_SHAPE = (
    ACTIVATIONS
    | ARITHMETIC
    | {
        Kind.BATCH_NORM, Kind.LOCAL_RESPONSE_NORM, Kind.IDENTITY, Kind.DROPOUT, Kind.SOFTMAX,
    }
)  # fmt: skip


@dataclass(frozen=True)
class Perceptron:
    """The multilayer perceptron on the same input: parameters before its output layer and with it.

    `parameters` is None for a network without classes.
    """

    inputs: int
    hidden: tuple[int, ...]
    parameters_before_output: int
    parameters: int | None


@dataclass(frozen=True)
class DenseTwin:
    """A convolution and the dense layer with the same inputs and outputs."""

    layer: str
    parameters: int
    dense_parameters: int


@dataclass(frozen=True)
class FirstDense:
    """The first dense layer, and the same layer without the pools before it.

    `inputs_without_pools` is the shape of its input then.
    """

    layer: str
    parameters: int
    inputs_without_pools: tuple[int, ...]
    parameters_without_pools: int


@dataclass(frozen=True)
class Comparisons:
    """The comparisons of the guide; None where one does not apply."""

    mlp: Perceptron
    first_convolution: DenseTwin | None
    first_dense: FirstDense | None

    def as_json(self) -> dict[str, Any]:
        """A JSON object with the names of the fields; null for None."""
        return {name: value and _plain(value) for name, value in vars(self).items()}


def _plain(value: Any) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(value).items()}


def comparisons(graph: Graph, *, head: frozenset[str] = frozenset()) -> Comparisons:
    """The comparisons for a network; the first dense layer is searched in the nodes `head`.

    >>> import torch
    >>> from convscope.graph.capture import capture
    >>> from convscope.nets.catalog import build_module
    >>> with torch.device("meta"):
    ...     vgg = build_module("vgg16", num_classes=1000, input_shape=(3, 224, 224))
    >>> graph = capture(vgg, torch.zeros(1, 3, 224, 224))
    >>> comparisons(graph, head=frozenset({"classifier.0"})).first_dense.parameters_without_pools
    105226702848
    """
    outputs = graph[graph.output].output_shape
    classes = outputs[0] if len(outputs) == 1 else None
    inputs = prod(graph.input_shape)
    counts = num_parameters(graph)
    return Comparisons(
        mlp=Perceptron(
            inputs,
            HIDDEN,
            mlp_parameters(inputs, HIDDEN),
            None if classes is None else mlp_parameters(inputs, HIDDEN, classes),
        ),
        first_convolution=_first_convolution(graph, counts),
        first_dense=_first_dense(graph, counts, head),
    )


def _first_convolution(graph: Graph, counts: dict[str, int]) -> DenseTwin | None:
    for node in graph.nodes:
        dense = dense_parameters(node)
        if dense is not None:
            return DenseTwin(node.name, counts[node.name], dense)
    return None


def _first_dense(graph: Graph, counts: dict[str, int], head: frozenset[str]) -> FirstDense | None:
    layer = next((n for n in graph.nodes if n.kind is Kind.LINEAR and n.name in head), None)
    if layer is None or len(layer.output_shape) != 1:
        return None
    shape = _reached_without_pools(graph, layer)
    if shape is None or prod(shape) == layer.input_shapes[0][0]:
        return None
    more = (prod(shape) - layer.input_shapes[0][0]) * layer.output_shape[0]
    parameters = counts[layer.name]
    return FirstDense(layer.name, parameters, shape, parameters + more)


def _reached_without_pools(graph: Graph, layer: Node) -> tuple[int, ...] | None:
    """The shape of a dense layer's input before flattening, if no pool shrank its input.

    None where branches would no longer fit, or a step has fixed sizes.
    """
    shapes: dict[str, tuple[int, ...] | None] = {graph.nodes[0].name: graph.input_shape}
    for node in graph.nodes[1:]:
        if node is layer:
            break
        given = [shapes[name] for name in node.inputs]
        known = [shape for shape in given if shape is not None]
        shapes[node.name] = _shape(node, known) if given and len(known) == len(given) else None
    return shapes[layer.inputs[0]]


def _shape(node: Node, given: list[tuple[int, ...]]) -> tuple[int, ...] | None:
    first = given[0]
    if node.kind is Kind.CONVOLUTION:
        sides = [node.window.units(axis, first[1 + axis]) for axis in (0, 1)]
        return (node.output_shape[0], *sides)
    # Flattening keeps the maps' shape here, for display; the dense layer uses its product.
    if node.kind in POOLS or node.kind is Kind.FLATTEN:
        return first
    if node.kind is Kind.CONCATENATE and len({shape[1:] for shape in given}) == 1:
        return (sum(shape[0] for shape in given), *first[1:])
    same = len(set(given)) == 1
    unchanged = all(shape == node.output_shape for shape in node.input_shapes)
    return first if same and (node.kind in _KEEP_THE_SHAPE or unchanged) else None
