"""A network as a table: shapes, parameters, multiply-adds, values, bytes, receptive fields."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from convscope.graph.blocks import HEAD, blocks
from convscope.graph.comparisons import Comparisons, comparisons
from convscope.graph.cost import (
    dense_parameters,
    multiply_adds,
    num_activations,
    num_parameters,
    parameter_bytes,
    value_bytes,
)
from convscope.graph.geometry import ReceptiveField, receptive_fields
from convscope.graph.graph import Graph
from convscope.graph.kinds import Kind

CONVENTIONS: dict[str, str] = {
    "parameters": "values of the parameters that a forward pass uses, frozen or not, each counted "
    "once, at the first layer that uses it; batch-norm statistics are not counted",
    "macs": "a multiplication with its addition, in convolutions and linear layers, for one image; "
    "no bias, pooling or normalisation; tools that count the two apart print twice that",
    "activations": "values computed for one image, in-place ones too; the input and what only "
    "rearranges (flatten, dropout, slices) are not counted",
    "memory": "bytes of these activations at the parameters' precision, all kept as in training",
    "receptive_field": "size / stride / padding in pixels of the input; an upper bound where not "
    "exact",
    "dense_parameters": "parameters of a dense layer with the same inputs and outputs: "
    "inputs x outputs weights and a bias for each output",
}


@dataclass(frozen=True)
class Layer:
    """One node: shapes without the batch axis, counts for one image, `memory` in bytes.

    `operation` is torch's name; `block` is "block 1", ... or "head"; `module` is the path of the
    module it belongs to; `dense_parameters` None unless it is a convolution.
    """

    name: str
    kind: Kind
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    receptive_field: ReceptiveField | None
    activations: int
    memory: int
    block: str
    module: str
    operation: str
    inputs: tuple[str, ...]
    dense_parameters: int | None

    def as_json(self) -> dict[str, Any]:
        """A JSON object with the names of the fields; tuples are lists."""
        field = self.receptive_field
        return {
            "name": self.name,
            "kind": str(self.kind),
            "output_shape": list(self.output_shape),
            "parameters": self.parameters,
            "macs": self.macs,
            "receptive_field": None
            if field is None
            else {
                "size": list(field.size),
                "stride": list(field.stride),
                "padding": list(field.padding),
                "exact": field.exact,
            },
            "activations": self.activations,
            "memory": self.memory,
            "block": self.block,
            "module": self.module,
            "operation": self.operation,
            "inputs": list(self.inputs),
            "dense_parameters": self.dense_parameters,
        }


@dataclass(frozen=True)
class Totals:
    """Sums over layers; `memory` and `parameter_memory` in bytes."""

    parameters: int
    macs: int
    activations: int
    memory: int
    parameter_memory: int
    convolution_macs: int
    linear_macs: int


@dataclass(frozen=True)
class Summary:
    """A network as a table. The input is not a layer."""

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    totals: Totals
    comparisons: Comparisons

    @property
    def blocks(self) -> dict[str, tuple[Layer, ...]]:
        """The layers of each block, in the order in which they run, the head last."""
        names = list(dict.fromkeys(layer.block for layer in self.layers))
        # Sorted by number, as branches may run in any order.
        names.sort(key=lambda name: (name == HEAD, len(name), name))
        return {name: tuple(la for la in self.layers if la.block == name) for name in names}

    @property
    def unknown_operations(self) -> tuple[str, ...]:
        """Operations that convscope does not recognise; their macs count as 0."""
        return tuple(dict.fromkeys(la.operation for la in self.layers if la.kind is Kind.OTHER))

    def as_json(self) -> dict[str, Any]:
        """Everything as a JSON object; `conventions` says in words what each count means."""
        conventions = dict(CONVENTIONS)
        if self.unknown_operations:
            conventions["macs"] += f"; none counted for {', '.join(self.unknown_operations)}"
        return {
            "name": self.name,
            "input_shape": list(self.input_shape),
            "layers": [layer.as_json() for layer in self.layers],
            "totals": dict(vars(self.totals)),
            "conventions": conventions,
            "comparisons": self.comparisons.as_json(),
        }


def summary(graph: Graph, name: str = "") -> Summary:
    """The output shape and the cost of each layer of a network, and the totals.

    Args:
        graph: from `capture`; the meta device is enough, no weight is read.
        name: what to call the network.

    Source: VGG's counts as in Simonyan & Zisserman 2014, table 2; receptive fields as in Araujo et
    al. 2019, "Computing Receptive Fields of Convolutional Neural Networks".

    >>> import torch
    >>> from convscope.graph.capture import capture
    >>> from convscope.nets.catalog import build_module
    >>> with torch.device("meta"):
    ...     vgg = build_module("vgg16", num_classes=1000, input_shape=(3, 224, 224))
    >>> table = summary(capture(vgg, torch.zeros(1, 3, 224, 224)))
    >>> table.totals.parameters, table.totals.macs
    (138357544, 15470264320)
    """
    counts, places, fields = num_parameters(graph), blocks(graph), receptive_fields(graph)
    bytes_each = value_bytes(graph)
    layers = tuple(
        Layer(
            name=node.name,
            kind=node.kind,
            output_shape=node.output_shape,
            parameters=counts[node.name],
            macs=multiply_adds(node),
            receptive_field=fields.get(node.name),
            activations=num_activations(node),
            memory=num_activations(node) * bytes_each,
            block=places[node.name],
            module=node.module_path,
            operation=node.operation,
            inputs=node.inputs,
            dense_parameters=dense_parameters(node),
        )
        for node in graph.nodes[1:]
    )
    head = frozenset(name for name, block in places.items() if block == HEAD)
    totals = _totals(layers, parameter_bytes(graph))
    return Summary(name, graph.input_shape, layers, totals, comparisons(graph, head=head))


def _totals(layers: Iterable[Layer], parameter_memory: int) -> Totals:
    layers = list(layers)
    return Totals(
        parameters=sum(la.parameters for la in layers),
        macs=sum(la.macs for la in layers),
        activations=sum(la.activations for la in layers),
        memory=sum(la.memory for la in layers),
        parameter_memory=parameter_memory,
        convolution_macs=sum(la.macs for la in layers if la.kind is Kind.CONVOLUTION),
        linear_macs=sum(la.macs for la in layers if la.kind is Kind.LINEAR),
    )
