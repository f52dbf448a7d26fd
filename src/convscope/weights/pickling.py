"""Interpret the subset of pickle that stores tensors, without importing or calling anything.

A pickle is a program: its opcodes import and call any function by name. Here the opcodes work on a
stack of plain values. A call of one of the few functions that torch uses to store tensors becomes a
description of the tensor; any other call is an error. No name is ever imported.
"""

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from convscope.weights.weights_file import DAMAGED, UnacceptableError, checked_shape, printable

MAX_PICKLE_BYTES = (
    1 << 20
)  # bytes: VGG-16's pickle has 3 kB; a million one-byte opcodes take two seconds

REMEDY = "none of it was executed; save only the weights: torch.save(module.state_dict(), FILE)"


@dataclass(frozen=True)
class Storage:
    """A contiguous array of numbers in the file, identified by its key."""

    key: str
    dtype: torch.dtype
    length: int


@dataclass(frozen=True)
class StridedTensor:
    """A tensor as a view of a storage. Offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Name:
    """A function or class that the pickle refers to by name."""

    module: str
    name: str


class _Other:
    """Any harmless value that is not a tensor, a container or a number. It is ignored."""


_OTHER = _Other()
_MARK = object()
_TORCH = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}  # fmt: skip
_DTYPES = {
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
}  # fmt: skip
# torch.load(weights_only=True) allows these too. Weights do not need their values.
_HARMLESS = {
    ("collections", "Counter"), ("torch", "Size"), ("torch", "device"), ("_codecs", "encode"),
    ("torch.serialization", "_get_layout"), ("__builtin__", "set"), ("builtins", "set"),
    ("__builtin__", "complex"), ("builtins", "complex"),
}  # fmt: skip
_BUILDERS = {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter"}
_PUSHED: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_DICT": dict,
    "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "MARK": lambda: _MARK, "EMPTY_SET": _Other,
}  # fmt: skip
_ARGUMENTS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES",
}  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_DAMAGED = UnacceptableError("its pickle cannot be read", DAMAGED)


def interpret(stream: io.BytesIO) -> Any:
    """Interprets the pickle at the current position of `stream` and moves the position past it.

    Returns:
        The content: dicts, lists, tuples, strings and numbers as such, tensors as `StridedTensor`.

    Raises:
        UnacceptableError: the pickle is damaged, or uses a name or an opcode that weights do not
            need. The message says which.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                return machine.pop()
            machine.step(opcode.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError):
        raise _DAMAGED from None
    raise _DAMAGED


class _Machine:
    """The stack machine of pickle, reduced to values that cannot do harm."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise _DAMAGED
        return value

    def pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while (value := self.stack.pop()) is not _MARK:
            items.append(value)
        return items[::-1]

    def step(self, name: str, argument: Any) -> None:
        """Executes an opcode that pushes, copies or collects values."""
        if name in _PUSHED:
            self.stack.append(_PUSHED[name]())
        elif name in _ARGUMENTS:
            self.stack.append(argument)
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name in _TUPLES:
            items = [self.pop() for _ in range(_TUPLES[name])]
            self.stack.append(tuple(items[::-1]))
        elif name in ("TUPLE", "LIST", "DICT"):
            items = self.pop_to_mark()
            container: Any = {"TUPLE": tuple, "LIST": list, "DICT": dict}[name](
                () if name == "DICT" else items
            )
            self.stack.append(container)
            if name == "DICT":
                self.fill(items)
        elif name not in ("PROTO", "FRAME"):
            self.compound(name, argument)

    def compound(self, name: str, argument: Any) -> None:
        """Executes an opcode that changes a container or creates an object."""
        if name in ("APPEND", "APPENDS"):
            items = [self.pop()] if name == "APPEND" else self.pop_to_mark()
            if isinstance(self.stack[-1], list):
                self.stack[-1].extend(items)
            elif not isinstance(self.stack[-1], _Other):
                raise _DAMAGED
        elif name in ("SETITEM", "SETITEMS"):
            pair = [self.pop(), self.pop()][::-1] if name == "SETITEM" else self.pop_to_mark()
            self.fill(pair)
        elif name == "ADDITEMS":
            self.pop_to_mark()
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            if name == "GLOBAL":
                module, _, attribute = argument.partition(" ")
            else:
                attribute, module = self.pop(), self.pop()
            self.stack.append(_allowed_name(module, attribute))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, function = self.pop(), self.pop()
            self.stack.append(_call(function, arguments))
        elif name == "BUILD":
            self.pop()  # attributes of an object, for example an OrderedDict: not weights
        elif name == "BINPERSID":
            self.stack.append(_storage(self.pop()))
        elif name == "INST":
            _allowed_name(*argument.split(" ", 1))
            raise _unknown(name)
        else:
            raise _unknown(name)

    def fill(self, items: list[Any]) -> None:
        """Puts alternating keys and values into the dictionary on top of the stack."""
        target = self.stack[-1]
        if isinstance(target, _Other):
            return
        if not isinstance(target, dict) or len(items) % 2:
            raise _DAMAGED
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Nested tuples as keys could take exponential time to hash.
            if not isinstance(key, str | int | float | None):
                raise UnacceptableError("a key in its pickle is neither text nor a number", REMEDY)
            target[key] = value


def _unknown(opcode: str) -> UnacceptableError:
    return UnacceptableError(f"its pickle uses {opcode}, which tensors do not need", REMEDY)


def _allowed_name(module: Any, name: Any) -> Any:
    """The name, if it is in the list of names that are allowed."""
    if not isinstance(module, str) or not isinstance(name, str):
        raise _DAMAGED
    if module == "torch" and name in _DTYPES:
        return _OTHER
    known = (
        (module == "torch" and name in _TORCH)
        or (module == "torch._utils" and name in _BUILDERS)
        or (module, name) == ("collections", "OrderedDict")
        or (module, name) in _HARMLESS
    )
    if not known:
        raise UnacceptableError(f"its pickle refers to {printable(f'{module}.{name}')}", REMEDY)
    return _Name(module, name)


def _call(function: Any, arguments: Any) -> Any:
    """The value that a call in the pickle represents; nothing is called."""
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise _DAMAGED
    if function.name == "OrderedDict":
        if arguments not in ((), ([],)):
            raise UnacceptableError("its pickle fills a dictionary in an unknown way", REMEDY)
        return {}
    if function.name == "_rebuild_parameter":
        return arguments[0] if isinstance(arguments[0], StridedTensor) else _OTHER
    if function.name in _BUILDERS:
        return _strided(*arguments[:4])
    if (function.module, function.name) in _HARMLESS:
        return _OTHER
    raise _DAMAGED


def _storage(identifier: Any) -> Any:
    """The storage that a persistent id identifies: ("storage", type, key, device, length)."""
    if not isinstance(identifier, tuple) or len(identifier) < 5 or identifier[0] != "storage":
        raise UnacceptableError("its pickle refers to an object outside that is no storage", REMEDY)
    _, kind, key, _, length, *view = identifier
    if not isinstance(kind, _Name) or kind.name not in _TORCH or view not in ([], [None]):
        raise UnacceptableError("its pickle has a storage of an unsupported kind", REMEDY)
    if not isinstance(key, str) or type(length) is not int or not 0 <= length < 1 << 48:
        raise _DAMAGED
    return Storage(key, _TORCH[kind.name], length)


def _strided(storage: Any, offset: Any, shape: Any, strides: Any) -> StridedTensor:
    """Checks that a view stays inside its storage."""
    if not isinstance(storage, Storage) or type(offset) is not int or offset < 0:
        raise _DAMAGED
    sides, steps = checked_shape(shape, "a tensor"), checked_shape(strides, "a tensor")
    if len(sides) != len(steps):
        raise _DAMAGED
    empty = 0 in sides
    last = offset + sum((side - 1) * step for side, step in zip(sides, steps, strict=True))
    number = 1
    for side in sides:
        number *= side
    if not empty and (last >= storage.length or number > storage.length):
        raise UnacceptableError("a tensor in it is larger than its storage", DAMAGED)
    return StridedTensor(storage, offset, sides, steps)
