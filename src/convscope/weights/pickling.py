"""The language of pickle as far as tensors need it, read without running any of it.

A pickle is a program: its opcodes call whatever they name. Here they are followed on a stack of
plain values; a call of one of the few functions that torch writes tensors with becomes a
description of the tensor, and everything else ends the reading. No name is ever looked up.
"""

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from convscope.weights.foreign import DAMAGED, UnacceptableError, checked_shape, printable

LONGEST = 1 << 20  # VGG-16's is 3 kB; a million one-byte opcodes take two seconds

REMEDY = "nothing of it was run; save the weights alone: torch.save(module.state_dict(), FILE)"


@dataclass(frozen=True)
class Storage:
    """A run of numbers in the file, by its key there."""

    key: str
    dtype: torch.dtype
    length: int


@dataclass(frozen=True)
class Strided:
    """A tensor: a view of a storage, in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Name:
    module: str
    name: str


class _Other:
    """A harmless value that is no tensor; what it is does not matter here."""


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
# Allowed by torch's own weights_only reader too, and of no use for weights.
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
    """What the pickle at the place of `stream` describes; the place is after it then.

    Dictionaries, lists, tuples, text and numbers are themselves; tensors are `Strided`.

    Raises:
        UnacceptableError: it asks for more than weights need, naming it, or is damaged.
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
        """One opcode."""
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
            made: Any = {"TUPLE": tuple, "LIST": list, "DICT": dict}[name](
                () if name == "DICT" else items
            )
            self.stack.append(made)
            if name == "DICT":
                self.fill(items)
        elif name not in ("PROTO", "FRAME"):
            self.compound(name, argument)

    def compound(self, name: str, argument: Any) -> None:
        """An opcode that changes or makes objects."""
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
            self.stack.append(_named(module, attribute))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, function = self.pop(), self.pop()
            self.stack.append(_called(function, arguments))
        elif name == "BUILD":
            self.pop()  # attributes, as of an OrderedDict: no weights
        elif name == "BINPERSID":
            self.stack.append(_storage(self.pop()))
        elif name == "INST":
            _named(*argument.split(" ", 1))
            raise _unknown(name)
        else:
            raise _unknown(name)

    def fill(self, items: list[Any]) -> None:
        """Puts keys and values, one after the other, into the dictionary on the stack."""
        target = self.stack[-1]
        if isinstance(target, _Other):
            return
        if not isinstance(target, dict) or len(items) % 2:
            raise _DAMAGED
        for key, value in zip(items[::2], items[1::2], strict=True):
            # The hash of a nest of tuples can take for ever.
            if not isinstance(key, str | int | float | None):
                raise UnacceptableError("a key in its pickle is neither text nor a number", REMEDY)
            target[key] = value


def _unknown(opcode: str) -> UnacceptableError:
    return UnacceptableError(f"its pickle uses {opcode}, which tensors do not need", REMEDY)


def _named(module: Any, name: Any) -> Any:
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
        raise UnacceptableError(f"its pickle asks for {printable(f'{module}.{name}')}", REMEDY)
    return _Name(module, name)


def _called(function: Any, arguments: Any) -> Any:
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise _DAMAGED
    if function.name == "OrderedDict":
        if arguments not in ((), ([],)):
            raise UnacceptableError("its pickle fills a dictionary in an unknown way", REMEDY)
        return {}
    if function.name == "_rebuild_parameter":
        return arguments[0] if isinstance(arguments[0], Strided) else _OTHER
    if function.name in _BUILDERS:
        return _strided(*arguments[:4])
    if (function.module, function.name) in _HARMLESS:
        return _OTHER
    raise _DAMAGED


def _storage(found: Any) -> Any:
    if not isinstance(found, tuple) or len(found) < 5 or found[0] != "storage":
        raise UnacceptableError("its pickle refers to something that is no storage", REMEDY)
    _, kind, key, _, length, *view = found
    if not isinstance(kind, _Name) or kind.name not in _TORCH or view not in ([], [None]):
        raise UnacceptableError("its pickle describes a storage that is not read here", REMEDY)
    if not isinstance(key, str) or type(length) is not int or not 0 <= length < 1 << 48:
        raise _DAMAGED
    return Storage(key, _TORCH[kind.name], length)


def _strided(storage: Any, offset: Any, shape: Any, strides: Any) -> Strided:
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
        raise UnacceptableError("a tensor in it is larger than its numbers", DAMAGED)
    return Strided(storage, offset, sides, steps)
