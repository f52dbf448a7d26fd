"""Files of bare arrays: NumPy's `.npz` and safetensors."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import safetensors
import torch
from numpy.lib import format as npy
from torch import Tensor

from convscope.weights.archive import UNPACKING, beginning
from convscope.weights.foreign import (
    DAMAGED,
    MOST_TENSORS,
    Declared,
    UnacceptableError,
    checked_shape,
    file_size,
    printable,
)

Contents = tuple[Mapping[str, Declared], Callable[[str], Tensor], tuple[str, ...]]
_LONGEST_HEADER = 4 << 20
_NPY_HEADER = 4096
_ARRAYS = "save plain number arrays: numpy.savez(FILE, **arrays)"
_DTYPES = {
    "f2": torch.float16, "f4": torch.float32, "f8": torch.float64, "i8": torch.int64,
    "i4": torch.int32, "u1": torch.uint8, "i1": torch.int8, "i2": torch.int16,
}  # fmt: skip
_SAFE = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def read_npz(archive: zipfile.ZipFile, named: Mapping[str, zipfile.ZipInfo]) -> Contents:
    """The arrays of an `.npz`; what is compressed is unpacked only as far as its shape says.

    Raises:
        UnacceptableError: it holds Python objects, or is damaged.
    """
    headers = {
        name.removesuffix(".npy"): _header(name, beginning(archive, info, _NPY_HEADER), info)
        for name, info in named.items()
    }

    def read(name: str) -> Tensor:
        shape, columns_first, dtype, start = headers[name]
        values = np.empty(shape, dtype)
        view: Any = values.reshape(-1).view(np.uint8)
        try:
            with archive.open(named[f"{name}.npy"]) as member:
                member.read(start)
                done = 0
                while done < len(view) and (part := member.read(min(1 << 22, len(view) - done))):
                    view[done : done + len(part)] = np.frombuffer(part, np.uint8)
                    done += len(part)
        except UNPACKING as error:
            raise UnacceptableError(
                f"{printable(name)} cannot be read ({error})", DAMAGED
            ) from None
        if done < len(view):
            raise UnacceptableError(f"{printable(name)} ends too early", DAMAGED)
        if columns_first:
            values = values.reshape(-1).reshape(shape[::-1]).transpose()
        return torch.from_numpy(values.astype(values.dtype.newbyteorder("="), copy=False))

    declared = {
        name: Declared(shape, _DTYPES[dtype.kind + str(dtype.itemsize)])
        for name, (shape, _, dtype, _) in headers.items()
    }
    return declared, read, ()


Header = tuple[tuple[int, ...], bool, np.dtype, int]


def _header(name: str, content: bytes, info: zipfile.ZipInfo) -> Header:
    """Shape, column order, type, and where the numbers begin."""
    what = f"{printable(name)} in it"
    stream = io.BytesIO(content)
    try:
        version = npy.read_magic(stream)
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, columns_first, dtype = reader(stream, max_header_size=_NPY_HEADER)
    except (ValueError, EOFError, SyntaxError, RecursionError, MemoryError, TypeError):
        raise UnacceptableError(f"{what} is no NumPy array", _ARRAYS) from None
    if dtype.hasobject:
        raise UnacceptableError(f"{what} holds Python objects, which are pickles", _ARRAYS)
    if dtype.kind + str(dtype.itemsize) not in _DTYPES:
        raise UnacceptableError(f"{what} holds no plain numbers (type {dtype.kind!r})", _ARRAYS)
    sides = checked_shape(shape, name)
    if stream.tell() + prod(sides) * dtype.itemsize != info.file_size:
        raise UnacceptableError(f"{what} is not as large as its shape says", DAMAGED)
    return sides, columns_first, dtype, stream.tell()


@contextmanager
def open_safetensors(path: Path, file: BinaryIO) -> Iterator[Contents]:
    """The tensors of a safetensors file.

    Raises:
        UnacceptableError: its header is wrong.
    """
    header = _safetensors_header(file)
    try:
        opened = safetensors.safe_open(path, "pt")
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        reason = printable(str(error))
        raise UnacceptableError(f"safetensors refuses it ({reason})", DAMAGED) from None
    with opened:
        names = list(opened.keys())
        if len(names) > MOST_TENSORS:
            raise UnacceptableError(
                f"it holds {len(names):,} tensors", "give a file of weights alone"
            )
        declared = {}
        for name in names:
            part = opened.get_slice(name)
            if part.get_dtype() not in _SAFE:
                kind = f"numbers of type {part.get_dtype()}"
                raise UnacceptableError(
                    f"{printable(name)} in it holds {kind}", "save it as float32"
                )
            shape = checked_shape(part.get_shape(), name)
            declared[name] = Declared(shape, _SAFE[part.get_dtype()])
        if set(header) - {"__metadata__"} != set(names):
            raise UnacceptableError("its header names other tensors than it holds", DAMAGED)
        yield declared, opened.get_tensor, ()


def _safetensors_header(file: BinaryIO) -> dict[str, object]:
    """The header's entries, each name once."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > file_size(file) - 8:
        raise UnacceptableError(
            f"its header would have {length:,} bytes, more than the file", DAMAGED
        )
    if length > _LONGEST_HEADER:
        raise UnacceptableError(
            f"its header has {length:,} bytes", "give a file with the weights of one network"
        )
    try:
        header = json.loads(file.read(length), object_pairs_hook=_once, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        reason = printable(str(error)) if isinstance(error, ValueError) else "nested too deep"
        raise UnacceptableError(f"its header cannot be read ({reason})", DAMAGED) from None
    if not isinstance(header, dict):
        raise UnacceptableError("its header is no table", DAMAGED)
    return header


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
