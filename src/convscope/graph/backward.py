"""The signal of chosen units sent back to the pixels, under named rules.

Many published methods share one mechanism: every node passes the signal to its inputs by its
gradient, except that a rule defines the backward pass of ReLUs.

Conventions: a max pool sends the signal to the position of the maximum (the switch); where windows
overlap, signals add up. Batch norm multiplies it by gamma / sqrt(variance + eps). Biases have no
effect.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from convscope.base.errors import ConvscopeError
from convscope.graph.graph import INPUT, Graph, Node
from convscope.graph.kinds import REARRANGEMENTS, Kind
from convscope.graph.trace import CROSS_ENTROPY, SOFTMAX, Trace

# The signal below a ReLU, from the signal above it and the ReLU's input.
Rule = Callable[[Tensor, Tensor], Tensor]

RULES: dict[str, Rule] = {
    # The derivative: pass where the forward pass was active.
    "gradient": lambda signal, given: signal * (given > 0),
    # Zeiler & Fergus 2014, section 2.1: the ReLU is applied to the signal itself.
    "deconvnet": lambda signal, given: signal.clamp(min=0),
    # Springenberg et al. 2014, section 3.4: both.
    "guided": lambda signal, given: signal.clamp(min=0) * (given > 0),
}
RECTIFIERS = (Kind.RELU, Kind.RELU6)
# Their gradient does not depend on their inputs, which need not be recorded.
_ANY_VALUES = REARRANGEMENTS | {
    Kind.BATCH_NORM, Kind.AVERAGE_POOL, Kind.ADAPTIVE_AVERAGE_POOL, Kind.ADD, Kind.SUBTRACT,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Seeds:
    """How many seeds there are, and which image of the trace each belongs to."""

    trace: Trace
    images: Tensor

    def given(self, node: Node, number: int) -> Tensor:
        """The input of a node, (seeds, ...)."""
        return self.trace[node.inputs[number]].output[self.images]

    def masked(self, node: Node, signal: Tensor) -> Tensor:
        """The signal multiplied by the node's mask, if the trace was edited there."""
        mask = self.trace.edits.get(node.name)
        if mask is None:
            return signal
        per_image = mask.ndim == len(node.output_shape) + 1 and len(mask) > 1
        return signal * (mask[self.images] if per_image else mask)


@torch.inference_mode(mode=False)  # a caller's inference mode would disable gradients
def backward(
    trace: Trace,
    node_name: str,
    seed: Tensor,
    rules: str | Rule = "gradient",
    *,
    images: Sequence[int] | None = None,
) -> Tensor:
    """The signal of chosen units at the pixels, (seeds, channels, height, width), signed.

    Under `deconvnet` and `guided` ReLUs (and ReLU6) change the signal by their rule; all other
    nodes pass it on by their gradient. It is zero outside of the units' receptive field. A unit's
    projection of Zeiler & Fergus is its activation times the signal of a seed of 1.

    Args:
        trace: with the records that the backward pass needs: the inputs of max pools, ReLUs and
            other non-linear nodes; under `deconvnet` ReLUs need none.
        node_name: where the signal starts, at the node's output.
        seed: (seeds, *node.output_shape), or without the first axis for one: what is sent.
        rules: `gradient`, `deconvnet`, `guided`, or a function (signal, input of the ReLU) ->
            signal.
        images: for each seed the image of the trace that it belongs to. None: a trace of one image
            serves all seeds, else seed i belongs to image i.

    Raises:
        ConvscopeError: unknown names or rules, seeds that do not fit, records that are missing.

    Source: Zeiler & Fergus 2014, section 2.1; Springenberg et al. 2014 (arXiv 1412.6806), 3.4.
    """
    graph = trace.graph
    if node_name in (SOFTMAX, CROSS_ENTROPY) and node_name not in graph:
        raise ConvscopeError(
            f"{node_name} is added by trace, and no part of the network: start at the logits, "
            f"{graph.logits!r}"
        )
    node = graph[node_name]
    rule = _rule(rules)
    shape = node.output_shape
    if tuple(seed.shape) == shape:
        seed = seed[None]
    if tuple(seed.shape[1:]) != shape or not len(seed):
        raise ConvscopeError(
            f"{node_name} has an output of shape {shape}, so a seed has (seeds, "
            f"{', '.join(map(str, shape))}); got {tuple(seed.shape)}"
        )
    seeds = _Seeds(trace, _images_of(trace, len(seed), images).to(graph.device))
    signals: dict[str, Tensor] = {node_name: seed.detach().to(graph.device, trace.images.dtype)}
    for current in reversed(graph.nodes):
        if current.name not in signals or current.name == INPUT:
            continue
        signal = seeds.masked(current, signals.pop(current.name))
        for name, part in zip(current.inputs, _passed(seeds, current, signal, rule), strict=True):
            if part is not None:
                signals[name] = signals[name] + part if name in signals else part
    return signals.get(INPUT, trace.images.new_zeros((len(seed), *graph.input_shape)))


def _rule(rules: str | Rule) -> Rule:
    if not isinstance(rules, str):
        return rules
    if rules not in RULES:
        raise ConvscopeError(f"unknown rule {rules!r}; there are {', '.join(RULES)}")
    return RULES[rules]


def _images_of(trace: Trace, count: int, images: Sequence[int] | None) -> Tensor:
    batch = len(trace.images)
    if images is None:
        if batch not in (1, count):
            raise ConvscopeError(
                f"{count} seeds and a trace of {batch} images: say with images=[...] which image "
                "each seed belongs to"
            )
        return torch.zeros(count, dtype=torch.long) if batch == 1 else torch.arange(count)
    chosen = torch.as_tensor(images)
    whole = not chosen.is_floating_point() and chosen.shape == (count,)
    if not whole or not bool(((chosen >= 0) & (chosen < batch)).all()):
        raise ConvscopeError(
            f"images must name one of 0..{batch - 1} for each of the {count} seeds, got {images}"
        )
    return chosen.long()


def _passed(seeds: _Seeds, node: Node, signal: Tensor, rule: Rule) -> Sequence[Tensor | None]:
    """The signal at each input of a node; None where nothing is passed on."""
    graph = seeds.trace.graph
    if node.kind in RECTIFIERS:
        return [through_rectifier(node, rule, signal, lambda: seeds.given(node, 0))]
    if node.kind is Kind.CONVOLUTION:
        return [_through_convolution(graph, node, signal)]
    if node.kind is Kind.LINEAR:
        weight = graph.parameter(node, "weight")
        assert weight is not None
        return [signal @ weight]
    if node.kind in _ANY_VALUES:
        given = [signal.new_zeros((len(signal), *shape)) for shape in node.input_shapes]
    else:
        given = [seeds.given(node, number) for number in range(len(node.inputs))]
    return gradients(graph, node, signal, given)


def _through_convolution(graph: Graph, node: Node, signal: Tensor) -> Tensor:
    window, (_, height, width) = node.window, node.input_shapes[0]
    # On the padded input, and cut: an even kernel that keeps the size pads more below and right.
    sides = [
        max(size + window.before[axis], window.extent(axis, node.output_shape[1 + axis]))
        for axis, size in enumerate((height, width))
    ]
    top, left = window.before
    padded = through_convolution(graph, node, signal, sides)
    return padded[..., top : top + height, left : left + width]


def through_rectifier(
    node: Node, rule: Rule, signal: Tensor, given: Callable[[], Tensor]
) -> Tensor:
    """The signal below a ReLU or ReLU6, under a rule.

    `given` returns the node's input, and is called only if the rule uses it.
    """
    if rule is RULES["deconvnet"]:  # it uses only the signal
        return rule(signal, signal)
    values = given()
    if node.kind is Kind.RELU6:  # it is constant above 6, as below 0
        values = torch.where(values < 6, values, 0)
    return rule(signal, values)


def through_convolution(graph: Graph, node: Node, signal: Tensor, sides: Sequence[int]) -> Tensor:
    """The signal below a convolution, at `sides` (rows, columns) of its padded input."""
    weight, window = graph.parameter(node, "weight"), node.window
    # Only the shape of the node's input is read.
    given = signal.new_empty(1).expand(len(signal), node.input_shapes[0][0], *sides)
    return torch.ops.aten.convolution_backward(
        signal, given, weight, None, window.stride, (0, 0), window.dilation, False, [0, 0],
        window.groups, [True, False, False],
    )[0]  # fmt: skip


def gradients(
    graph: Graph, node: Node, signal: Tensor, given: Sequence[Tensor]
) -> Sequence[Tensor | None]:
    """The signal at the inputs of any node by its own gradient, for inputs `given`, or None."""
    with torch.enable_grad():
        leaves = {
            name: tensor.detach().requires_grad_(tensor.is_floating_point() or tensor.is_complex())
            for name, tensor in zip(node.inputs, given, strict=True)
        }
        output = graph.run(leaves, [node.name])[node.name]
        # Comparisons, integers and `detach` pass no gradient on.
        leaves = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
        if not leaves or not output.requires_grad:
            return [None] * len(node.inputs)
        slopes = torch.autograd.grad(
            output, list(leaves.values()), signal.to(output.dtype), allow_unused=True
        )
    parts = dict(zip(leaves, slopes, strict=True))
    # x + x has x as an input twice; there is one gradient for both.
    return [parts.pop(name, None) for name in node.inputs]
