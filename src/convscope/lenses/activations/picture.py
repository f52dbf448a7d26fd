"""A recorded pass as sheets: which layers, under which titles and file names, on which scale."""

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
    """What sheets of one image show: values by layer, and how.

    Attributes:
        nodes: the layers to draw, in the network's order.
        blocks: for each block the layer that `strongest.png` shows.
        values: of all of them, float32, without the batch axis.
        network: as it is named in titles.
        image: as it is named below them.
        class_names: of logits and probabilities.
        scale: over what colours compare.
        logits: the layer of the scores.
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
        """The sheet of the strongest maps of each block; `image` as the network sees it."""
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
        """Over all that is drawn in colours, but for probabilities: their unit is another."""
        if self.scale is not Scale.network:
            return None
        ranges = [
            range_of(self.values[node.name])
            for node in {n.name: n for n in (*self.nodes, *self.blocks.values())}.values()
            if node.kind is not Kind.SOFTMAX and _in_colours(self.values[node.name])
        ]
        return reduce(Range.joined, ranges) if ranges else None


def layers_to_show(graph: Graph, asked: Collection[str]) -> list[str]:
    """The names asked for, or all convolutions, activation functions, pools, logits and softmax.

    Raises:
        ConvscopeError: for an unknown name, with similar ones.
    """
    scores = len(graph[graph.logits].output_shape) == 1
    ends = (SOFTMAX,) if scores and graph.logits == graph.output else ()
    if asked:
        return list(dict.fromkeys(n if n in ends else graph[n].name for n in asked))
    kinds = {Kind.CONVOLUTION, *ACTIVATIONS, *POOLS}
    last = {graph.logits, graph.output}
    return [n.name for n in graph.nodes if n.kind in kinds or n.name in last] + list(ends)


def layers_to_keep(graph: Graph, names: Collection[str]) -> set[str]:
    """What `trace` has to keep for a `View` of these layers."""
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
