"""Recognise a node of torch's exported graph: its kind, settings, and role of each tensor."""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from convscope.base.torch_private import operation_name, schema_of
from convscope.graph.kinds import KIND_OF, POOLS, REARRANGEMENTS, Kind
from convscope.graph.windows import same_padding

_LIBRARY = str(Path(torch.__file__).parent)
_SPATIAL = ([2, 3], [-2, -1], [-1, -2], [3, 2])


@dataclass(frozen=True)
class Description:
    """What an operation is. `call` identifies one of several calls of a module.

    `roles` are the tensor arguments by name.
    """

    kind: Kind
    operation: str
    module_path: str
    call: str
    settings: dict[str, Any]
    roles: dict[str, fx.Node] = field(repr=False)


@dataclass(frozen=True)
class ResponseNorm:
    """A local response norm, which torch computes in ten steps; the division is the last."""

    description: Description
    inner: frozenset[fx.Node]


def packet(node: fx.Node) -> str:
    """Torch's name of the operation without overload and in-place suffix: `relu` for `relu_`."""
    name = operation_name(node.target) or str(getattr(node.target, "__name__", node.target))
    return name if name.startswith("_") else name.rstrip("_")


def describe(node: fx.Node) -> Description:
    """Kind, settings and tensor arguments of a node."""
    path, call = _module(node)
    settings, roles = _arguments(node)
    kind = KIND_OF.get(packet(node), Kind.OTHER)
    if packet(node) == "getitem" and isinstance(node.args[0], fx.Node):
        parent = node.args[0]
        kind = KIND_OF.get(packet(parent), Kind.OTHER)
        settings, roles = _arguments(parent)
        if kind not in REARRANGEMENTS and node.args[1] != 0:
            kind = Kind.OTHER
    kind, settings = _with_supported_kind(node, kind, settings, roles)
    return Description(kind, packet(node), path, call, settings, roles)


def location_of(node: fx.Node) -> str:
    """`: file:line: code` of the innermost code outside of torch, where torch recorded it."""
    frames = re.findall(
        r'File "(.+)", line (\d+), in .*\n *(.*)', node.meta.get("stack_trace") or ""
    )
    for file, line, code in reversed(frames):
        if not file.startswith(_LIBRARY):
            return f": {file}:{line}: {code}"
    return ""


def _with_supported_kind(
    node: fx.Node, kind: Kind, settings: dict[str, Any], roles: dict[str, fx.Node]
) -> tuple[Kind, dict[str, Any]]:
    """`OTHER` for the variants of an operation that our formulas do not cover."""
    value = node.meta["val"]
    first = next(iter(roles.values()), None)
    source = None if first is None else first.meta.get("val")
    name, dims = packet(node), settings.get("dim")
    if not isinstance(source, Tensor):
        return (kind if kind in REARRANGEMENTS else Kind.OTHER), settings
    if name in ("mean", "amax") and source.ndim == 4 and dims in _SPATIAL:
        pool = Kind.ADAPTIVE_AVERAGE_POOL if name == "mean" else Kind.ADAPTIVE_MAX_POOL
        return pool, settings | {"output_size": [1, 1]}
    if name in ("to", "_to_copy") and source.dtype == value.dtype:
        return Kind.IDENTITY, settings
    if kind is Kind.HARDTANH and (settings["min_val"], settings["max_val"]) == (0, 6):
        return Kind.RELU6, {}
    if name == "clone" and "Dropout" in _module_type(node):  # was an in-place dropout
        return Kind.DROPOUT, {}
    if kind in (Kind.RESHAPE, Kind.FLATTEN):
        return (Kind.FLATTEN if value.ndim == 2 < source.ndim else Kind.RESHAPE), settings
    if kind is Kind.CONVOLUTION and source.ndim == 4:
        settings = settings | _window(settings, roles["weight"])
    supported = {
        Kind.CONVOLUTION: source.ndim == 4,
        **dict.fromkeys(POOLS, source.ndim == 4),
        # The first axis is the batch: an operation across it has no formula for one image.
        Kind.SOFTMAX: settings.get("dim") not in (0, -source.ndim),
        Kind.PERMUTE: name != "flip" or not {0, -source.ndim} & set(settings["dims"]),
        Kind.BATCH_NORM: "running_mean" in roles and not settings.get("training"),
        Kind.DIVIDE: settings.get("rounding_mode") is None,
        Kind.DROPOUT: not settings.get("train"),
    }
    return (kind if supported.get(kind, True) else Kind.OTHER), settings


def _window(settings: dict[str, Any], weight: fx.Node) -> dict[str, Any]:
    """Kernel size, and padding (top, left) as numbers also where it is given by name."""
    kernel = [int(side) for side in weight.meta["val"].shape[2:]]
    padding = settings["padding"]
    if isinstance(padding, str):
        same = padding == "same"
        padding = same_padding(kernel, settings["dilation"]) if same else [0 for _ in kernel]
    return {"kernel_size": kernel, "padding": padding}


def _arguments(node: fx.Node) -> tuple[dict[str, Any], dict[str, fx.Node]]:
    """Settings and tensor arguments by the names in the operation's schema."""
    schema = schema_of(node.target)
    settings: dict[str, Any] = {}
    roles: dict[str, Any] = {}
    if schema is None:
        names = [str(place) for place in range(len(node.args))]
        given = dict(zip(names, node.args, strict=True))
    else:
        names = [argument.name for argument in schema.arguments]
        defaults = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
        given = defaults | dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    for name in (name for name in names if name in given):
        argument = given[name]
        if isinstance(argument, fx.Node):
            roles[name] = argument
        elif isinstance(argument, list | tuple) and any(isinstance(a, fx.Node) for a in argument):
            roles |= {f"{name}.{i}": a for i, a in enumerate(argument) if isinstance(a, fx.Node)}
        elif isinstance(argument, list | tuple):
            settings[name] = list(argument)
        elif not isinstance(argument, torch.SymInt):
            settings[name] = argument
    return settings, roles


def _module(node: fx.Node) -> tuple[str, str]:
    """The path of the module that calls it, and the key of this call of the module."""
    stack = _stack(node)
    return (stack[-1][1], stack[-1][0]) if stack else ("", "")


def _module_type(node: fx.Node) -> str:
    stack = _stack(node)
    return stack[-1][2] if stack else ""


def _stack(node: fx.Node) -> list[tuple[str, str, str]]:
    """(call, path, type) of the modules around a node, outermost first."""
    return [
        (key, str(path), str(kind))
        for key, (path, kind) in (node.meta.get("nn_module_stack") or {}).items()
        if not key.startswith("_empty")
    ]


def is_full_batch_slice(node: fx.Node) -> bool:
    """Whether this is the first slice of x[:, 1:3], which torch records: it keeps all images."""
    if packet(node) != "slice":
        return False
    settings, _ = _arguments(node)
    end = settings.get("end")
    whole = end is None or end >= sys.maxsize
    return settings["dim"] == 0 and settings.get("start") in (None, 0) and whole


def response_norms(nodes: Iterable[fx.Node]) -> dict[fx.Node, ResponseNorm]:
    """The divisions that end a local response norm, found by pattern, in functional calls too."""
    norms = {}
    for node in nodes:
        norm = _response_norm(node)
        if norm is not None:
            norms[node] = norm
    return norms


def _response_norm(division: fx.Node) -> ResponseNorm | None:
    """Finds x / (k + alpha * mean of x squared over `size` channels) ** beta."""
    inner: list[fx.Node] = []

    def operand(node: Any, *names: str) -> Any:
        """The first argument of a step with one of these names; None for any other step."""
        if not isinstance(node, fx.Node) or packet(node) not in names:
            return None
        inner.append(node)
        return node.args[0]

    def before_views(node: Any) -> Any:
        while isinstance(node, fx.Node) and packet(node) in ("view", "squeeze", "unsqueeze"):
            inner.append(node)
            node = node.args[0]
        return node

    if packet(division) != "div" or not all(isinstance(a, fx.Node) for a in division.args[:2]):
        return None
    source: Any
    source, power = division.args[:2]
    pool = before_views(operand(operand(operand(power, "pow"), "add"), "mul"))
    squares = before_views(
        operand(operand(pool, "avg_pool3d", "avg_pool2d"), "pad", "constant_pad_nd")
    )
    if operand(squares, "mul") is not source or squares.args[1] is not source:
        return None
    by_name = {packet(node): node for node in reversed(inner)}
    if any(user not in inner and user is not division for node in inner for user in node.users):
        return None
    scaled = next(node for node in inner if packet(node) == "mul")
    size = pool.args[1][0]
    settings = {
        "size": size, "alpha": scaled.args[1], "beta": by_name["pow"].args[1],
        "k": by_name["add"].args[1],
    }  # fmt: skip
    path, call = _module(division)
    description = Description(
        Kind.LOCAL_RESPONSE_NORM, "local_response_norm", path, call, settings,
        {"input": source},
    )  # fmt: skip
    return ResponseNorm(description, frozenset(inner))
