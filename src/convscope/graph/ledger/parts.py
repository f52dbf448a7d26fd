"""The map of a convolution split into the parts of its input channels."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from convscope.base.errors import ConvscopeError
from convscope.graph.graph import Graph, Node
from convscope.graph.kinds import Kind
from convscope.graph.trace import Trace


def kernels(graph: Graph, node_name: str, channel: int, inputs: Sequence[int]) -> Tensor:
    """The kernels of a convolution's filter for some input channels, (n, rows, columns).

    Args:
        graph: from `capture`.
        node_name: a convolution.
        channel: which of its filters; equally, which channel of its output.
        inputs: input channels, counted from 0 within the filter's group.

    Raises:
        ConvscopeError: for another kind of node, or a channel that does not exist.
    """
    weight = _weight(graph, node_name)
    _check("channel", [channel], len(weight))
    _check("inputs", inputs, weight.shape[1])
    return weight[channel, list(inputs)]


def parts(
    trace: Trace, node_name: str, channel: int, inputs: Sequence[int], image: int = 0
) -> Tensor:
    """Each of some input channels convolved with its kernel of one filter, (n, height, width).

    The sum over all input channels of the filter's group, plus the bias, is the recorded map up to
    rounding.

    Args:
        trace: with the record of the node's input.
        node_name: a convolution.
        channel: which channel of its output.
        inputs: input channels, counted from 0 within the filter's group.
        image: which image of the batch.

    Raises:
        ConvscopeError: for another kind of node, or a channel that does not exist.

    >>> from convscope import capture
    >>> from convscope import trace as record
    >>> layer = torch.nn.Conv2d(2, 1, 3, bias=False)
    >>> _ = torch.nn.init.ones_(layer.weight)
    >>> images = torch.arange(18.0).reshape(1, 2, 3, 3)
    >>> parts(record(capture(layer, images), images), "convolution", 0, [0, 1]).flatten().tolist()
    [36.0, 117.0]
    """
    weights = kernels(trace.graph, node_name, channel, inputs)
    node = trace.graph[node_name]
    weight = _weight(trace.graph, node_name)
    group = channel // (len(weight) // node.window.groups)
    first = group * weight.shape[1]
    maps = trace[node.inputs[0]].output[image, [first + number for number in inputs]]
    window = node.window
    (top, left), (bottom, right) = window.before, window.after
    with torch.no_grad():
        return F.conv2d(
            F.pad(maps[None], (left, right, top, bottom)), weights[:, None], stride=window.stride,
            dilation=window.dilation, groups=len(weights),
        )[0]  # fmt: skip


def _weight(graph: Graph, node_name: str) -> Tensor:
    node: Node = graph[node_name]
    weight = graph.parameter(node, "weight")
    if node.kind is not Kind.CONVOLUTION or weight is None:
        raise ConvscopeError(
            f"{node_name} is not a convolution ({node.operation!r}): it has no kernels"
        )
    return weight


def _check(name: str, numbers: Sequence[int], count: int) -> None:
    wrong = [number for number in numbers if not 0 <= number < count]
    if wrong or not numbers:
        given = f"there is no {wrong[0]}" if wrong else "none was given"
        raise ConvscopeError(f"{name}: {given}; give whole numbers in 0..{count - 1}")
