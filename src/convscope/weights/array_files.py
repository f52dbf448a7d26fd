"""Read files of plain arrays: NumPy's `.npz` and safetensors."""

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

from convscope.weights.archive import UNPACKING, read_beginning
from convscope.weights.weights_file import (
    DAMAGED,
    MAX_TENSORS,
    TensorInfo,
    UnacceptableError,
    checked_shape,
    file_size,
    printable,
)

Contents = tuple[Mapping[str, TensorInfo], Callable[[str], Tensor], tuple[str, ...]]
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
    """The arrays of an `.npz`. Of a compressed one, no more than its shape says is decompressed.

    Raises:
        UnacceptableError: the file contains Python objects, or is damaged.
    """
    headers = {
        name.removesuffix(".npy"): _header(name, read_beginning(archive, info, _NPY_HEADER), info)
        for name, info in named.items()
    }

    def read(name: str) -> Tensor:
        shape, fortran_order, dtype, start = headers[name]
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
        if fortran_order:
            values = values.reshape(-1).reshape(shape[::-1]).transpose()
        return torch.from_numpy(values.astype(values.dtype.newbyteorder("="), copy=False))

    declared = {
        name: TensorInfo(shape, _DTYPES[dtype.kind + str(dtype.itemsize)])
        for name, (shape, _, dtype, _) in headers.items()
    }
    return declared, read, ()


Header = tuple[tuple[int, ...], bool, np.dtype, int]


def _header(name: str, content: bytes, info: zipfile.ZipInfo) -> Header:
    """Shape, whether it is in Fortran order, type, and the offset of the numbers."""
    what = f"{printable(name)} in it"
    stream = io.BytesIO(content)
    try:
        version = npy.read_magic(stream)
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran_order, dtype = reader(stream, max_header_size=_NPY_HEADER)
    except (ValueError, EOFError, SyntaxError, RecursionError, MemoryError, TypeError):
        raise UnacceptableError(f"{what} is not a NumPy array", _ARRAYS) from None
    if dtype.hasobject:
        raise UnacceptableError(f"{what} contains Python objects, which are pickles", _ARRAYS)
    if dtype.kind + str(dtype.itemsize) not in _DTYPES:
        reason = f"{what} is not an array of numbers (type {dtype.kind!r})"
        raise UnacceptableError(reason, _ARRAYS)
    sides = checked_shape(shape, name)
    if stream.tell() + prod(sides) * dtype.itemsize != info.file_size:
        raise UnacceptableError(f"{what} is not as large as its shape says", DAMAGED)
    return sides, fortran_order, dtype, stream.tell()


@contextmanager
def open_safetensors(path: Path, file: BinaryIO) -> Iterator[Contents]:
    """The tensors of a safetensors file.

    Raises:
        UnacceptableError: the header is invalid, or a tensor has an unsupported type.
    """
    header = _safetensors_header(file)
    try:
        opened = safetensors.safe_open(path, "pt")
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        reason = printable(str(error))
        raise UnacceptableError(f"safetensors refuses it ({reason})", DAMAGED) from None
    with opened:
        names = list(opened.keys())
        if len(names) > MAX_TENSORS:
            raise UnacceptableError(
                f"it has {len(names):,} tensors", "give a file with only the weights"
            )
        declared = {}
        for name in names:
            part = opened.get_slice(name)
            if part.get_dtype() not in _SAFE:
                kind = f"numbers of type {part.get_dtype()}"
                raise UnacceptableError(f"{printable(name)} in it has {kind}", "save it as float32")
            shape = checked_shape(part.get_shape(), name)
            declared[name] = TensorInfo(shape, _SAFE[part.get_dtype()])
        if set(header) - {"__metadata__"} != set(names):
            raise UnacceptableError("its header does not list the tensors that it has", DAMAGED)
        yield declared, opened.get_tensor, ()


def _safetensors_header(file: BinaryIO) -> dict[str, object]:
    """The entries of the header. safetensors itself accepts repeated names; this does not."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > file_size(file) - 8:
        raise UnacceptableError(
            f"its header claims {length:,} bytes, more than the file has", DAMAGED
        )
    if length > _LONGEST_HEADER:
        raise UnacceptableError(
            f"its header has {length:,} bytes", "give a file with the weights of one network"
        )
    try:
        header = json.loads(
            file.read(length), object_pairs_hook=_unique_keys, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        reason = printable(str(error)) if isinstance(error, ValueError) else "nested too deep"
        raise UnacceptableError(f"its header cannot be read ({reason})", DAMAGED) from None
    if not isinstance(header, dict):
        raise UnacceptableError("its header is not a JSON object", DAMAGED)
    return header


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError("a key occurs twice")
    return entries


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not valid in JSON")
