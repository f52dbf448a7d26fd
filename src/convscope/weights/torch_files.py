"""Files of `torch.save`: today's ZIP archives, and torchvision's older runs of pickles."""

import io
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import torch
from torch import Tensor

from convscope.weights.archive import Span, beginning, stored
from convscope.weights.foreign import (
    DAMAGED,
    MOST_TENSORS,
    Declared,
    UnacceptableError,
    file_size,
    read_span,
)
from convscope.weights.pickling import LONGEST, REMEDY, Storage, Strided, interpret

LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "module", "weights")
_PREFIXES = ("module.", "model.", "_orig_mod.")
Contents = tuple[Mapping[str, Declared], Callable[[str], Tensor], tuple[str, ...]]


def read_archive(
    file: BinaryIO, archive: zipfile.ZipFile, named: Mapping[str, zipfile.ZipInfo]
) -> Contents:
    """The tensors of a file by `torch.save` since torch 1.6.

    Raises:
        UnacceptableError: it holds anything but tensors, or is damaged.
    """
    main = next(name for name in named if name.endswith("/data.pkl"))
    folder = main.removesuffix("data.pkl")
    if f"{folder}constants.pkl" in named or any(n.startswith(f"{folder}code/") for n in named):
        raise UnacceptableError(
            "it is a TorchScript program, which holds code",
            "nothing of it was run; load it where it comes from and save its state_dict()",
        )
    stored_plainly = "nothing was unpacked; save it again with torch.save"
    if named[main].file_size > LONGEST:
        raise UnacceptableError(f"its pickle has {named[main].file_size:,} bytes", REMEDY)
    span = stored(file, named[main], stored_plainly)
    content = interpret(io.BytesIO(bytes(read_span(file, span.start, span.length))))
    order = named.get(f"{folder}byteorder")
    if order is not None and beginning(archive, order, 16) != b"little":
        raise UnacceptableError("its numbers are big-endian", "save it again on this machine")

    def place(storage: Storage) -> int:
        info = named.get(f"{folder}data/{storage.key}")
        if info is None:
            raise UnacceptableError("it lacks the numbers of a tensor", DAMAGED)
        span = stored(file, info, stored_plainly)
        return _whole(storage, span)

    return _contents(file, content, place)


def read_legacy(file: BinaryIO) -> Contents:
    """The tensors of a file by `torch.save` before torch 1.6: five pickles, then the numbers.

    Raises:
        UnacceptableError: it holds anything but tensors, or is damaged.
    """
    file.seek(0)
    stream = io.BytesIO(file.read(LONGEST))
    interpret(stream)  # a magic number, by which the file was recognised
    interpret(stream)  # the version: one
    system = interpret(stream)
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise UnacceptableError("its numbers are big-endian", "save it again on this machine")
    content, keys = interpret(stream), interpret(stream)
    tensors, _ = _tensors(content)
    sizes = {t.storage.key: t.storage for t in _every(content)}
    if not isinstance(keys, list) or not all(isinstance(k, str) and k in sizes for k in keys):
        raise UnacceptableError("its list of numbers is not that of its tensors", DAMAGED)
    places, start = {}, stream.tell()
    for key in keys:
        storage = sizes[key]
        length = int.from_bytes(read_span(file, start, 8), "little")
        if length != storage.length:
            raise UnacceptableError("a tensor in it has another size than it says", DAMAGED)
        span = Span(start + 8, length * storage.dtype.itemsize)
        if span.start + span.length > file_size(file):
            raise UnacceptableError("it ends in the middle of a tensor", DAMAGED)
        places[key] = _whole(storage, span)
        start = span.start + span.length
    if any(t.storage.key not in places for t in tensors.values()):
        raise UnacceptableError("it lacks the numbers of a tensor", DAMAGED)
    return _contents(file, content, lambda storage: places[storage.key])


def _contents(file: BinaryIO, content: Any, place: Callable[[Storage], int]) -> Contents:
    tensors, notes = _tensors(content)
    starts = {name: place(tensor.storage) for name, tensor in tensors.items()}

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

    declared = {name: Declared(t.shape, t.storage.dtype) for name, t in tensors.items()}
    return declared, read, notes


def _whole(storage: Storage, span: Span) -> int:
    if span.length < storage.length * storage.dtype.itemsize:
        raise UnacceptableError("a tensor in it is larger than its numbers", DAMAGED)
    return span.start


def _tensors(content: Any) -> tuple[dict[str, Strided], tuple[str, ...]]:
    """The tensors by name, without what wraps them; and what was unwrapped."""
    notes: list[str] = []
    while isinstance(content, dict) and not _named_tensors(content) and len(notes) < 3:
        wrapper = next((w for w in _WRAPPERS if isinstance(content.get(w), dict)), None)
        if wrapper is None:
            break
        notes.append(f"the tensors are those under {wrapper!r} in the file")
        content = content[wrapper]
    if isinstance(content, Strided):
        raise UnacceptableError("it holds one tensor without a name", REMEDY)
    tensors = _named_tensors(content) if isinstance(content, dict) else {}
    if not tensors:
        raise UnacceptableError("it holds no named tensors", REMEDY)
    if len(tensors) > MOST_TENSORS:
        raise UnacceptableError(f"it holds {len(tensors):,} tensors", REMEDY)
    while prefix := next((p for p in _PREFIXES if all(n.startswith(p) for n in tensors)), None):
        notes.append(f"the names are those in the file without {prefix!r}")
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors, tuple(notes)


def _named_tensors(content: dict[Any, Any]) -> dict[str, Strided]:
    return {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Strided)}


def _every(content: Any) -> list[Strided]:
    """Every tensor anywhere in what a pickle describes, each part looked at once."""
    seen: set[int] = set()
    waiting, found = [content], []
    while waiting:
        part = waiting.pop()
        if isinstance(part, Strided):
            found.append(part)
        elif isinstance(part, dict | list | tuple) and id(part) not in seen:
            seen.add(id(part))
            waiting.extend(part.values() if isinstance(part, dict) else part)
    return found


def what_a_pickle_wants(head: bytes) -> UnacceptableError | None:
    """Why a file that begins with `head` is refused, where it is a pickle and no torch file."""
    try:
        interpret(io.BytesIO(head))
    except UnacceptableError as error:
        return error if error.remedy == REMEDY else None
    return (
        UnacceptableError("it is a pickle without tensors", REMEDY) if head[:1] == b"\x80" else None
    )
