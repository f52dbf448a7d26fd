"""Weights of somebody else's file as a value: what is declared is known before any data is read."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from convscope.base.errors import WeightsError

MOST_TENSORS = 10_000
_MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class Declared:
    """What a file says of a tensor before its values are read."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def num_bytes(self) -> int:
        """How much memory the values take."""
        return prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Foreign:
    """An open file of weights, valid as long as `open_weights` is.

    Attributes:
        path: the file.
        format: such as "safetensors", for people.
        declared: shape and type of every tensor, in the file's order.
        read: gives the values of one of them; its memory is that tensor's own.
        notes: what was done on the way, one sentence each.
        in_order: whether `declared` stands in the order of the network's layers, as the file tells.
    """

    path: Path
    format: str
    declared: Mapping[str, Declared]
    read: Callable[[str], Tensor]
    notes: tuple[str, ...] = ()
    in_order: bool = False


def refusal(path: Path, reason: str, remedy: str) -> WeightsError:
    """The error that names file, reason and remedy."""
    return WeightsError(f"{path}: {reason}; {remedy}")


class UnacceptableError(Exception):
    """Something in a file that is not read. Whoever knows the file's name adds it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


def checked_shape(shape: object, name: str) -> tuple[int, ...]:
    """`shape`, where it is a few whole numbers.

    Raises:
        UnacceptableError: it is something else.
    """
    sides = tuple(shape) if isinstance(shape, tuple | list) else (-1,)
    if len(sides) > _MOST_DIMENSIONS or not all(
        type(side) is int and 0 <= side < 1 << 48 for side in sides
    ):
        raise UnacceptableError(f"the shape of {printable(name)} is none", DAMAGED)
    return sides


def printable(name: str) -> str:
    """A name out of a file, short and without what a terminal would obey."""
    plain = name.encode("ascii", "backslashreplace").decode()
    plain = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in plain[:200])
    return f"{plain[:80]}..." if len(plain) > 80 else plain


def read_span(file: BinaryIO, start: int, length: int) -> bytearray:
    """`length` bytes of `file` from `start` on.

    Raises:
        UnacceptableError: the file ends before.
    """
    if start + length > file_size(file):  # asked first: the memory would be taken at once
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
