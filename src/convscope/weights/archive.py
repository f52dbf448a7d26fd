"""ZIP files of strangers: how members are found without unpacking anything."""

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from convscope.weights.foreign import DAMAGED, MOST_TENSORS, UnacceptableError, file_size, printable

_LOCAL = struct.Struct("<4s5H3I2H")
_LARGEST_READ = 4 << 20

# What zipfile and the decompressors raise on damaged members.
UNPACKING = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError)


@dataclass(frozen=True)
class Span:
    """Bytes of a file that stand as they are: no compression."""

    start: int
    length: int


class Window(io.RawIOBase):
    """A span of a file as a file of its own, to be read alone."""

    def __init__(self, file: BinaryIO, span: Span) -> None:
        self._file, self._span, self._place = file, span, 0

    def readable(self) -> bool:  # noqa: D102 (as of io)
        return True

    def seekable(self) -> bool:  # noqa: D102
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:  # noqa: D102
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._span.length}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:  # noqa: D102
        return self._place

    def readinto(self, buffer) -> int:  # noqa: ANN001, D102 (any buffer)
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._span.length - self._place))
        self._file.seek(self._span.start + self._place)
        count = self._file.readinto(view[:count])  # pyright: ignore[reportAttributeAccessIssue]
        self._place += count
        return count


class _Careful(io.BufferedReader):
    """Refuses to read a list of members that is itself a bomb."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > _LARGEST_READ:
            raise zipfile.BadZipFile("its list of members is too long")
        return super().read(size)


def members(file: BinaryIO) -> tuple[zipfile.ZipFile, Mapping[str, zipfile.ZipInfo]]:
    """The archive and its members by name; nothing is unpacked.

    Raises:
        UnacceptableError: it is damaged, encrypted, holds a name twice, or far too many.
    """
    try:
        raw = Window(file, Span(0, file_size(file)))
        archive = zipfile.ZipFile(_Careful(raw, 1 << 16))
        infos = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, struct.error, NotImplementedError) as error:
        raise UnacceptableError(f"its ZIP archive cannot be read ({error})", DAMAGED) from None
    if len(infos) > MOST_TENSORS:
        raise UnacceptableError(
            f"its ZIP archive has {len(infos):,} members", "give a file with the weights alone"
        )
    named = {info.filename: info for info in infos}
    if len(named) < len(infos):
        raise UnacceptableError("its ZIP archive holds a name twice", DAMAGED)
    for info in infos:
        if info.flag_bits & 1:
            raise UnacceptableError(
                f"{printable(info.filename)} in it is encrypted", "decrypt it first"
            )
    return archive, named


def stored(file: BinaryIO, info: zipfile.ZipInfo, remedy: str) -> Span:
    """Where the bytes of a member stand.

    Raises:
        UnacceptableError: it is compressed, or reaches beyond the file.
    """
    name = printable(info.filename)
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise UnacceptableError(
            f"{name} in it is compressed, from {info.compress_size:,} to {info.file_size:,} bytes "
            "by its own account",
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


def beginning(archive: zipfile.ZipFile, info: zipfile.ZipInfo, length: int) -> bytes:
    """The first `length` bytes of a member, or all of them where it is shorter.

    Raises:
        UnacceptableError: the member is damaged.
    """
    try:
        with archive.open(info) as member:
            return member.read(length)
    except (*UNPACKING, ValueError, RuntimeError) as error:
        name = printable(info.filename)
        raise UnacceptableError(f"{name} in it cannot be unpacked ({error})", DAMAGED) from None
