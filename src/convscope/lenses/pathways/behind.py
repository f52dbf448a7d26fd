"""The part of a network after a layer, and the layers that every path passes.

It knows graphs, and nothing of contributions.
"""

from convscope.graph.blocks import activated, convolutions
from convscope.graph.graph import INPUT, Graph, Node
from convscope.graph.kinds import Kind

CONVOLUTION, DENSE = "last convolution", "first fully connected layer"


def passes_all(graph: Graph, name: str) -> bool:
    """Whether every way from the image to the logits leads through this node."""
    reached = {INPUT} - {name}
    for node in graph.nodes[1:]:
        if node.name != name and reached.intersection(node.inputs):
            reached.add(node.name)
    return graph.logits not in reached


def behind(graph: Graph, name: str) -> list[Node]:
    """The nodes on the ways from a node, itself left out, to the logits, in order."""
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
    """The layers whose units a pathway is made of, and what each of them is.

    The maps of the last convolution that can be trained and the first dense layer behind them, both
    behind their activation function. Where maps go round the last convolution (a shortcut, a
    branch), they are taken where all ways have met. A convolution that gives the classes' own maps
    counts as logits.
    """
    found: dict[str, str] = {}
    for node in reversed(convolutions(graph)):
        maps = _met(graph, node)
        if maps is not None and not _is_classifier(graph, node):
            found[maps.name] = CONVOLUTION
            break
    for node in behind(graph, next(iter(found), INPUT)):
        vector = node.kind is Kind.LINEAR and len(node.output_shape) == 1
        if vector and node.name != graph.logits and passes_all(graph, node.name):
            found[activated(graph, node).name] = DENSE
            break
    return found


def _met(graph: Graph, node: Node) -> Node | None:
    """The first maps from `node` on that all ways lead through, behind their activation."""
    for candidate in [node, *behind(graph, node.name)]:
        if len(candidate.output_shape) != 3:
            return None
        if passes_all(graph, candidate.name):
            return activated(graph, candidate)
    return None


def _is_classifier(graph: Graph, node: Node) -> bool:
    """Whether a convolution's channels are the classes: nothing is weighed behind it."""
    weighed = any(n.kind in (Kind.LINEAR, Kind.CONVOLUTION) for n in behind(graph, node.name))
    return not weighed and node.output_shape[0] == graph[graph.logits].output_shape[0]
