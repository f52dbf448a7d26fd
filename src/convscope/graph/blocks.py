"""The stages of a network: blocks of one resolution, then the head.

A max or average pool that shrinks the maps ends its block; a strided convolution begins the next.
The head starts at the first global pool, flatten or linear layer that no convolution follows.
Source: the blocks of Simonyan & Zisserman 2014, table 1.
"""

from collections.abc import Mapping

from torch import nn

from convscope.graph.graph import Graph, Node
from convscope.graph.kinds import ACTIVATIONS, ARITHMETIC, VIEWS, Kind

HEAD = "head"
_POOLS = frozenset({Kind.MAX_POOL, Kind.AVERAGE_POOL})
_HEAD_STARTS = frozenset(
    {Kind.ADAPTIVE_AVERAGE_POOL, Kind.ADAPTIVE_MAX_POOL, Kind.FLATTEN, Kind.LINEAR}
)
# An average pool over the whole map counts as a global pool only if its window is larger than the
# usual ones between blocks.
_LARGEST_BLOCK_WINDOW = 3


def blocks(graph: Graph) -> dict[str, str]:
    """For each node but the input "block 1", "block 2", ... or "head".

    The nodes of a gate (squeeze and excitation) belong to the block that it gates. In a network
    without convolutions, all nodes belong to the head.

    >>> import torch
    >>> from convscope.graph.capture import capture
    >>> from convscope.nets.catalog import build_module
    >>> vgg = build_module("vgg11", num_classes=10, input_shape=(3, 32, 32))
    >>> stages = blocks(capture(vgg, torch.zeros(1, 3, 32, 32)))
    >>> stages["features.2"], stages["features.3"], stages["flatten"]
    ('block 1', 'block 2', 'head')
    """
    head = _head(graph)
    # The block of a node, and whether the nodes after it belong to the next block.
    stages: dict[str, tuple[int, bool]] = {graph.nodes[0].name: (0, True)}
    for node in graph.nodes[1:]:
        before = [stages[name] for name in node.inputs]
        stage = max((block + ended for block, ended in before), default=1)
        begins = _begins(graph, node) and not all(ended for _, ended in before)
        stages[node.name] = (stage + begins, _ends(graph, node))
    return {
        node.name: HEAD if node.name in head else f"block {stages[node.name][0]}"
        for node in graph.nodes[1:]
    }


def block_outputs(graph: Graph) -> dict[str, Node]:
    """For each block its last node, "block 1", ...; only maps of more than one pixel count.

    It is a pool if one ends the block, else the last activation, sum or concatenation.
    """
    ends: dict[str, Node] = {}
    for name, block in blocks(graph).items():
        node = graph[name]
        maps = len(node.output_shape) == 3 and _area(node.output_shape) > 1
        if block != HEAD and maps and node.kind not in VIEWS:
            ends[block] = node
    return ends


def convolutions(graph: Graph) -> list[Node]:
    """The convolutions that can be trained, without the fixed low-pass filters of blur pooling.

    If no kernel is a parameter, the network was frozen, and all convolutions are returned.
    """
    every = [node for node in graph.nodes if node.kind is Kind.CONVOLUTION]
    return [node for node in every if not _is_fixed(graph, node)] or every


def activated(graph: Graph, node: Node) -> Node:
    """The activation function after a node (and its batch norm) if there is one, else the node."""
    for kinds in (frozenset({Kind.BATCH_NORM}), ACTIVATIONS):
        users = [other for other in graph.nodes if node.name in other.inputs]
        if len(users) == 1 and users[0].kind in kinds and users[0].name != graph.logits:
            node = users[0]
    return node


def _begins(graph: Graph, node: Node) -> bool:
    """A strided convolution, or an operation that enlarges the maps (transposed, upsampling)."""
    if node.kind is Kind.CONVOLUTION:
        return _shrinks(node) and not _is_fixed(graph, node)
    if node.kind is not Kind.OTHER or not node.inputs:
        return False
    sources = [graph[name].output_shape for name in node.inputs]
    largest = max((_area(shape) for shape in sources), default=0)
    return 1 < largest < _area(node.output_shape)


def _ends(graph: Graph, node: Node) -> bool:
    """A pool that shrinks the maps, or the low-pass filter after one (Zhang 2019)."""
    return (node.kind in _POOLS or _is_fixed(graph, node)) and _shrinks(node)


def _is_fixed(graph: Graph, node: Node) -> bool:
    """Whether this is a convolution whose kernel is a buffer, which is not trained."""
    if node.kind is not Kind.CONVOLUTION:
        return False
    kernel = graph.tensors.get(node.parameters["weight"])
    return kernel is not None and not isinstance(kernel, nn.Parameter)


def _shrinks(node: Node) -> bool:
    smaller = _area(node.output_shape) < _area(node.input_shapes[0])
    return smaller and max(node.window.stride) > 1


def _area(shape: tuple[int, ...]) -> int:
    """The number of positions of a feature map; 0 for vectors."""
    return shape[1] * shape[2] if len(shape) == 3 else 0


def _head(graph: Graph) -> set[str]:
    if all(node.kind is not Kind.CONVOLUTION for node in graph.nodes):
        return {node.name for node in graph.nodes}
    followers = _followers(graph)
    head: set[str] = set()
    for node in graph.nodes[1:]:
        if node.name not in head and _starts_head(graph, node, followers):
            head |= {node.name, *followers[node.name]}
    return head


def _followers(graph: Graph) -> dict[str, set[str]]:
    """For each node, all nodes downstream of it."""
    followers: dict[str, set[str]] = {node.name: set() for node in graph.nodes}
    for node in reversed(graph.nodes):
        for name in node.inputs:
            followers[name] |= {node.name, *followers[node.name]}
    return followers


def _starts_head(graph: Graph, node: Node, followers: Mapping[str, set[str]]) -> bool:
    return (
        (node.kind in _HEAD_STARTS or _is_global_pool(node))
        and all(graph[name].kind is not Kind.CONVOLUTION for name in followers[node.name])
        and not _is_gate(graph, node, followers[node.name])
    )


def _is_global_pool(node: Node) -> bool:
    if node.kind is not Kind.AVERAGE_POOL or _area(node.output_shape) != 1:
        return False
    kernel = node.window.kernel
    return kernel == node.input_shapes[0][1:] and max(kernel) > _LARGEST_BLOCK_WINDOW


def _is_gate(graph: Graph, node: Node, followers: set[str]) -> bool:
    """Whether the nodes after it scale or add to maps that do not come from it."""
    for other in (graph[name] for name in followers):
        if other.kind not in ARITHMETIC:
            continue
        outside = [
            _area(graph[name].output_shape)
            for name in other.inputs
            if name != node.name and name not in followers
        ]
        gated = max(outside, default=0)
        if gated > _area(node.output_shape) or (gated and other.kind is Kind.MULTIPLY):
            return True
    return False
