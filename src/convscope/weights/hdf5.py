"""Read Keras' HDF5 files with h5py: only uncompressed numbers inside the file itself.

The HDF5 library gets an open file, never a path. Links to other files, numbers in other files and
filters (which may load plug-ins) are rejected before any value is read.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any, BinaryIO

import h5py
import h5py.h5o
import numpy as np
import torch
from torch import Tensor

from convscope.weights.archive import Span, Window
from convscope.weights.weights_file import (
    DAMAGED,
    MAX_TENSORS,
    TensorInfo,
    UnacceptableError,
    checked_shape,
    printable,
)

Contents = tuple[Mapping[str, TensorInfo], Callable[[str], Tensor], tuple[str, ...], bool]
_DEPTH = 16
_SMALL = 1 << 20
_REWRITE = "no other file was read; save it again with Keras, or repack it with h5repack"
_DTYPES = {
    "f2": torch.float16, "f4": torch.float32, "f8": torch.float64, "i1": torch.int8,
    "i2": torch.int16, "i4": torch.int32, "i8": torch.int64, "u1": torch.uint8,
    "u2": torch.uint16, "u4": torch.uint32, "u8": torch.uint64,
}  # fmt: skip
# Groups with the state of the optimiser and of random layers.
_STATE = ("optimizer", "optimizer_weights", "seed_generator")


@contextmanager
def open_hdf5(file: BinaryIO, span: Span) -> Iterator[Contents]:
    """The tensors of an HDF5 file in the range `span` of `file`.

    Raises:
        UnacceptableError: the HDF5 file is damaged, or has content that is not accepted.
    """
    window: Any = Window(file, span)
    try:
        opened = h5py.File(window, "r")
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise UnacceptableError(f"HDF5 cannot open it ({_first_line(error)})", DAMAGED) from None
    with opened:
        yield _contents(opened)


def _contents(opened: h5py.File) -> Contents:
    try:
        datasets = dict(_datasets(opened))
        order = {name: position for position, name in enumerate(_layer_order(opened))}
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise UnacceptableError(f"HDF5 cannot read it ({_first_line(error)})", DAMAGED) from None
    names = sorted(datasets, key=lambda name: order.get(name, len(order)))
    kept = {n: datasets[n] for n in names if not set(_STATE) & set(n.split("/"))}
    notes = ()
    if len(kept) < len(datasets):
        count = len(datasets) - len(kept)
        notes = (f"{count} tensors of the optimiser or of random layers were left out",)

    def read(name: str) -> Tensor:
        dataset = kept[name]
        values = np.empty(dataset.shape, dataset.dtype.newbyteorder("="))
        try:
            if values.size:
                dataset.read_direct(values)
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise UnacceptableError(
                f"{printable(name)} cannot be read ({_first_line(error)})", DAMAGED
            ) from None
        return torch.from_numpy(values)

    declared = {name: _declared(name, d) for name, d in kept.items()}
    return declared, read, notes, order.keys() >= kept.keys()


def _datasets(opened: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """All HDF5 data sets with their paths. Each group is visited once."""
    seen: set[Any] = set()
    pending: list[tuple[str, h5py.Group, int]] = [("", opened, 0)]
    count = 0
    while pending:
        path, group, depth = pending.pop()
        count += len(group)
        if count > MAX_TENSORS or depth > _DEPTH:
            raise UnacceptableError("it has too many or too deeply nested groups", _REWRITE)
        for name in map(str, group):
            full = f"{path}/{name}".lstrip("/")
            member = _member(group, name, full)
            info = h5py.h5o.get_info(member.id)
            if info.addr in seen:  # hard links can form cycles
                raise UnacceptableError(f"{printable(full)} in it has two names", _REWRITE)
            seen.add(info.addr)
            if isinstance(member, h5py.Group):
                pending.append((full, member, depth + 1))
            else:
                _check_dataset(full, member)
                yield full, member


def _layer_order(opened: h5py.File) -> Iterator[str]:
    """The paths of the weights in layer order, which only Keras' older format lists."""
    top = "model_weights/" if "model_weights" in opened else ""
    group: Any = opened[top] if top else opened
    for layer in _names(group, "layer_names"):
        if layer in group:
            for weight in _names(group[layer], "weight_names"):
                yield f"{top}{layer}/{weight}"


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names in a group's attributes. Keras splits long ones: `layer_names0`, ..."""
    parts = [attribute] if attribute in group.attrs else []
    while f"{attribute}{len(parts)}" in group.attrs and attribute not in parts:
        parts.append(f"{attribute}{len(parts)}")
    names: list[str] = []
    for part in parts:
        about = group.attrs.get_id(part)
        count = prod(about.shape)
        if count > MAX_TENSORS or (count and about.get_storage_size() > _SMALL):
            return []  # `count and`: HDF5 has no storage size for an empty attribute
        values = np.ravel(group.attrs[part]).tolist()
        plain = (n if isinstance(n, bytes) else str(n).encode(errors="replace") for n in values)
        names += [name.decode(errors="replace") for name in plain]
    return names


def _member(group: h5py.Group, name: str, full: str) -> h5py.Group | h5py.Dataset:
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        kind = {h5py.SoftLink: "a soft link", h5py.ExternalLink: "a link to another file"}
        where = f" ({printable(link.filename)})" if isinstance(link, h5py.ExternalLink) else ""
        raise UnacceptableError(
            f"{printable(full)} in it is {kind.get(type(link), 'not a hard link')}{where}", _REWRITE
        )
    member = group[name]
    if not isinstance(member, h5py.Group | h5py.Dataset):
        raise UnacceptableError(f"{printable(full)} in it is neither group nor numbers", _REWRITE)
    return member


def _check_dataset(name: str, dataset: h5py.Dataset) -> None:
    """Checks that the numbers are in the file, without filters, and complete.

    The layout is checked before the shape, because a virtual data set opens other files for its
    shape.
    """
    what = f"{printable(name)} in it"
    properties = dataset.id.get_create_plist()
    if properties.get_layout() == h5py.h5d.VIRTUAL:
        raise UnacceptableError(f"{what} is a view of data in other files", _REWRITE)
    if properties.get_external_count():
        raise UnacceptableError(f"{what} has its numbers in another file", _REWRITE)
    if properties.get_nfilters():
        raise UnacceptableError(
            f"{what} is compressed or filtered", "decompress it: h5repack -f NONE OLD NEW"
        )
    if dataset.dtype.kind + str(dataset.dtype.itemsize) not in _DTYPES:
        kind = dataset.dtype.kind
        raise UnacceptableError(f"{what} is not an array of numbers (type {kind!r})", _REWRITE)
    shape = checked_shape(dataset.shape, name)
    size = prod(shape) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if stored < size:
        raise UnacceptableError(f"{what} needs {size:,} bytes and has only {stored:,}", DAMAGED)
    if properties.get_layout() == h5py.h5d.CHUNKED:
        chunk = prod(properties.get_chunk()) * dataset.dtype.itemsize
        if chunk > max(size, _SMALL):
            raise UnacceptableError(f"{what} has chunks larger than itself", _REWRITE)


def _declared(name: str, dataset: h5py.Dataset) -> TensorInfo:
    dtype = _DTYPES[dataset.dtype.kind + str(dataset.dtype.itemsize)]
    return TensorInfo(checked_shape(dataset.shape, name), dtype)


def _first_line(error: Exception) -> str:
    return printable(str(error).splitlines()[0] if str(error) else type(error).__name__)
