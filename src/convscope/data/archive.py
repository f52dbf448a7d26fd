"""Archives (zip, tar) as folders in the cache: extracted whole or not at all, and nothing outside.

Nothing that an archive says of itself is believed: names are checked before a file is made, bytes
are counted while they are written, checksums are verified to the last byte. Refused are

- names that are absolute or hold `..`, a drive letter, a backslash or control characters;
- the same name twice;
- links, devices, pipes, encrypted members;
- more than `MAX_MEMBERS` members, more than `MAX_BYTES` bytes once extracted, or more than `SPARE`
  and `RATIO` times the archive;
- what is damaged or cut off.
"""

import bz2
import fcntl
import gzip
import hashlib
import lzma
import os
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from convscope.base.download import Progress, no_progress
from convscope.base.errors import DataError
from convscope.base.storage import make_folder

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MAX_MEMBERS = 2_000_000
MAX_BYTES = 50_000_000_000
SPARE = 100_000_000
RATIO = 200  # photos hardly shrink, drawings and masks some fifty times

_CHUNK = 1 << 20
_LARGEST_READ = 1 << 24  # a tar's extended header is read at once, whatever size it claims
_OPENERS: dict[bytes, Callable[[IO[bytes], str], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
# What zipfile, tarfile and the decompressors raise on damaged archives, beside OSError.
_DAMAGED = (
    EOFError,
    LookupError,
    MemoryError,
    OverflowError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


def is_archive(path: Path) -> bool:
    """Whether the file's first bytes are those of a zip, a tar or a compressed file."""
    try:
        with open(path, "rb") as file:
            start = file.read(512)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    return start.startswith((b"PK\x03\x04", b"PK\x05\x06", *_OPENERS)) or _is_tar(start)


def extracted(archive: Path, cache: Path, progress: Progress = no_progress) -> Path:
    """The folder in `cache` that holds what `archive` holds; extracted the first time.

    The folder is named by the archive's SHA-256, so a changed archive is another folder. Hidden
    files and `__MACOSX` are left out. A process that finds another one extracting waits for it.
    `progress` is told the archive's name, and the bytes of it that were gone through and all.

    Raises:
        DataError: naming archive, member and reason (the table above), or no room on the disk.
    """
    make_folder(cache)
    try:
        with open(archive, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        target = cache / digest
        if target.is_dir():
            return target
        # The system lets go of the lock when its holder ends, however it ends: whoever has it
        # knows that every unfinished folder is a dead attempt.
        with open(cache / ".lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for dead in cache.glob(".*.part"):
                shutil.rmtree(dead)
            if target.is_dir():
                return target
            room = cache / f".{digest}.part"
            room.mkdir()
            try:
                _extract(archive, room, progress)
                os.sync()  # one for all files; a rename must not reach the disk before them
                room.replace(target)
            finally:
                shutil.rmtree(room, ignore_errors=True)
    except OSError as error:
        where = error.filename or cache
        raise DataError(f"cannot extract {archive}: {where}: {error.strerror or error}") from error
    return target


@dataclass(frozen=True)
class _Member:
    """One entry of an archive: `refused` says what it is where it is no file or folder."""

    name: str
    size: int
    is_folder: bool
    refused: str | None
    open: Callable[[], IO[bytes] | None]


def _extract(archive: Path, room: Path, progress: Progress) -> None:
    limit = min(MAX_BYTES, SPARE + RATIO * archive.stat().st_size)
    with open(archive, "rb") as file:
        is_zip = file.read(2) == b"PK"
    try:
        if is_zip:
            members = _zip_members(archive, room, limit, progress)
        else:
            members = _tar_members(archive, limit, progress)
        _write_all(archive, room, members, limit)
    except (*_DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk; decompressors raise OSError without a number
        raise DataError(
            f"{archive} is damaged or cut off ({error}); copy or download it again"
        ) from error


def _write_all(archive: Path, room: Path, members: Iterator[_Member], limit: int) -> None:
    made: set[str] = set()
    files: set[str] = set()
    total = 0
    for number, member in enumerate(members, 1):
        name = _safe_name(archive, member.name)
        if number > MAX_MEMBERS:
            raise DataError(f"{archive} holds more than {MAX_MEMBERS:,} files; split it up")
        if not name or _hidden(name):
            continue
        if member.refused:
            raise _refusal(archive, member.name, f"is {member.refused}")
        folder = name if member.is_folder else name.rpartition("/")[0]
        if folder not in made:
            _make(archive, member.name, room, folder)
            made.add(folder)
        if member.is_folder:
            continue
        if name in files:
            raise _refusal(archive, member.name, "is there twice")
        if (room / name).is_dir():
            raise _refusal(archive, member.name, "is both a file and a folder")
        files.add(name)
        source = member.open()
        if source is None:
            raise _refusal(archive, member.name, "holds no file")
        with source, open(room / name, "xb") as target:
            while chunk := source.read(_CHUNK):
                total += len(chunk)
                if total > limit:
                    raise _too_large(archive, limit)
                target.write(chunk)
    if not files:
        raise DataError(f"{archive} holds no files")


def _make(archive: Path, member: str, room: Path, folder: str) -> None:
    try:
        (room / folder).mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise _refusal(archive, member, "needs a folder where a file is") from None


def _safe_name(archive: Path, name: str) -> str:
    """The member's name without empty and `.` parts; "" for the top itself."""
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", name):
        raise _refusal(archive, name, "has control characters or bytes that are not UTF-8")
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        raise _refusal(archive, name, "has an absolute path")
    if "\\" in name:
        raise _refusal(archive, name, "has a backslash in its name")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise _refusal(archive, name, "leads out of the folder")
    return "/".join(parts)


def _hidden(name: str) -> bool:
    passed_over = ("__MACOSX", "Thumbs.db", "desktop.ini")
    return any(part.startswith(".") or part in passed_over for part in name.split("/"))


def _refusal(archive: Path, member: str, reason: str) -> DataError:
    remedy = "nothing was extracted; pack it again with plain files alone, or extract it yourself"
    return DataError(f"{archive}: member {member!r} {reason}; {remedy}")


def _too_large(archive: Path, limit: int) -> DataError:
    return DataError(
        f"{archive} would grow to more than {limit / 1e9:,.1f} GB (allowed are "
        f"{MAX_BYTES / 1e9:,.0f} GB, and {RATIO} times the archive); nothing was extracted; "
        "if you trust it, extract it yourself"
    )


def _zip_members(archive: Path, room: Path, limit: int, progress: Progress) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        entries = file.infolist()
        promised = sum(entry.file_size for entry in entries)
        free = shutil.disk_usage(room).free
        if promised > limit:
            raise _too_large(archive, limit)
        if promised > free:
            raise DataError(
                f"{archive} needs {promised / 1e9:,.1f} GB in {room.parent}, where "
                f"{free / 1e9:,.1f} GB are free; make room, or set CONVSCOPE_CACHE to a folder on "
                "a larger disk"
            )
        done = 0
        for entry in entries:
            kind = stat.S_IFMT(entry.external_attr >> 16)
            refused = None
            if entry.flag_bits & 1:
                refused = "encrypted"
            elif entry.compress_type not in (0, 8, 12, 14):
                refused = f"compressed in a way we do not read (method {entry.compress_type})"
            elif kind == stat.S_IFLNK:
                refused = "a link"
            elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                refused = "a device or pipe"
            # What stands behind a zero byte in the name is seen in the original name alone.
            yield _Member(
                entry.orig_filename, entry.file_size, entry.is_dir(), refused,
                lambda entry=entry: file.open(entry),
            )  # fmt: skip
            done += entry.file_size
            progress(archive.name, done, promised)


def _tar_members(archive: Path, limit: int, progress: Progress) -> Iterator[_Member]:
    size = archive.stat().st_size
    with open(archive, "rb") as raw, _decompressed(raw) as file:
        stream: Any = _Metered(file, archive, limit)
        try:
            tar = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 (closed below)
        except tarfile.ReadError as error:
            raise DataError(
                f"{archive} is compressed, but what it holds is no tar ({error}); give a folder, "
                f"an archive ({', '.join(ENDINGS)}) or a CSV manifest"
            ) from error
        with tar:
            while (entry := tar.next()) is not None:
                vars(tar)["members"].clear()  # two million would fill memory
                refused = None
                if entry.issym() or entry.islnk():
                    refused = "a link"
                elif not (entry.isfile() or entry.isdir()):
                    refused = "a device or pipe"
                yield _Member(
                    entry.name, entry.size, entry.isdir(), refused,
                    lambda entry=entry: tar.extractfile(entry),
                )  # fmt: skip
                progress(archive.name, raw.tell(), size)
            if any(stream.last) or len(stream.last) != tarfile.BLOCKSIZE:
                raise tarfile.ReadError("the end is missing")
            while stream.read(_CHUNK):  # to the checksum at the end
                pass


def _decompressed(raw: IO[bytes]) -> Any:
    start = raw.read(6)
    raw.seek(0)
    opener = next((how for magic, how in _OPENERS.items() if start.startswith(magic)), None)
    return opener(raw, "rb") if opener else raw


class _Metered:
    """A stream read forwards, in parts of bounded size, up to a bounded length."""

    def __init__(self, file: Any, archive: Path, limit: int) -> None:
        self._file, self._archive, self._limit = file, archive, limit
        self._place = 0
        self.last = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise tarfile.ReadError(f"a header claims {size:,} bytes")
        self.last = self._file.read(size)
        self._place += len(self.last)
        if self._place > self._limit:
            raise _too_large(self._archive, self._limit)
        return self.last

    def seek(self, place: int) -> None:
        if place < self._place:
            raise tarfile.ReadError("members overlap")
        while self._place < place and self.read(min(_CHUNK, place - self._place)):
            pass

    def tell(self) -> int:
        return self._place


def _is_tar(start: bytes) -> bool:
    """Whether the first block is a tar header: its checksum is right."""
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True
