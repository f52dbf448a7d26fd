"""Captured graphs in the cache folder, which are faster to read than to capture.

A graph is stored under a key that covers all it depends on: the code of convscope's graph and
networks, the versions of torch and Python, the shape of the input, and every layer with its
settings and the shapes of its parameters. Networks with anything else in them (custom layers,
hooks, overridden methods) have no key and are captured each time. The file contains only names and
numbers: torch's operations by name, no code and no weights.
"""

import contextlib
import hashlib
import json
import math
import operator
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from convscope.base.download import cache_folder
from convscope.base.errors import ConvscopeError
from convscope.base.storage import write_text
from convscope.base.torch_private import is_operation
from convscope.graph.graph import Graph, Node
from convscope.graph.kinds import Kind
from convscope.graph.program import Slot, Step

_FORMAT = 1
_MOST_FILES = 200
# Layers whose forward pass is a function of only their attributes and parameters.
_TORCH_LAYERS = tuple(
    f"torch.nn.modules.{name}"
    for name in ("activation", "batchnorm", "container", "conv", "dropout", "flatten", "linear",
                 "normalization", "padding", "pooling", "upsampling")
)  # fmt: skip
_OWN_LAYERS = "convscope.nets."
_DEPEND_ON_SETTINGS = (nn.MultiheadAttention,)  # its computation depends on settings of the process
_DEVICES = ("cpu", "cuda")
_REGISTRIES = ("_parameters", "_buffers", "_modules")
_CONSTANTS = {"dtype": torch.dtype, "memory_format": torch.memory_format, "layout": torch.layout}


class _UnknownError(Exception):
    """A network contains something that cannot be stored."""


def graph_key(module: nn.Module, images: Tensor) -> str | None:
    """The name of the stored graph of a module for such images; None where it cannot be stored."""
    if any(map(torch.is_autocast_enabled, _DEVICES)) or _global_hooks():
        return None
    first: dict[int, str] = {}  # shared tensors have one name
    try:
        parts = [
            [path, *_described(path, part, first)]
            for path, part in module.named_modules(remove_duplicate=False)
        ]
    except _UnknownError:
        return None
    about = [
        _FORMAT, _sources(), torch.__version__, sys.version, list(images.shape),
        str(images.dtype), images.device.type, str(torch.get_default_dtype()), parts,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def read_graph(key: str, module: nn.Module) -> Graph | None:
    """The stored graph, with the tensors of `module`; None if it is missing or unreadable."""
    try:
        values = json.loads((_folder() / f"{key}.json").read_text(encoding="utf-8"))
        return _decoded_graph(values, _tensors(module))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, _UnknownError):
        return None  # missing, truncated or changed: the graph is captured again


def write_graph(key: str, graph: Graph, module: nn.Module) -> None:
    """Stores a graph; does nothing if it cannot be stored or the folder cannot be written."""
    with contextlib.suppress(_UnknownError, ConvscopeError, OSError):
        write_text(_folder() / f"{key}.json", json.dumps(_encoded_graph(graph, _tensors(module))))
        oldest = sorted(_folder().glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in oldest[:-_MOST_FILES]:
            path.unlink(missing_ok=True)


def _folder() -> Path:
    return cache_folder() / "graphs"


@cache
def _sources() -> str:
    """SHA-256 of the code that makes graphs and networks."""
    package = Path(__file__).parents[1]
    files = sorted(file for name in ("graph", "nets") for file in (package / name).rglob("*.py"))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _global_hooks() -> bool:
    names = vars(nn.modules.module).items()
    return any(value for name, value in names if name.startswith("_global_") and "hooks" in name)


def _described(path: str, part: nn.Module, first: dict[int, str]) -> list[Any]:
    """Class, settings and tensors of a layer.

    Raises:
        _UnknownError: the layer may compute something that these do not determine.
    """
    kind = type(part)
    for code in (kind, kind.forward):
        known = code.__module__ in _TORCH_LAYERS or code.__module__.startswith(_OWN_LAYERS)
        if not known or isinstance(part, _DEPEND_ON_SETTINGS):
            raise _UnknownError
    if getattr(sys.modules[kind.__module__], kind.__qualname__, None) is not kind:
        raise _UnknownError
    settings = {
        name: _plain(value)
        for name, value in vars(part).items()
        if name not in _REGISTRIES and name != "training" and not _is_empty_hook(name, value)
    }
    tensors = [
        [name, str(t.dtype), list(t.shape), t.requires_grad, first.setdefault(id(t), path + name)]
        for name, t in (*part._parameters.items(), *part._buffers.items())
        if t is not None
    ]
    return [f"{kind.__module__}.{kind.__qualname__}", settings, tensors]


def _is_empty_hook(name: str, value: Any) -> bool:
    return name.startswith("_") and isinstance(value, Mapping | set) and not value


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset) and all(isinstance(item, str) for item in value):
        return sorted(value)
    raise _UnknownError


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


def _encoded_graph(graph: Graph, own: Mapping[str, Tensor]) -> dict[str, Any]:
    if any(own.get(name) is not tensor for name, tensor in graph.tensors.items()):
        raise _UnknownError
    places = {id(step): place for place, step in enumerate(graph.steps)}
    return {
        "nodes": [[_encoded(value) for value in vars(node).values()] for node in graph.nodes],
        "output": graph.output,
        "tensors": list(graph.tensors),
        "steps": [
            [_encoded_call(step.call), _encoded(step.args), _encoded(step.kwargs), step.slot,
             list(step.slots)]
            for step in graph.steps
        ],
        "num_constant_steps": graph.num_constant_steps,
        "tensor_slots": dict(graph.tensor_slots),
        "node_slots": dict(graph.node_slots),
        "node_steps": {
            name: [places[id(step)] for step in steps] for name, steps in graph.node_steps.items()
        },
        "num_slots": graph.num_slots,
    }  # fmt: skip


def _decoded_graph(values: Mapping[str, Any], own: Mapping[str, Tensor]) -> Graph:
    steps = tuple(
        Step(_decoded_call(call), _decoded(args), _decoded(kwargs), slot, tuple(slots))
        for call, args, kwargs, slot, slots in values["steps"]
    )
    return Graph(
        nodes=tuple(_decoded_node([_decoded(value) for value in row]) for row in values["nodes"]),
        output=values["output"],
        tensors={name: own[name] for name in values["tensors"]},
        steps=steps,
        num_constant_steps=values["num_constant_steps"],
        tensor_slots=values["tensor_slots"],
        node_slots=values["node_slots"],
        node_steps={
            name: tuple(steps[place] for place in places)
            for name, places in values["node_steps"].items()
        },
        num_slots=values["num_slots"],
    )


def _decoded_node(values: list[Any]) -> Node:
    name, kind, *others = values
    return Node(name, Kind(kind), *others)


def _encoded(value: Any) -> Any:
    """A value as JSON; a value of a type that JSON lacks is an object whose one key is its type."""
    if isinstance(value, Kind):
        return str(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, Slot):
        return {"slot": value.number}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_encoded(item) for item in value]}
    if isinstance(value, Mapping):
        return {"dict": [[key, _encoded(item)] for key, item in value.items()]}
    for name, kind in _CONSTANTS.items():
        if isinstance(value, kind):
            return {name: str(value).removeprefix("torch.")}
    raise _UnknownError


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "dict":
        return {key: _decoded(item) for key, item in content}
    if kind == "tuple":
        return tuple(_decoded(item) for item in content)
    if kind in _CONSTANTS:
        constant = getattr(torch, content)
        if not isinstance(constant, _CONSTANTS[kind]):
            raise _UnknownError
        return constant
    return {"slot": Slot, "float": float, "device": torch.device}[kind](content)


def _encoded_call(call: Callable[..., Any]) -> str:
    if is_operation(call) and call.namespace == "aten":
        return str(call)
    name = getattr(call, "__name__", "")
    if getattr(operator, name, None) is call:
        return f"operator.{name}"
    raise _UnknownError


def _decoded_call(name: str) -> Callable[..., Any]:
    """An operation of torch or Python's `operator`, by name; nothing else.

    Raises:
        _UnknownError, AttributeError: it is something else.
    """
    family, _, rest = name.partition(".")
    if family == "operator" and rest in operator.__all__:
        return getattr(operator, rest)
    packet, _, overload = rest.partition(".")
    call = getattr(getattr(torch.ops.aten, packet), overload)
    if family != "aten" or not is_operation(call):
        raise _UnknownError
    return call
