"""The sheets of a recorded pass: their layers, titles, file names and colour scale."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from convscope.base.tensors import Pixels
from convscope.drawing.colours import Range, Scale, range_of
from convscope.drawing.sheets import BARS_UP_TO, Sheet, layer_sheet, sheet_file
from convscope.graph.graph import Graph, Node
from convscope.graph.kinds import ACTIVATIONS, POOLS, Kind
from convscope.graph.trace import SOFTMAX, Trace
from convscope.lenses.activations.strongest import Block, block_ends, strongest_sheet


@dataclass(frozen=True)
class View:
    """The sheets of one image.

    Attributes:
        nodes: the layers to draw, in the network's order.
        blocks: for each block the layer that `strongest.png` shows.
        values: of all of them, float32, without the batch axis.
        network: its name in titles.
        image: its name below the titles.
        class_names: of logits and probabilities.
        scale: the values that share a colour scale.
        logits: the layer of the logits.
        places: the position of each layer in the network, for file names.
    """

    nodes: tuple[Node, ...]
    blocks: Mapping[str, Node]
    values: Mapping[str, np.ndarray]
    network: str
    image: str
    class_names: Sequence[str] | None
    scale: Scale
    logits: str
    places: Mapping[str, int]

    def file(self, node: Node) -> str:
        """The sheet's file name: place in the network and layer, safe on every system."""
        return sheet_file(node.name, self.places[node.name], len(self.places))

    def sheet(self, node: Node) -> Sheet:
        """The sheet of one layer."""
        values = self.values[node.name]
        scored = node.kind is Kind.SOFTMAX or node.name == self.logits
        notes = [self.image]
        if values.ndim > 1 and self.scale is Scale.unit:
            notes[0] += " · below each map its largest magnitude"
        return layer_sheet(
            values,
            title=f"{self.network} · {described(node)}",
            notes=notes,
            scale=self.scale,
            network=self._range,
            class_names=self.class_names if scored else None,
        )

    def strongest(self, image: Pixels) -> Sheet:
        """The sheet of the strongest maps of each block; `image` as the network gets it."""
        return strongest_sheet(
            image,
            [
                Block(f"{block}: {node.name}", _kind(node), self.values[node.name])
                for block, node in self.blocks.items()
            ],
            title=f"{self.network} · the strongest maps of each block",
            notes=[f"{self.image} · strongest: of the largest mean"],
            scale=self.scale,
            network=self._range,
        )

    @property
    def _range(self) -> Range | None:
        """The range of all values that are drawn in colours, except probabilities."""
        if self.scale is not Scale.network:
            return None
        ranges = [
            range_of(self.values[node.name])
            for node in {n.name: n for n in (*self.nodes, *self.blocks.values())}.values()
            if node.kind is not Kind.SOFTMAX and _in_colours(self.values[node.name])
        ]
        return reduce(Range.joined, ranges) if ranges else None


def layers_to_show(graph: Graph, names: Collection[str]) -> list[str]:
    """`names`, or all convolutions, activation functions, pools, logits and softmax.

    Raises:
        ConvscopeError: for an unknown name, with similar ones.
    """
    scores = len(graph[graph.logits].output_shape) == 1
    ends = (SOFTMAX,) if scores and graph.logits == graph.output else ()
    if names:
        return list(dict.fromkeys(n if n in ends else graph[n].name for n in names))
    kinds = {Kind.CONVOLUTION, *ACTIVATIONS, *POOLS}
    last = {graph.logits, graph.output}
    return [n.name for n in graph.nodes if n.kind in kinds or n.name in last] + list(ends)


def layers_to_keep(graph: Graph, names: Collection[str]) -> set[str]:
    """The layers that `trace` must record for a `View` of `names`."""
    return {*names, *(node.name for node in block_ends(graph).values())}


def view(
    trace: Trace,
    names: Collection[str],
    *,
    network: str,
    image: str,
    class_names: Sequence[str] | None,
    scale: Scale,
) -> View:
    """The sheets of a trace's first image; see `View`."""
    blocks = block_ends(trace.graph)
    wanted = {*names, *(node.name for node in blocks.values())}
    return View(
        nodes=tuple(record.node for record in trace.layers if record.node.name in set(names)),
        blocks=blocks,
        values={
            record.node.name: record.output[0].float().cpu().numpy()
            for record in trace.layers
            if record.node.name in wanted
        },
        network=network,
        image=image,
        class_names=class_names,
        scale=scale,
        logits=trace.graph.logits,
        places={
            **{node.name: place for place, node in enumerate(trace.graph.nodes)},
            **({} if SOFTMAX in trace.graph else {SOFTMAX: len(trace.graph.nodes)}),
        },
    )


def described(node: Node) -> str:
    """A layer's name, kind and shape, for titles.

    >>> from convscope.graph.graph import INPUT
    >>> described(Node(INPUT, Kind.INPUT, "", "", (), {}, {}, (), (3, 32, 32)))
    'input · 3 x 32 x 32'
    """
    words = [node.name, _kind(node), " x ".join(map(str, node.output_shape))]
    return " · ".join(dict.fromkeys(word for word in words if word))


def _kind(node: Node) -> str:
    return str(node.kind).replace("_", " ")


def _in_colours(values: np.ndarray) -> bool:
    return values.ndim > 1 or values.size > BARS_UP_TO
