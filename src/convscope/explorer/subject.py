"""The network that is explored: a classifier with its graph, as one frozen value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from convscope.base.errors import ConvscopeError
from convscope.base.tensors import Pixels
from convscope.graph.geometry import ReceptiveField, receptive_fields
from convscope.graph.graph import Graph, Node
from convscope.graph.graph_of import graph_of
from convscope.graph.summary import Summary, summary
from convscope.graph.trace import SOFTMAX, Trace, appended_nodes, trace
from convscope.nets.classifier import Classifier

UnitsOff = tuple[tuple[str, int], ...]


@dataclass(frozen=True, eq=False)
class Subject:
    """A classifier that is explored.

    Attributes:
        classifier: network, preprocessing, class names.
        title: its name on the page: the run's folder, or the network.
        trained: False for a network by name.
        graph: of the network, at its preprocessing's size.
        nodes: of the graph, then those that a trace appends.
    """

    classifier: Classifier
    title: str
    trained: bool
    graph: Graph
    nodes: tuple[Node, ...]

    @cached_property
    def table(self) -> Summary:
        """Shapes, parameters and multiply-adds of the layers."""
        return summary(self.graph, self.classifier.name)

    @cached_property
    def fields(self) -> Mapping[str, ReceptiveField]:
        """Receptive fields, by node."""
        return receptive_fields(self.graph)

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names; none for a trunk."""
        return self.classifier.class_names or ()

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def node(self, name: str) -> Node:
        """A node by its name, also `softmax` and `cross_entropy`.

        Raises:
            ConvscopeError: with similar names, where there is none.
        """
        return self._by_name[name] if name in self._by_name else self.graph[name]

    @cached_property
    def probabilities(self) -> str | None:
        """The node of the probabilities: the network's own softmax, else the appended one."""
        if not self.classes:
            return None
        return self.graph.output if self.graph.output != self.graph.logits else SOFTMAX

    def images(self, pixels: Sequence[Pixels]) -> Tensor:
        """Decoded images as the network's input."""
        return self.classifier.preprocess.batch(pixels)

    def run(self, image: Tensor, off: UnitsOff, watch: Callable[[int, int], None] | None) -> Trace:
        """One recorded pass of one image (1, channels, height, width), some units switched off."""
        return trace(self.graph, image, edits=self.masks(off), watch=watch)

    def probabilities_of(
        self, images: Tensor, watch: Callable[[int, int], None], off: UnitsOff = ()
    ) -> Tensor:
        """Probabilities (batch, classes) of images, from a pass that records nothing else."""
        if self.probabilities is None:
            raise ConvscopeError("a trunk has no classes to predict")
        keep, edits = [self.probabilities], self.masks(off)
        record = trace(self.graph, images, keep=keep, edits=edits, watch=watch)
        return record[self.probabilities].output

    def masks(self, off: UnitsOff) -> dict[str, Tensor]:
        """For each layer with units that are off, a mask over its channels or units.

        Raises:
            ConvscopeError: for a layer or a unit that does not exist.
        """
        masks: dict[str, Tensor] = {}
        for name, unit in off:
            shape = self.graph[name].output_shape
            if not shape or not 0 <= unit < shape[0]:
                raise ConvscopeError(f"off: {name} has no unit {unit}; it has {shape[:1] or 1}")
            if name not in masks:
                masks[name] = torch.ones(shape[0], *(1 for _ in shape[1:]))
            masks[name][unit] = 0
        return masks


def subject(
    classifier: Classifier, *, title: str | None = None, trained: bool = True, strict: bool = True
) -> Subject:
    """Captures a classifier for the explorer.

    Args:
        classifier: it is not changed, and must not be changed while it is explored.
        title: its name on the page; by default the network's name.
        trained: False for random weights.
        strict: refuses class names that do not fit the network's output; else they are left out.

    Raises:
        CaptureError: the network cannot be captured as a graph.
        ConvscopeError: its output does not fit its class names.
    """
    graph = graph_of(classifier)
    shape, names = graph[graph.logits].output_shape, classifier.class_names
    if names is not None and shape != (len(names),) and not strict:
        classifier, names = replace(classifier, class_names=None), None
    if names is not None and shape != (len(names),):
        raise ConvscopeError(
            f"{classifier.name}: the module's output has shape {shape}, but there are {len(names)} "
            "class names"
        )
    nodes = graph.nodes + (() if names is None else appended_nodes(graph))
    return Subject(
        classifier=classifier,
        title=title or classifier.name,
        trained=trained,
        graph=graph,
        nodes=nodes,
    )
