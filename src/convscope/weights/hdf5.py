"""HDF5 files of Keras, read with h5py: only numbers that stand in the file itself, as they are.

The HDF5 library is given an open file, never a path; links that lead elsewhere, numbers kept in
other files and filters (which may be plug-ins) are refused before any value is read.
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
from convscope.weights.foreign import (
    DAMAGED,
    MOST_TENSORS,
    Declared,
    UnacceptableError,
    checked_shape,
    printable,
)

Contents = tuple[Mapping[str, Declared], Callable[[str], Tensor], tuple[str, ...], bool]
_DEPTH = 16
_SMALL = 1 << 20
_REWRITE = "nothing was read from elsewhere; save it again with Keras, or repack it with h5repack"
_DTYPES = {
    "f2": torch.float16, "f4": torch.float32, "f8": torch.float64, "i1": torch.int8,
    "i2": torch.int16, "i4": torch.int32, "i8": torch.int64, "u1": torch.uint8,
    "u2": torch.uint16, "u4": torch.uint32, "u8": torch.uint64,
}  # fmt: skip
# What training and random layers keep beside the weights.
_STATE = ("optimizer", "optimizer_weights", "seed_generator")


@contextmanager
def open_hdf5(file: BinaryIO, span: Span) -> Iterator[Contents]:
    """The numbers of an HDF5 file that stands in `span` of `file`.

    Raises:
        UnacceptableError: it is damaged or holds what is not read here.
    """
    window: Any = Window(file, span)
    try:
        opened = h5py.File(window, "r")
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise UnacceptableError(f"HDF5 cannot open it ({_short(error)})", DAMAGED) from None
    with opened:
        yield _contents(opened)


def _contents(opened: h5py.File) -> Contents:
    try:
        datasets = dict(_datasets(opened))
        order = {name: place for place, name in enumerate(_order(opened))}
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise UnacceptableError(f"HDF5 cannot read it ({_short(error)})", DAMAGED) from None
    names = sorted(datasets, key=lambda name: order.get(name, len(order)))
    kept = {n: datasets[n] for n in names if not set(_STATE) & set(n.split("/"))}
    notes = ()
    if len(kept) < len(datasets):
        notes = (f"{len(datasets) - len(kept)} values of its training were left out",)

    def read(name: str) -> Tensor:
        dataset = kept[name]
        values = np.empty(dataset.shape, dataset.dtype.newbyteorder("="))
        try:
            if values.size:
                dataset.read_direct(values)
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise UnacceptableError(
                f"{printable(name)} cannot be read ({_short(error)})", DAMAGED
            ) from None
        return torch.from_numpy(values)

    declared = {name: _declared(name, d) for name, d in kept.items()}
    return declared, read, notes, order.keys() >= kept.keys()


def _datasets(opened: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Every data set with its path, groups being entered once each."""
    seen: set[Any] = set()
    waiting: list[tuple[str, h5py.Group, int]] = [("", opened, 0)]
    count = 0
    while waiting:
        path, group, depth = waiting.pop()
        count += len(group)
        if count > MOST_TENSORS or depth > _DEPTH:
            raise UnacceptableError("it holds far more than weights", _REWRITE)
        for name in map(str, group):
            full = f"{path}/{name}".lstrip("/")
            found = _member(group, name, full)
            info = h5py.h5o.get_info(found.id)
            if info.addr in seen:
                raise UnacceptableError(
                    f"{printable(full)} in it is there under two names", _REWRITE
                )
            seen.add(info.addr)
            if isinstance(found, h5py.Group):
                waiting.append((full, found, depth + 1))
            else:
                _check(full, found)
                yield full, found


def _order(opened: h5py.File) -> Iterator[str]:
    """The paths of the weights, layer by layer, as Keras' older format lists them; else nothing."""
    top = "model_weights/" if "model_weights" in opened else ""
    group: Any = opened[top] if top else opened
    for layer in _names(group, "layer_names"):
        if layer in group:
            for weight in _names(group[layer], "weight_names"):
                yield f"{top}{layer}/{weight}"


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names beside a group; long ones Keras writes in parts: `layer_names0`, ..."""
    parts = [attribute] if attribute in group.attrs else []
    while f"{attribute}{len(parts)}" in group.attrs and attribute not in parts:
        parts.append(f"{attribute}{len(parts)}")
    names: list[str] = []
    for part in parts:
        about = group.attrs.get_id(part)
        count = prod(about.shape)
        if count > MOST_TENSORS or (count and about.get_storage_size() > _SMALL):
            return []  # of no values, HDF5 does not tell the size
        found = np.ravel(group.attrs[part]).tolist()
        plain = (n if isinstance(n, bytes) else str(n).encode(errors="replace") for n in found)
        names += [name.decode(errors="replace") for name in plain]
    return names


def _member(group: h5py.Group, name: str, full: str) -> h5py.Group | h5py.Dataset:
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        kind = {h5py.SoftLink: "a soft link", h5py.ExternalLink: "a link to another file"}
        where = f" ({printable(link.filename)})" if isinstance(link, h5py.ExternalLink) else ""
        raise UnacceptableError(
            f"{printable(full)} in it is {kind.get(type(link), 'no plain link')}{where}", _REWRITE
        )
    found = group[name]
    if not isinstance(found, h5py.Group | h5py.Dataset):
        raise UnacceptableError(f"{printable(full)} in it is neither group nor numbers", _REWRITE)
    return found


def _check(name: str, dataset: h5py.Dataset) -> None:
    """That the numbers stand in the file, unfiltered, and are all there.

    Where they stand is asked before the shape: a virtual data set opens other files for that.
    """
    what = f"{printable(name)} in it"
    how = dataset.id.get_create_plist()
    if how.get_layout() == h5py.h5d.VIRTUAL:
        raise UnacceptableError(f"{what} is put together from other files", _REWRITE)
    if how.get_external_count():
        raise UnacceptableError(f"{what} keeps its numbers in another file", _REWRITE)
    if how.get_nfilters():
        raise UnacceptableError(
            f"{what} is compressed or filtered", "unpack it: h5repack -f NONE OLD NEW"
        )
    if dataset.dtype.kind + str(dataset.dtype.itemsize) not in _DTYPES:
        kind = dataset.dtype.kind
        raise UnacceptableError(f"{what} holds no plain numbers (type {kind!r})", _REWRITE)
    shape = checked_shape(dataset.shape, name)
    size = prod(shape) * dataset.dtype.itemsize
    held = dataset.id.get_storage_size()
    if held < size:
        raise UnacceptableError(
            f"{what} is declared {size:,} bytes large and holds {held:,}", DAMAGED
        )
    if how.get_layout() == h5py.h5d.CHUNKED:
        chunk = prod(how.get_chunk()) * dataset.dtype.itemsize
        if chunk > max(size, _SMALL):
            raise UnacceptableError(f"{what} has chunks larger than itself", _REWRITE)


def _declared(name: str, dataset: h5py.Dataset) -> Declared:
    dtype = _DTYPES[dataset.dtype.kind + str(dataset.dtype.itemsize)]
    return Declared(checked_shape(dataset.shape, name), dtype)


def _short(error: Exception) -> str:
    return printable(str(error).splitlines()[0] if str(error) else type(error).__name__)
