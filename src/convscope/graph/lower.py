"""Convert torch's exported graph to ours: steps to run and nodes to read.

A node is an operation as a reader of the network would name it. Operations that are only part of
one (sizes, tuples, the ten operations of a local response norm) remain steps.
"""

import operator
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from convscope.base.errors import CaptureError
from convscope.base.torch_private import is_region, out_of_place, schema_of, storage_of
from convscope.graph.graph import INPUT, Graph, Node
from convscope.graph.kinds import ARITHMETIC, REARRANGEMENTS, WITH_WEIGHTS, Kind
from convscope.graph.names import names_of
from convscope.graph.program import Slot, Step
from convscope.graph.recognise import (
    Description,
    describe,
    is_full_batch_slice,
    location_of,
    packet,
    response_norms,
)

_IDENTITY_IN_EVAL = (
    "dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"
)  # fmt: skip


@dataclass
class _Lowering:
    """What is known about each fx node while the graph is converted, in order."""

    module: nn.Module
    batch: Any
    slots: dict[fx.Node, int] = field(default_factory=dict)
    constant: set[fx.Node] = field(default_factory=set)  # depends only on parameters
    tensors: dict[str, Tensor] = field(default_factory=dict)
    tensor_names: dict[fx.Node, str] = field(default_factory=dict)
    steps: list[tuple[fx.Node, Step]] = field(default_factory=list)

    def is_batch(self, value: Any) -> bool:
        """Whether a value is a tensor with one row per image whose other sizes are fixed."""
        if not isinstance(value, Tensor) or value.ndim == 0:
            return False
        rows, *others = value.shape
        return (
            isinstance(rows, torch.SymInt)
            and rows.node.expr == self.batch
            and all(isinstance(side, int) for side in others)
        )


def lower(program: ExportedProgram, module: nn.Module) -> Graph:
    """The graph of an exported program. Its tensors are those of the module, not copies.

    Raises:
        CaptureError: the program cannot be expressed as a graph of operations.
    """
    _expand_to_known_sizes(program.graph)
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
    images = _images(program, placeholders)
    state = _Lowering(module, images.meta["val"].shape[0].node.expr)
    state.slots[images] = 0
    _name_tensors(state, program, placeholders)
    output = _output(state, program)
    needed = _ancestors(output)
    for node in program.graph.nodes:
        if node.op not in ("placeholder", "output") and node in needed:
            _add_step(state, node)
    state.steps.sort(key=lambda pair: pair[0] not in state.constant)  # constants first
    norms = response_norms(node for node, _ in state.steps)
    absorbed = {node for node, _ in state.steps if is_full_batch_slice(node)}
    absorbed = absorbed.union(*(norm.inner for norm in norms.values())) - {output}
    visible = [images] + [
        node
        for node, _ in state.steps
        if node not in state.constant
        and node not in absorbed
        and state.is_batch(node.meta.get("val"))
    ]
    if output not in visible:
        raise CaptureError(
            f"{type(module).__name__}: the output must have one row per image, computed from it"
        )
    return _graph(state, visible, norms, output)


def _expand_to_known_sizes(graph: fx.Graph) -> None:
    """Replaces x.expand_as(y) and y.copy_(x) by x.expand(sizes): the values of y are not needed."""
    for node in list(graph.nodes):
        if packet(node) not in ("expand_as", "copy"):
            continue
        source = node.args[0 if packet(node) == "expand_as" else 1]
        before, after = source.meta["val"], node.meta["val"]
        if before.ndim != after.ndim or before.dtype != after.dtype:
            continue
        sides = [side if isinstance(side, int) else -1 for side in after.shape]
        with graph.inserting_before(node):
            expanded = graph.call_function(torch.ops.aten.expand.default, (source, sides))
        expanded.meta = dict(node.meta)
        node.replace_all_uses_with(expanded)
        graph.erase_node(node)


def writes_to_shared_memory(graph: fx.Graph) -> bool:
    """Whether an in-place operation changes a value that is read later through another name.

    Only then is the graph rewritten without in-place operations, which loses some names.
    """
    order = {node: place for place, node in enumerate(graph.nodes)}
    memory: dict[fx.Node, fx.Node] = {}
    owners: dict[Any, fx.Node] = {}  # by storage: torch's schemas do not list every alias
    for node, place in order.items():
        source = next(iter(node.all_input_nodes), None)
        value = node.meta.get("val")
        storage = storage_of(value) if isinstance(value, Tensor) else node
        owner = memory[source] if source is not None and _may_alias(node) else node
        memory[node] = owners.setdefault(storage, owner)
        if _is_in_place(node):
            for other, owner in memory.items():
                if (
                    owner is memory[node]
                    and other is not node
                    and any(order[user] > place for user in other.users)
                ):
                    return True
    return False


def without_in_place(program: ExportedProgram) -> ExportedProgram:
    """The same program without in-place operations."""
    for node in list(program.graph.nodes):
        # torch would replace it by a copy, and a write to one would no longer change the other.
        if packet(node) in _IDENTITY_IN_EVAL and not node.args[2]:
            node.replace_all_uses_with(node.args[0])
            program.graph.erase_node(node)
    program.graph_module.recompile()
    return program.run_decompositions({})


def _may_alias(node: fx.Node) -> bool:
    schema = schema_of(node.target)
    if schema is None:
        return node.target is operator.getitem
    aliased = any(returned.alias_info is not None for returned in schema.returns)
    return aliased or packet(node) in _IDENTITY_IN_EVAL


def _is_in_place(node: fx.Node) -> bool:
    schema = schema_of(node.target)
    return schema is not None and any(
        argument.alias_info is not None and argument.alias_info.is_write
        for argument in schema.arguments
    )


def _images(program: ExportedProgram, placeholders: list[fx.Node]) -> fx.Node:
    inputs = [
        node
        for node, spec in zip(placeholders, program.graph_signature.input_specs, strict=True)
        if spec.kind is InputKind.USER_INPUT and isinstance(node.meta.get("val"), Tensor)
    ]
    if len(inputs) != 1:
        raise CaptureError(f"a network takes one batch of images; this one has {len(inputs)}")
    return inputs[0]


def _name_tensors(state: _Lowering, program: ExportedProgram, placeholders: list[fx.Node]) -> None:
    # Taken from the module by name: the program may have copies.
    tensors: dict[str, Any] = dict(program.constants)
    tensors |= dict(state.module.named_parameters(remove_duplicate=False))
    tensors |= dict(state.module.named_buffers(remove_duplicate=False))
    for node, spec in zip(placeholders, program.graph_signature.input_specs, strict=True):
        if spec.target is None:
            continue
        state.slots[node] = len(state.slots)
        state.constant.add(node)
        if node.users:
            state.tensors[spec.target] = tensors[spec.target]
            state.tensor_names[node] = spec.target


def _output(state: _Lowering, program: ExportedProgram) -> fx.Node:
    names = program.graph_signature.user_outputs
    nodes = {node.name: node for node in program.graph.nodes}
    outputs = [nodes[n] for n in names if n in nodes and state.is_batch(nodes[n].meta.get("val"))]
    # Of several outputs, the first that can be logits; the others are not part of the graph.
    for node in sorted(outputs, key=lambda node: node.meta["val"].ndim != 2):
        return node
    raise CaptureError(
        f"{type(state.module).__name__} returns no tensor with one row per image; "
        "a network returns logits (batch, classes) or feature maps"
    )


def _ancestors(output: fx.Node) -> set[fx.Node]:
    needed = {output}
    waiting = [output]
    while waiting:
        for source in waiting.pop().all_input_nodes:
            if source not in needed:
                needed.add(source)
                waiting.append(source)
    return needed


def _add_step(state: _Lowering, node: fx.Node) -> None:
    if node.op != "call_function" or not callable(node.target) or is_region(node.target):
        raise CaptureError(
            f"{type(state.module).__name__} cannot be captured{_location_of_region(node)}\n"
            "it has a region of its own here (torch.no_grad, autocast, checkpoint or cond inside "
            "forward). Take the region out; capture needs none of them"
        )
    if all(source in state.constant for source in node.all_input_nodes):
        state.constant.add(node)
    args, kwargs = node.args, node.kwargs
    slots: tuple[int, ...]
    expression = getattr(getattr(node.meta.get("val"), "node", None), "expr", None)
    if packet(node) == "sym_size" and expression == state.batch:  # of any tensor
        args, slots = (Slot(0), 0), (0,)
    else:
        args = tuple(_template(state, argument) for argument in args)
        kwargs = {name: _template(state, argument) for name, argument in kwargs.items()}
        slots = tuple(state.slots[source] for source in node.all_input_nodes)
    state.slots[node] = len(state.slots)
    state.steps.append((node, Step(_functional(node), args, kwargs, state.slots[node], slots)))


def _location_of_region(node: fx.Node) -> str:
    """Where the region starts: a separate graph, which the node or one of its arguments names."""
    for part in (node, *node.all_input_nodes):
        region = getattr(part.graph.owning_module, str(part.target), None)
        if isinstance(region, fx.GraphModule):
            return next(filter(None, map(location_of, region.graph.nodes)), "")
    return location_of(node)


def _template(state: _Lowering, argument: Any) -> Any:
    if isinstance(argument, fx.Node):
        return Slot(state.slots[argument])
    if isinstance(argument, list | tuple):
        items = [_template(state, item) for item in argument]
        return tuple(items) if any(isinstance(i, Slot | tuple) for i in items) else items
    return argument


def _functional(node: fx.Node) -> Any:
    """The operation itself; for an in-place operation, the one that returns a new tensor."""
    if not _is_in_place(node):
        return node.target
    target: Any = node.target
    return out_of_place(target) or (
        lambda first, *others, **more: target(first.clone(), *others, **more)
    )


def _graph(
    state: _Lowering, visible: list[fx.Node], norms: dict[fx.Node, Any], output: fx.Node
) -> Graph:
    is_node = set(visible)
    inner = {node: _inner(node, is_node, state.constant) for node in visible[1:]}
    descriptions = {
        node: norms[node].description if node in norms else describe(node) for node in visible[1:]
    }
    for node, description in descriptions.items():
        kind = _kind(state, node, description, inner[node], norms)
        descriptions[node] = replace(description, kind=kind)
    names = {visible[0]: INPUT} | names_of(state.module, descriptions)
    nodes = [Node(INPUT, Kind.INPUT, INPUT, "", (), {}, {}, (), _shape(visible[0]))]
    for node in visible[1:]:
        description = descriptions[node]
        sources = list(_sources([node], inner[node], is_node))
        if node in norms:
            sources = sources[:1]
        nodes.append(
            Node(
                name=names[node],
                kind=description.kind,
                operation=description.operation,
                module_path=description.module_path,
                inputs=tuple(names[source] for source in sources),
                parameters=_roles(state, description.roles),
                settings=description.settings,
                input_shapes=tuple(_shape(source) for source in sources),
                output_shape=_shape(node),
            )
        )
    steps = tuple(step for _, step in state.steps)
    return Graph(
        nodes=tuple(nodes),
        output=names[output],
        tensors=state.tensors,
        steps=steps,
        num_constant_steps=sum(node in state.constant for node, _ in state.steps),
        tensor_slots={name: state.slots[node] for node, name in state.tensor_names.items()},
        node_slots={names[node]: state.slots[node] for node in visible},
        node_steps={
            names[node]: tuple(
                step for other, step in state.steps if other is node or other in inner[node]
            )
            for node in visible[1:]
        },
        num_slots=len(state.slots),
    )


def _kind(
    state: _Lowering,
    node: fx.Node,
    description: Description,
    inner: set[fx.Node],
    norms: dict[fx.Node, Any],
) -> Kind:
    """`OTHER` where its other steps also compute, or its weights depend on the images."""
    from_images = {
        role for role, source in description.roles.items() if source not in state.constant
    }
    if description.kind in WITH_WEIGHTS and from_images != {"input"}:
        return Kind.OTHER
    if description.kind in ARITHMETIC and not all(
        isinstance(source.meta.get("val"), Tensor) for source in description.roles.values()
    ):  # an operand is the number of images, which is not a node
        return Kind.OTHER
    allowed = norms[node].inner if node in norms else frozenset()
    for step in inner - allowed:
        if not isinstance(step.meta.get("val"), Tensor) or is_full_batch_slice(step):
            continue
        inside = describe(step)
        drops_images = inside.kind is Kind.SLICE and inside.settings.get("dim") == 0
        if drops_images or not {description.kind, inside.kind} <= REARRANGEMENTS:
            return Kind.OTHER
    return description.kind


def _inner(node: fx.Node, is_node: set[fx.Node], constant: set[fx.Node]) -> set[fx.Node]:
    """The steps between a node and the nodes before it."""
    inner: set[fx.Node] = set()
    waiting = [node]
    while waiting:
        for source in waiting.pop().all_input_nodes:
            if source not in is_node and source not in constant and source not in inner:
                inner.add(source)
                waiting.append(source)
    return inner


def _sources(
    nodes: Iterable[fx.Node], inner: set[fx.Node], is_node: set[fx.Node]
) -> Iterable[fx.Node]:
    """The nodes that the values of `nodes` come from, in the order of the arguments."""
    for node in nodes:
        for source in _tensor_arguments(node):
            if source in is_node:
                yield source
            elif source in inner and packet(source) != "sym_size":
                yield from _sources([source], inner, is_node)


def _tensor_arguments(node: fx.Node) -> list[fx.Node]:
    """Arguments in order, one entry each time (`all_input_nodes` names x + x once)."""
    arguments: list[fx.Node] = []
    fx.map_arg((node.args, node.kwargs), arguments.append)
    return arguments


def _roles(state: _Lowering, roles: dict[str, fx.Node]) -> dict[str, str]:
    named = {}
    for role, node in roles.items():
        if node in state.constant:
            if node not in state.tensor_names:
                state.tensor_names[node] = node.name  # computed from parameters
            named[role] = state.tensor_names[node]
    return named


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(int(side) for side in node.meta["val"].shape[1:])
