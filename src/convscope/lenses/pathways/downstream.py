"""The nodes downstream of a layer, and the layers that every path passes.

This module uses only the graph; contributions are computed in `compute.py`.
"""

from convscope.graph.blocks import activated, convolutions
from convscope.graph.graph import INPUT, Graph, Node
from convscope.graph.kinds import Kind

CONVOLUTION, DENSE = "last convolution", "first fully connected layer"


def passes_all(graph: Graph, name: str) -> bool:
    """Whether every path from the image to the logits passes through this node."""
    reached = {INPUT} - {name}
    for node in graph.nodes[1:]:
        if node.name != name and reached.intersection(node.inputs):
            reached.add(node.name)
    return graph.logits not in reached


def downstream(graph: Graph, name: str) -> list[Node]:
    """The nodes on the paths from a node to the logits, without the node itself, in order."""
    reached = {name}
    for node in graph.nodes[1:]:
        if reached.intersection(node.inputs):
            reached.add(node.name)
    leading = {graph.logits}
    for node in reversed(graph.nodes):
        if node.name in leading:
            leading.update(node.inputs)
    return [n for n in graph.nodes if n.name in reached & leading and n.name != name]


def pathway_layers(graph: Graph) -> dict[str, str]:
    """The layers whose units a pathway consists of, and the role of each.

    They are the feature maps of the last convolution that can be trained, and the first dense layer
    after it, both after their activation function. Where a shortcut or a branch bypasses the last
    convolution, the maps are taken where all paths have merged. A convolution whose output channels
    are the classes counts as part of the logits.
    """
    layers: dict[str, str] = {}
    for node in reversed(convolutions(graph)):
        maps = _merged_maps(graph, node)
        if maps is not None and not _is_classifier(graph, node):
            layers[maps.name] = CONVOLUTION
            break
    for node in downstream(graph, next(iter(layers), INPUT)):
        vector = node.kind is Kind.LINEAR and len(node.output_shape) == 1
        if vector and node.name != graph.logits and passes_all(graph, node.name):
            layers[activated(graph, node).name] = DENSE
            break
    return layers


def _merged_maps(graph: Graph, node: Node) -> Node | None:
    """The first maps from `node` on that all paths pass through, after their activation."""
    for candidate in [node, *downstream(graph, node.name)]:
        if len(candidate.output_shape) != 3:
            return None
        if passes_all(graph, candidate.name):
            return activated(graph, candidate)
    return None


def _is_classifier(graph: Graph, node: Node) -> bool:
    """Whether a convolution's output channels are the classes: no weights come after it."""
    weighted_later = any(
        n.kind in (Kind.LINEAR, Kind.CONVOLUTION) for n in downstream(graph, node.name)
    )
    return not weighted_later and node.output_shape[0] == graph[graph.logits].output_shape[0]
