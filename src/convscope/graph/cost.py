"""The cost of a network, from the graph alone: parameters, multiply-adds, values, bytes.

Nothing is run and no weight is read, so a graph on the meta device gives the same numbers. Tools
count differently (see `convscope.graph.summary.CONVENTIONS` for ours, in words).
"""

from itertools import pairwise
from math import prod

import torch
from torch import nn

from convscope.graph.graph import Graph, Node
from convscope.graph.kinds import VIEWS, Kind


def num_parameters(graph: Graph) -> dict[str, int]:
    """For each node the number of values of the parameters that it is the first to use.

    >>> from convscope.graph.capture import capture
    >>> layer = nn.Linear(4, 4)
    >>> graph = capture(nn.Sequential(nn.Flatten(), layer, layer), torch.zeros(1, 1, 2, 2))
    >>> list(num_parameters(graph).values())
    [0, 0, 20, 0]
    """
    return {
        node: sum(graph.tensors[name].numel() for name in names)
        for node, names in graph.first_uses.items()
    }


def multiply_adds(node: Node) -> int:
    """Multiplications (each with its addition) of a node for one image.

    Convolution: output values x input channels / groups x kernel height x kernel width. Linear:
    output values x input features. Everything else is 0: no bias, pooling or normalisation.
    `torch.utils.flop_counter` gives twice this, a multiplication and an addition being two there.
    """
    if node.kind is Kind.CONVOLUTION:
        rows, columns = node.window.kernel
        channels = node.input_shapes[0][0] // node.window.groups
        return prod(node.output_shape) * channels * rows * columns
    if node.kind is Kind.LINEAR:
        return prod(node.output_shape) * node.input_shapes[0][-1]
    return 0


def num_activations(node: Node) -> int:
    """Values that a node computes for one image; 0 for the input and for what only rearranges."""
    if node.kind is Kind.INPUT or node.kind in VIEWS:
        return 0
    return prod(node.output_shape)


def dense_parameters(node: Node) -> int | None:
    """Parameters of a dense layer with a convolution's inputs and outputs; None for other nodes.

    Weights (inputs x outputs) and a bias for each output.

    >>> from convscope.graph.capture import capture
    >>> graph = capture(nn.Conv2d(3, 64, 3, padding=1), torch.zeros(1, 3, 224, 224))
    >>> dense_parameters(graph.nodes[1])
    483388358656
    """
    if node.kind is not Kind.CONVOLUTION:
        return None
    inputs, outputs = prod(node.input_shapes[0]), prod(node.output_shape)
    return inputs * outputs + outputs


def value_bytes(graph: Graph) -> int:
    """Bytes of one activation: those of a parameter's value, of float32 where there is none."""
    for tensor in graph.tensors.values():
        if isinstance(tensor, nn.Parameter):
            return tensor.element_size()
    return torch.float32.itemsize


def parameter_bytes(graph: Graph) -> int:
    """Bytes of all parameters, each counted once."""
    return sum(
        graph.tensors[name].numel() * graph.tensors[name].element_size()
        for names in graph.first_uses.values()
        for name in names
    )


def mlp_parameters(inputs: int, hidden: tuple[int, ...], outputs: int | None = None) -> int:
    """Parameters of dense layers one after the other; without an output layer where it is None.

    >>> mlp_parameters(224 * 224 * 3, (128, 128, 128))
    19300736
    """
    sizes = (inputs, *hidden, *(() if outputs is None else (outputs,)))
    return sum(given * made + made for given, made in pairwise(sizes))
