"""Read files of `torch.save`: ZIP archives since torch 1.6, and the older format before it."""

import io
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import torch
from torch import Tensor

from convscope.weights.archive import Span, read_beginning, stored_span
from convscope.weights.pickling import MAX_PICKLE_BYTES, REMEDY, Storage, StridedTensor, interpret
from convscope.weights.weights_file import (
    DAMAGED,
    MAX_TENSORS,
    TensorInfo,
    UnacceptableError,
    file_size,
    read_span,
)

LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "module", "weights")
_PREFIXES = ("module.", "model.", "_orig_mod.")
Contents = tuple[Mapping[str, TensorInfo], Callable[[str], Tensor], tuple[str, ...]]


def read_archive(
    file: BinaryIO, archive: zipfile.ZipFile, named: Mapping[str, zipfile.ZipInfo]
) -> Contents:
    """The tensors of a file that `torch.save` wrote since torch 1.6.

    Raises:
        UnacceptableError: the file contains more than tensors, or is damaged.
    """
    main = next(name for name in named if name.endswith("/data.pkl"))
    folder = main.removesuffix("data.pkl")
    if f"{folder}constants.pkl" in named or any(n.startswith(f"{folder}code/") for n in named):
        raise UnacceptableError(
            "it is a TorchScript program, which contains code",
            "none of it was executed; load it where it comes from and save its state_dict()",
        )
    save_again = "nothing was decompressed; save it again with torch.save"
    if named[main].file_size > MAX_PICKLE_BYTES:
        raise UnacceptableError(f"its pickle has {named[main].file_size:,} bytes", REMEDY)
    span = stored_span(file, named[main], save_again)
    content = interpret(io.BytesIO(bytes(read_span(file, span.start, span.length))))
    order = named.get(f"{folder}byteorder")
    if order is not None and read_beginning(archive, order, 16) != b"little":
        raise UnacceptableError("its numbers are big-endian", "save it again on this machine")

    def start_of(storage: Storage) -> int:
        info = named.get(f"{folder}data/{storage.key}")
        if info is None:
            raise UnacceptableError("it lacks the numbers of a tensor", DAMAGED)
        return _checked_start(storage, stored_span(file, info, save_again))

    return _contents(file, content, start_of)


def read_legacy(file: BinaryIO) -> Contents:
    """The tensors of a file that `torch.save` wrote before torch 1.6: five pickles, then numbers.

    Raises:
        UnacceptableError: the file contains more than tensors, or is damaged.
    """
    file.seek(0)
    stream = io.BytesIO(file.read(MAX_PICKLE_BYTES))
    interpret(stream)  # the magic number, by which the format was detected
    interpret(stream)  # the protocol version
    system = interpret(stream)
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise UnacceptableError("its numbers are big-endian", "save it again on this machine")
    content, keys = interpret(stream), interpret(stream)
    tensors, _ = _tensors(content)
    storages = {t.storage.key: t.storage for t in _all_tensors(content)}
    if not isinstance(keys, list) or not all(isinstance(k, str) and k in storages for k in keys):
        raise UnacceptableError("its list of storages does not match its tensors", DAMAGED)
    starts, start = {}, stream.tell()
    for key in keys:
        storage = storages[key]
        length = int.from_bytes(read_span(file, start, 8), "little")
        if length != storage.length:
            raise UnacceptableError("a tensor in it has another size than declared", DAMAGED)
        span = Span(start + 8, length * storage.dtype.itemsize)
        if span.start + span.length > file_size(file):
            raise UnacceptableError("it ends in the middle of a tensor", DAMAGED)
        starts[key] = _checked_start(storage, span)
        start = span.start + span.length
    if any(t.storage.key not in starts for t in tensors.values()):
        raise UnacceptableError("it lacks the numbers of a tensor", DAMAGED)
    return _contents(file, content, lambda storage: starts[storage.key])


def _contents(file: BinaryIO, content: Any, start_of: Callable[[Storage], int]) -> Contents:
    tensors, notes = _tensors(content)
    starts = {name: start_of(tensor.storage) for name, tensor in tensors.items()}

    def read(name: str) -> Tensor:
        tensor = tensors[name]
        dtype = tensor.storage.dtype
        if 0 in tensor.shape:
            return torch.empty(tensor.shape, dtype=dtype)
        pairs = zip(tensor.shape, tensor.strides, strict=True)
        length = 1 + sum((side - 1) * step for side, step in pairs)
        start = starts[name] + tensor.offset * dtype.itemsize
        numbers = read_span(file, start, length * dtype.itemsize)
        return torch.frombuffer(numbers, dtype=dtype).as_strided(tensor.shape, tensor.strides)

    declared = {name: TensorInfo(t.shape, t.storage.dtype) for name, t in tensors.items()}
    return declared, read, notes


def _checked_start(storage: Storage, span: Span) -> int:
    """The first byte of a storage, after a check that all of its numbers are in the file."""
    if span.length < storage.length * storage.dtype.itemsize:
        raise UnacceptableError("a tensor in it is larger than its storage", DAMAGED)
    return span.start


def _tensors(content: Any) -> tuple[dict[str, StridedTensor], tuple[str, ...]]:
    """The tensors by name, without wrapping dicts and common prefixes; and notes about both."""
    notes: list[str] = []
    while isinstance(content, dict) and not _named_tensors(content) and len(notes) < 3:
        wrapper = next((w for w in _WRAPPERS if isinstance(content.get(w), dict)), None)
        if wrapper is None:
            break
        notes.append(f"the tensors were read from {wrapper!r} in the file")
        content = content[wrapper]
    if isinstance(content, StridedTensor):
        raise UnacceptableError("it contains one tensor without a name", REMEDY)
    tensors = _named_tensors(content) if isinstance(content, dict) else {}
    if not tensors:
        raise UnacceptableError("it contains no named tensors", REMEDY)
    if len(tensors) > MAX_TENSORS:
        raise UnacceptableError(f"it contains {len(tensors):,} tensors", REMEDY)
    while prefix := next((p for p in _PREFIXES if all(n.startswith(p) for n in tensors)), None):
        notes.append(f"the prefix {prefix!r} was removed from the names")
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors, tuple(notes)


def _named_tensors(content: dict[Any, Any]) -> dict[str, StridedTensor]:
    return {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, StridedTensor)}


def _all_tensors(content: Any) -> list[StridedTensor]:
    """All tensors in the nested containers of a pickle. Each container is visited once."""
    seen: set[int] = set()
    pending, tensors = [content], []
    while pending:
        part = pending.pop()
        if isinstance(part, StridedTensor):
            tensors.append(part)
        elif isinstance(part, dict | list | tuple) and id(part) not in seen:
            seen.add(id(part))
            pending.extend(part.values() if isinstance(part, dict) else part)
    return tensors


def refusal_of_pickle(head: bytes) -> UnacceptableError | None:
    """The error for a plain pickle, which is not a torch file; None if `head` is not a pickle.

    Args:
        head: the first bytes of the file, at most `MAX_PICKLE_BYTES`.
    """
    try:
        interpret(io.BytesIO(head))
    except UnacceptableError as error:
        return error if error.remedy == REMEDY else None
    return (
        UnacceptableError("it is a pickle without tensors", REMEDY) if head[:1] == b"\x80" else None
    )
