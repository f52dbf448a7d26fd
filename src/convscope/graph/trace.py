"""A trace: one recorded pass with every activation and, with targets, every gradient."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from convscope.base.errors import ConvscopeError
from convscope.base.tensors import Images, Targets
from convscope.graph.graph import INPUT, Graph, Node, suggestions
from convscope.graph.html import trace_html
from convscope.graph.kinds import Kind
from convscope.graph.program import Edit, Watch

SOFTMAX, CROSS_ENTROPY = "softmax", "cross_entropy"


@dataclass(frozen=True, eq=False)
class LayerRecord:
    """The output of a node for a batch: `output` and `gradient` (batch, *node.output_shape).

    `gradient` is d(logit of the target) / d(output), None without targets, for the records that
    follow the logits, and where torch passes no gradient on (`detach`, integers).
    """

    node: Node
    output: Tensor
    gradient: Tensor | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """A recorded pass. `layers` has the recorded nodes in order, then `softmax`, `cross_entropy`.

    `logits` are the scores before softmax, (batch, classes); a trunk's feature maps. `edits` are
    the masks the pass was made with.
    """

    graph: Graph
    images: Images
    logits: Tensor
    targets: Targets | None
    layers: tuple[LayerRecord, ...]
    edits: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    def __getitem__(self, name: str) -> LayerRecord:
        """The record of a node.

        Raises:
            ConvscopeError: for an unknown name, or a node that was not recorded.
        """
        if name in self._by_name:
            return self._by_name[name]
        if name in self.graph:
            raise ConvscopeError(
                f"the trace did not keep {name!r}; add it to keep=..., or keep everything"
            )
        raise ConvscopeError(f"no layer {name!r}; {suggestions(name, list(self._by_name))}")

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @cached_property
    def _by_name(self) -> dict[str, LayerRecord]:
        return {record.node.name: record for record in self.layers}

    def __repr__(self) -> str:
        given = "without targets" if self.targets is None else f"targets {self.targets.tolist()}"
        return f"Trace({len(self.images)} images, {len(self.layers)} records, {given})"

    def _repr_html_(self) -> str:
        return trace_html(self)


@torch.inference_mode(mode=False)  # a caller's inference mode would disable gradients
def trace(
    graph: Graph,
    images: Images,
    targets: Targets | None = None,
    *,
    keep: Collection[str] | None = None,
    edits: Mapping[str, Tensor] | None = None,
    watch: Watch | None = None,
) -> Trace:
    """One pass of the images through the graph, recorded; bit-equal to the module's own forward.

    The module is not changed, and any number of threads may trace at once. Memory: every recorded
    activation, for VGG-16 at 224 x 224 115 MB an image, twice that with gradients.

    Args:
        graph: from `capture`.
        images: (batch, channels, height, width), preprocessed, of the captured size; any batch.
        targets: class indices (batch,). With them each record has its gradient
            d(logit of the target) / d(output), and `cross_entropy` is appended.
        keep: names of the nodes to record; None records all. Others are released after use.
        edits: for a node's name a mask that its output is multiplied by, of the node's output
            shape or one that broadcasts to it, with or without the batch axis: 0 or False switches
            a unit off, 1 or True leaves it as it is. Later nodes see the masked output.
        watch: called before each step with (steps done, all steps); what it raises ends the pass.

    Raises:
        ConvscopeError: images, targets, names or masks that do not fit; a graph on the meta device.

    Source: gradients by torch.autograd; switching units off as in Morcos et al. 2018
    (arXiv 1803.06959), section 2.2; a mask on `input` is the occlusion of Zeiler & Fergus 2014.
    """
    images, targets = checked(graph, images, targets)
    masks = {name: _mask(graph, name, mask, images) for name, mask in (edits or {}).items()}
    wanted = _wanted(graph, keep)
    multiplied = {name: _times(mask) for name, mask in masks.items()}
    with torch.set_grad_enabled(targets is not None):
        start = images.requires_grad_() if targets is not None else images
        outputs = graph.run({INPUT: start}, [*wanted, graph.logits], edits=multiplied, watch=watch)
        logits = outputs[graph.logits]
        outputs = {name: outputs[name] for name in wanted}
        gradients = _gradients(graph, logits, targets, outputs)
    layers = tuple(
        LayerRecord(
            graph[name], output.detach() if output.requires_grad else output, gradients.get(name)
        )
        for name, output in outputs.items()
    )
    logits = logits.detach()
    return Trace(
        graph, images.detach(), logits, targets, layers + _appended(graph, logits, targets), masks
    )


def with_targets(trace: Trace, targets: Targets | None) -> Trace:
    """The same pass with other targets: the records are shared, except `cross_entropy`.

    Nothing runs again, and records have no gradients.

    Raises:
        ConvscopeError: targets that do not fit.
    """
    _, targets = checked(trace.graph, trace.images, targets)
    names = {node.name for node in trace.graph.nodes}
    layers = tuple(
        LayerRecord(record.node, record.output)
        for record in trace.layers
        if record.node.name in names
    )
    appended = _appended(trace.graph, trace.logits, targets)
    return Trace(trace.graph, trace.images, trace.logits, targets, layers + appended, trace.edits)


def _gradients(
    graph: Graph, logits: Tensor, targets: Tensor | None, outputs: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    if targets is None or not logits.requires_grad:
        return {}
    names = [
        name
        for name, output in outputs.items()
        if output.requires_grad and (name != graph.output or graph.output == graph.logits)
    ]
    if not names:
        return {}
    chosen = logits.gather(1, targets[:, None]).sum()
    slopes = torch.autograd.grad(
        chosen, [outputs[name] for name in names], allow_unused=True, materialize_grads=True
    )
    return dict(zip(names, slopes, strict=True))


def appended_nodes(graph: Graph) -> tuple[Node, ...]:
    """The nodes that a trace with targets appends: `softmax` where there is none, `cross_entropy`.

    A network's own forward pass does not compute them. A trunk has none.
    """
    classes = graph[graph.logits].output_shape
    if len(classes) != 1:
        return ()

    def node(name: str, kind: Kind, settings: dict[str, Any], shape: tuple[int, ...]) -> Node:
        return Node(name, kind, name, "", (graph.logits,), {}, settings, (classes,), shape)

    softmax = node(SOFTMAX, Kind.SOFTMAX, {"dim": 1}, classes)
    loss = node(CROSS_ENTROPY, Kind.CROSS_ENTROPY, {}, ())
    return (softmax, loss) if graph.logits == graph.output else (loss,)


def _appended(graph: Graph, logits: Tensor, targets: Tensor | None) -> tuple[LayerRecord, ...]:
    """The records of `appended_nodes`; of cross-entropy only with targets."""
    records = []
    for node in appended_nodes(graph):
        if node.kind is Kind.SOFTMAX:
            records.append(LayerRecord(node, torch.softmax(logits, 1)))
        elif targets is not None:
            records.append(LayerRecord(node, F.cross_entropy(logits, targets, reduction="none")))
    return tuple(records)


def _times(mask: Tensor) -> Edit:
    # Not the product alone: infinity times 0 is NaN, but a unit that is off gives 0.
    return lambda output: torch.where(mask == 0, 0, output * mask)


def _wanted(graph: Graph, keep: Collection[str] | None) -> list[str]:
    if keep is None:
        return [node.name for node in graph.nodes]
    if isinstance(keep, str):
        keep = [keep]
    appended = {SOFTMAX, CROSS_ENTROPY} - {node.name for node in graph.nodes}
    wanted = {graph[name].name for name in keep if name not in appended}
    return [node.name for node in graph.nodes if node.name in wanted]


def _mask(graph: Graph, name: str, mask: Tensor, images: Tensor) -> Tensor:
    shape = graph[name].output_shape
    mask = torch.as_tensor(mask).to(graph.device, images.dtype, copy=True)
    whole = (len(images), *shape)
    fits = mask.ndim <= len(whole) and all(
        side in (1, full) for side, full in zip(mask.shape[::-1], whole[::-1], strict=False)
    )
    if not fits:
        raise ConvscopeError(
            f"edits: the mask of {name!r} has shape {tuple(mask.shape)}, but the output of "
            f"{len(images)} images {whole}; "
            "give one value per unit, or a shape that broadcasts, as (channels, 1, 1)"
        )
    return mask


def checked(graph: Graph, images: Tensor, targets: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Copies of images and targets that fit the graph, on its device.

    Raises:
        ConvscopeError: the graph is on the meta device, or images or targets do not fit.
    """
    if graph.device.type == "meta":
        raise ConvscopeError(
            "this graph was captured on the meta device, where weights have shapes but no numbers; "
            "capture a module that has its weights to trace it"
        )
    if images.ndim != 4 or tuple(images.shape[1:]) != graph.input_shape or not len(images):
        raise ConvscopeError(
            f"the graph was captured for images (batch, {', '.join(map(str, graph.input_shape))}), "
            f"got {tuple(images.shape)}; capture the module again with an example of that size"
        )
    weights = [tensor for tensor in graph.tensors.values() if tensor.is_floating_point()]
    kinds = {tensor.dtype for tensor in weights}
    if not images.is_floating_point() or (len(kinds) == 1 and images.dtype not in kinds):
        raise ConvscopeError(
            f"the images are {images.dtype}, the network's weights "
            f"{', '.join(map(str, kinds)) or 'none'}; preprocess the images, or convert them with "
            "images.to(...)"
        )
    # A copy: the record must not change when the caller's tensor does.
    images = images.detach().to(graph.device, copy=True)
    if targets is None:
        return images, None
    targets = torch.as_tensor(targets).to(graph.device, copy=True)
    shape = graph[graph.logits].output_shape
    if len(shape) != 1:
        raise ConvscopeError(
            f"targets need logits (batch, classes); this network gives (batch, "
            f"{', '.join(map(str, shape))}), as a trunk does"
        )
    if targets.shape != images.shape[:1] or targets.is_floating_point():
        raise ConvscopeError(
            f"targets must be {len(images)} class indices, got {targets.dtype} of shape "
            f"{tuple(targets.shape)}"
        )
    if not bool(((targets >= 0) & (targets < shape[0])).all()):
        raise ConvscopeError(f"targets must be in 0..{shape[0] - 1}, got {targets.tolist()}")
    return images, targets.to(torch.long, copy=True)
