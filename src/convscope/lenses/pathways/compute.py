"""Contributions of units to a logit: activation x gradient, and the bias share.

With the active pattern of ReLU and pooling fixed, the rest of the network is an affine function of
a layer's units. A unit's contribution to a logit is its activation times the logit's gradient. The
bias share is what the constants downstream of the layer add: for each node its constant (a bias,
batch norm's shift) times the gradient there. It is computed from the constants, not as a remainder,
so that contributions + bias share = logit is a check; `residue` is the difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from convscope.base.errors import ConvscopeError
from convscope.graph.backward import gradients
from convscope.graph.graph import Graph, Node
from convscope.graph.kinds import POOLS, REARRANGEMENTS, Kind
from convscope.graph.trace import Trace
from convscope.lenses.pathways.downstream import downstream, pathway_layers

SHOWN = 8
TOLERANCE, _ROUNDING = 1e-4, 1e-6
# Each flat piece of a clamp has its own constant, which depends on where the value lies.
_CLAMPED = frozenset({Kind.RELU6, Kind.HARDTANH, Kind.HARDSIGMOID})
_PIECEWISE_LINEAR = REARRANGEMENTS | POOLS | _CLAMPED | {
    Kind.CONVOLUTION, Kind.LINEAR, Kind.BATCH_NORM, Kind.RELU, Kind.LEAKY_RELU, Kind.ADD,
    Kind.SUBTRACT,
}  # fmt: skip
_SCALED = frozenset({Kind.MULTIPLY, Kind.DIVIDE})


@dataclass(frozen=True, eq=False)
class PathwayLayer:
    """What the units of one layer contributed. The first axis of length 2 is (target, contrast).

    Attributes:
        name: of the node.
        role: "last convolution" or "first fully connected layer".
        activations: (*shape,) float64.
        contributions: (2, *shape) float64, in units of the logit.
        biases: for each downstream node with constants, what they add to (target, contrast).
        logits: (target, contrast) as recorded.
        not_piecewise_linear: downstream nodes that are not known to be piecewise linear.
        drawn: the channels (of a vector: units) to draw: those with the largest contributions by
            magnitude to the target and to the contrast class, sorted by contribution to the target.
    """

    name: str
    role: str
    activations: np.ndarray
    contributions: np.ndarray
    biases: Mapping[str, tuple[float, float]]
    logits: tuple[float, float]
    not_piecewise_linear: tuple[str, ...]
    drawn: tuple[int, ...]

    @property
    def channels(self) -> np.ndarray:
        """(2, channels): contributions summed over positions; for a vector, those of its units."""
        return self.contributions.reshape(2, len(self.activations), -1).sum(axis=2)

    @property
    def contribution_sum(self) -> tuple[float, float]:
        """The sum of all contributions."""
        return _pair(self.channels.sum(axis=1))

    @property
    def bias_share(self) -> tuple[float, float]:
        """What the constants downstream of the layer add, with the active pattern fixed."""
        return _pair(np.array([list(pair) for pair in self.biases.values()]).reshape(-1, 2).sum(0))

    @property
    def residue(self) -> tuple[float, float]:
        """Logit less contributions and bias share: zero up to rounding where the identity holds."""
        return _pair(np.subtract(self.logits, np.add(self.contribution_sum, self.bias_share)))

    @property
    def identity_holds(self) -> bool:
        """Whether contributions + bias share = logit, to 1e-4 of the largest of the three.

        Where large contributions cancel, 1e-6 of their summed magnitudes is allowed (float32). It
        does not hold if GELU, SiLU, sigmoid, softmax or the like follow; they are in
        `not_piecewise_linear`.
        """
        parts = np.abs([self.contribution_sum, self.bias_share, self.logits]).max(axis=0)
        magnitudes = np.abs(self.contributions).reshape(2, -1).sum(axis=1)
        allowed = np.maximum(TOLERANCE * parts, _ROUNDING * magnitudes)
        return bool((np.abs(self.residue) <= allowed).all())

    @property
    def others(self) -> tuple[float, float]:
        """The sum of the contributions that are not drawn."""
        return _pair(np.delete(self.channels, list(self.drawn), axis=1).sum(axis=1))

    @property
    def no_proof_reason(self) -> str | None:
        """Why nothing can be switched off in this layer; None where something can."""
        if not self.activations.any():
            return f"every unit of {self.name} is 0: the logit comes from biases alone"
        if not (self.contributions[0] > 0).any():
            return f"no unit of {self.name} contributes to the target"
        return None


@dataclass(frozen=True, eq=False)
class Pathways:
    """From maps to classes: which units contribute to two logits for one image.

    Attributes:
        target: class index whose logit is explained.
        contrast: the class it is compared with.
        predicted: the most probable class.
        logits: (classes,) float64.
        layers: in the network's order; the last convolution's comes first where there is one.
        edges: (drawn units of the last layer, channels of the first) float64: what each channel
            contributes to the target's logit through that unit; None with one layer.
        notes: how the network's layers differ from a VGG's.
    """

    target: int
    contrast: int
    predicted: int
    logits: np.ndarray
    layers: tuple[PathwayLayer, ...]
    edges: np.ndarray | None
    notes: tuple[str, ...]

    @property
    def probabilities(self) -> np.ndarray:
        """(classes,) the softmax of the logits."""
        powers = np.exp(self.logits - self.logits.max())
        return powers / powers.sum()


def pathways(
    record: Trace,
    target: int | None = None,
    contrast: int | None = None,
    *,
    image: int = 0,
    shown: int = SHOWN,
) -> Pathways:
    """The contributions of the last convolution's and the first dense layer's units to a logit.

    Args:
        record: a trace that kept the layers of `pathway_layers(graph)`; no targets are needed.
        target: class index; None takes the predicted class.
        contrast: class index; None takes the most probable class other than the target.
        image: which one of the batch.
        shown: how many channels and units to draw of each layer.

    Raises:
        ConvscopeError: a network without classes, with one class, or without a layer between
            pixels and logits; classes that do not fit; numbers that are not finite; a trace whose
            units were switched off downstream of the layers.

    Source: the identity for ReLU networks, activation x gradient plus bias terms, is proposition 1
    of Srinivas & Fleuret 2019 (arXiv 1905.00780), here for a layer instead of the pixels.
    """
    graph, logits = record.graph, _logits(record, image)
    roles = pathway_layers(graph)
    if not roles:
        raise ConvscopeError(
            "the network has no layer between pixels and logits that everything passes through"
        )
    target, contrast = _classes(logits, target, contrast)
    layers, slopes = [], {}
    for name, role in roles.items():
        edited = set(record.edits).intersection(node.name for node in downstream(graph, name))
        if edited:
            raise ConvscopeError(
                f"the trace was made with units switched off in {', '.join(sorted(edited))}, "
                f"downstream of {name}: trace without these edits"
            )
        output = record[name].output[image]
        layer, slopes[name] = _layer(graph, name, role, output, (target, contrast), logits, shown)
        layers.append(layer)
    edges = None
    if len(layers) == 2:
        maps = record[layers[0].name].output[image]
        edges = _edges(graph, layers[0].name, maps, layers[1], slopes[layers[1].name])
    predicted = int(logits.argmax())
    return Pathways(target, contrast, predicted, logits, tuple(layers), edges, _notes(roles))


def _logits(record: Trace, image: int) -> np.ndarray:
    shape = record.graph[record.graph.logits].output_shape
    if len(shape) != 1:
        raise ConvscopeError(
            f"the network gives (batch, {', '.join(map(str, shape))}), as a trunk does: without a "
            "head it has no classes, and no logit to explain"
        )
    if shape[0] < 2:
        raise ConvscopeError(
            "the network has one class: a pathway needs a second one to compare with"
        )
    if not 0 <= image < len(record.images):
        raise ConvscopeError(f"image must be in 0..{len(record.images) - 1}, got {image}")
    logits = record.logits[image].double().cpu().numpy()
    if not np.isfinite(logits).all():
        raise ConvscopeError(
            "the network's logits for this image are not all finite numbers: nothing can be said"
        )
    return logits


def _classes(logits: np.ndarray, target: int | None, contrast: int | None) -> tuple[int, int]:
    for name, number in (("target", target), ("contrast", contrast)):
        if number is not None and not 0 <= number < len(logits):
            raise ConvscopeError(f"{name} must be in 0..{len(logits) - 1}, got {number}")
    order: list[int] = np.argsort(-logits, kind="stable").tolist()
    target = order[0] if target is None else target
    if contrast is None:
        contrast = order[1] if target == order[0] else order[0]
    if target == contrast:
        raise ConvscopeError(f"target and contrast are both class {target}; give two classes")
    return target, contrast


@torch.inference_mode(mode=False)  # a caller's inference mode would disable gradients
def _layer(
    graph: Graph,
    name: str,
    role: str,
    output: Tensor,
    classes: tuple[int, int],
    logits: np.ndarray,
    shown: int,
) -> tuple[PathwayLayer, np.ndarray]:
    """The layer, and the target's gradient there. Each of the two classes has a copy in a batch."""
    nodes = downstream(graph, name)
    with torch.enable_grad():
        leaf = torch.stack([output.detach()] * 2).requires_grad_()
        # After a `detach` the gradient starts again: biases there add to the logits too.
        edits = {node.name: _starting_gradient for node in nodes}
        outputs = graph.run({name: leaf}, [name, *(node.name for node in nodes)], edits=edits)
        ends = outputs[graph.logits]
        chosen = ends[0, classes[0]] + ends[1, classes[1]]
        names = [name, *(n.name for n in nodes if outputs[n.name].requires_grad)]
        slopes = torch.autograd.grad(
            chosen, [outputs[n] for n in names], allow_unused=True, materialize_grads=True
        )
    slope_at = dict(zip(names, slopes, strict=True))
    activations, slope = _float64(output), _float64(slope_at[name])
    contributions = activations * slope
    if not np.isfinite(contributions).all():
        raise ConvscopeError(f"{name}: not all contributions are finite numbers")
    biases = {}
    for node in nodes:
        own = _constant(graph, node, [outputs[n][:1].detach() for n in node.inputs])
        if own is not None and node.name in slope_at and own.any():
            terms = (_float64(slope_at[node.name]) * _float64(own)).reshape(2, -1)
            biases[node.name] = _pair(terms.sum(axis=1))
    not_piecewise_linear = tuple(node.name for node in nodes if not _is_piecewise_linear(node))
    ranked = contributions.reshape(2, len(activations), -1).sum(axis=2)
    pair = _pair(logits[list(classes)])
    layer = PathwayLayer(
        name,
        role,
        activations,
        contributions,
        biases,
        pair,
        not_piecewise_linear,
        _strongest(ranked, shown),
    )
    return layer, slope[0]


def _starting_gradient(output: Tensor) -> Tensor:
    unchanged = output.requires_grad or not output.is_floating_point()
    return output if unchanged else output.detach().requires_grad_()


def _constant(graph: Graph, node: Node, given: Sequence[Tensor]) -> Tensor | None:
    """The constant that a node adds for any input, in a shape that broadcasts to its output.

    It is the bias, or the output for zeros; for a clamp the offset of the linear piece that the
    value lies on.
    """
    if node.kind in (Kind.CONVOLUTION, Kind.LINEAR) and len(given) == 1:
        bias = graph.parameter(node, "bias")
        return bias if bias is None or node.kind is Kind.LINEAR else bias[:, None, None]
    clamped = node.kind in _CLAMPED
    inputs = {
        name: tensor if clamped else torch.zeros_like(tensor)
        for name, tensor in zip(node.inputs, given, strict=True)
    }
    with torch.no_grad():
        value = graph.run(inputs, [node.name])[node.name]
    if clamped:
        (slope,) = gradients(graph, node, torch.ones_like(value), given)
        value = value - (0 if slope is None else slope * given[0])
    # 1 / 0 is not a constant; such a node is not piecewise linear.
    return torch.where(value.isfinite(), value, 0) if value.is_floating_point() else None


def _is_piecewise_linear(node: Node) -> bool:
    if node.kind in _SCALED:  # linear if one operand is a constant
        return len(node.inputs) == 1 and node.operation != "reciprocal"
    return node.kind in _PIECEWISE_LINEAR


def _strongest(channels: np.ndarray, count: int) -> tuple[int, ...]:
    """The channels to draw: most by the target, others by the contrast; sorted by the target."""
    for_target, for_contrast = np.argsort(-np.abs(channels), axis=1, kind="stable").tolist()
    chosen = [c for c in for_target if channels[0, c]][: -(-count * 5 // 8)]
    more = [c for c in for_contrast if c not in chosen and channels[1, c]]
    chosen += more[: count - len(chosen)]
    return tuple(sorted(chosen, key=lambda c: (-channels[0, c], c)))


@torch.inference_mode(mode=False)
def _edges(
    graph: Graph, start: str, maps: Tensor, layer: PathwayLayer, slope: np.ndarray
) -> np.ndarray:
    """What each channel contributes to the target through each drawn unit of a later layer."""
    if not layer.drawn:
        return np.zeros((0, len(maps)))
    with torch.enable_grad():
        leaf = torch.stack([maps.detach()] * len(layer.drawn)).requires_grad_()
        units = graph.run({start: leaf}, [layer.name])[layer.name]
        total = units[torch.arange(len(layer.drawn)), torch.tensor(layer.drawn)].sum()
        (gradient,) = torch.autograd.grad(total, leaf)
    edges = (_float64(gradient) * _float64(maps)).reshape(len(layer.drawn), len(maps), -1).sum(2)
    return edges * slope[list(layer.drawn), None]


def _notes(roles: Mapping[str, str]) -> tuple[str, ...]:
    if len(roles) == 2:
        return ()
    if "last convolution" in roles.values():
        return ("no fully connected layer before the logits: maps lead to the classes directly",)
    return ("no convolution with maps of its own: the pathway begins at the first dense layer",)


def _float64(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to("cpu", torch.float64).numpy()


def _pair(values: np.ndarray) -> tuple[float, float]:
    return float(values[0]), float(values[1])
