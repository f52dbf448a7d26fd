"""Untrusted ZIP files: locate and check members without decompressing them."""

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from convscope.weights.weights_file import (
    DAMAGED,
    MAX_TENSORS,
    UnacceptableError,
    file_size,
    printable,
)

_LOCAL = struct.Struct("<4s5H3I2H")
_LARGEST_READ = 4 << 20

# What zipfile and the decompressors raise on damaged members.
UNPACKING = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError)


@dataclass(frozen=True)
class Span:
    """A range of uncompressed bytes in a file."""

    start: int
    length: int


class Window(io.RawIOBase):
    """A read-only file object for a span of another file."""

    def __init__(self, file: BinaryIO, span: Span) -> None:
        self._file, self._span, self._position = file, span, 0

    def readable(self) -> bool:  # noqa: D102 (documented in io)
        return True

    def seekable(self) -> bool:  # noqa: D102
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:  # noqa: D102
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._span.length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:  # noqa: D102
        return self._position

    def readinto(self, buffer) -> int:  # noqa: ANN001, D102 (any buffer)
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._span.length - self._position))
        self._file.seek(self._span.start + self._position)
        count = self._file.readinto(view[:count])  # pyright: ignore[reportAttributeAccessIssue]
        self._position += count
        return count


class _BoundedReader(io.BufferedReader):
    """Limits the size of a read: zipfile reads the whole list of members, whatever size it has."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > _LARGEST_READ:
            raise zipfile.BadZipFile("its list of members is too long")
        return super().read(size)


def read_members(file: BinaryIO) -> tuple[zipfile.ZipFile, Mapping[str, zipfile.ZipInfo]]:
    """Opens an archive; returns it with its members by name. Nothing is decompressed.

    Raises:
        UnacceptableError: the archive is damaged or encrypted, or has a name twice or too many
            members.
    """
    try:
        raw = Window(file, Span(0, file_size(file)))
        archive = zipfile.ZipFile(_BoundedReader(raw, 1 << 16))
        infos = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, struct.error, NotImplementedError) as error:
        raise UnacceptableError(f"its ZIP archive cannot be read ({error})", DAMAGED) from None
    if len(infos) > MAX_TENSORS:
        raise UnacceptableError(
            f"its ZIP archive has {len(infos):,} members", "give a file with only the weights"
        )
    named = {info.filename: info for info in infos}
    if len(named) < len(infos):
        raise UnacceptableError("its ZIP archive has two members of the same name", DAMAGED)
    for info in infos:
        if info.flag_bits & 1:
            raise UnacceptableError(
                f"{printable(info.filename)} in it is encrypted", "decrypt it first"
            )
    return archive, named


def stored_span(file: BinaryIO, info: zipfile.ZipInfo, remedy: str) -> Span:
    """The span of an uncompressed member in the file.

    Raises:
        UnacceptableError: the member is compressed, or reaches beyond the end of the file.
    """
    name = printable(info.filename)
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise UnacceptableError(
            f"{name} in it is compressed: {info.file_size:,} bytes in {info.compress_size:,}",
            remedy,
        )
    file.seek(max(0, info.header_offset))
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size or header[:4] != b"PK\3\4":
        raise UnacceptableError(f"{name} in it is not where the ZIP archive says", DAMAGED)
    *_, name_length, extra_length = _LOCAL.unpack(header)
    start = info.header_offset + _LOCAL.size + name_length + extra_length
    if start + info.file_size > file_size(file):
        raise UnacceptableError(f"{name} in it reaches beyond the end of the file", DAMAGED)
    return Span(start, info.file_size)


def read_beginning(archive: zipfile.ZipFile, info: zipfile.ZipInfo, length: int) -> bytes:
    """The first `length` bytes of a member, or all of them if it is shorter.

    Raises:
        UnacceptableError: the member is damaged.
    """
    try:
        with archive.open(info) as member:
            return member.read(length)
    except (*UNPACKING, ValueError, RuntimeError) as error:
        name = printable(info.filename)
        raise UnacceptableError(f"{name} in it cannot be decompressed ({error})", DAMAGED) from None
