"""An open weights file: shapes and types of its tensors, and a function that reads one."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from convscope.base.errors import WeightsError

MAX_TENSORS = 10_000
_MAX_DIMENSIONS = 8


@dataclass(frozen=True)
class TensorInfo:
    """Shape and type of a tensor, as the file declares them."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def num_bytes(self) -> int:
        """How much memory the values take."""
        return prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class WeightsFile:
    """An open weights file, valid inside the context of `open_weights`.

    Attributes:
        path: the file.
        format: a name for messages, such as "safetensors".
        declared: shape and type of each tensor, in the file's order.
        read: reads the values of one tensor into new memory.
        notes: remarks about the reading, one sentence each.
        in_order: whether the file states that `declared` is in the order of the network's layers.
    """

    path: Path
    format: str
    declared: Mapping[str, TensorInfo]
    read: Callable[[str], Tensor]
    notes: tuple[str, ...] = ()
    in_order: bool = False


def refusal(path: Path, reason: str, remedy: str) -> WeightsError:
    """The error for a file that is not accepted: its path, the reason and a remedy."""
    return WeightsError(f"{path}: {reason}; {remedy}")


class UnacceptableError(Exception):
    """The content of a file is not accepted. `open_weights` adds the file's name."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


def checked_shape(shape: object, name: str) -> tuple[int, ...]:
    """Checks a shape from a file: at most 8 integers from 0 to 2^48 - 1.

    Raises:
        UnacceptableError: it is something else.
    """
    sides = tuple(shape) if isinstance(shape, tuple | list) else (-1,)
    if len(sides) > _MAX_DIMENSIONS or not all(
        type(side) is int and 0 <= side < 1 << 48 for side in sides
    ):
        raise UnacceptableError(f"the shape of {printable(name)} is invalid", DAMAGED)
    return sides


def printable(name: str) -> str:
    """A name from a file, shortened, and with control characters escaped for terminals."""
    plain = name.encode("ascii", "backslashreplace").decode()
    plain = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in plain[:200])
    return f"{plain[:80]}..." if len(plain) > 80 else plain


def read_span(file: BinaryIO, start: int, length: int) -> bytearray:
    """Reads `length` bytes of `file`, beginning at `start`.

    Raises:
        UnacceptableError: the file is shorter.
    """
    if start + length > file_size(file):  # before `bytearray` allocates the memory
        raise UnacceptableError("it ends in the middle of a tensor", DAMAGED)
    content = bytearray(length)
    file.seek(start)
    view, done = memoryview(content), 0
    while done < length:
        count = file.readinto(view[done:])  # pyright: ignore[reportAttributeAccessIssue]
        if not count:
            raise UnacceptableError("it ends in the middle of a tensor", DAMAGED)
        done += count
    return content


def file_size(file: BinaryIO) -> int:
    """The size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


DAMAGED = "it is damaged: fetch or save it again"
