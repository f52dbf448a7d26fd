"""Safe extraction of zip and tar archives into folders of the cache, completely or not at all.

Archives are untrusted: names are checked before a file is created, bytes are counted while they are
written, and checksums are verified to the end of the archive. These cause an error:

- a name that is absolute or contains `..`, a drive letter, a backslash or control characters;
- the same name twice;
- a link, device, pipe or encrypted member;
- more than `MAX_MEMBERS` members, more than `MAX_BYTES` extracted bytes, or more extracted bytes
  than `MIN_BYTES` plus `MAX_RATIO` times the size of the archive;
- damage or truncation.
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
MIN_BYTES = 100_000_000  # small archives may extract to this size, whatever the ratio
MAX_RATIO = 200  # photos hardly compress; drawings and masks compress about fifty times

_CHUNK = 1 << 20
_LARGEST_READ = 1 << 24  # tarfile reads an extended header at once, whatever size it claims
_OPENERS: dict[bytes, Callable[[IO[bytes], str], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
# What zipfile, tarfile and the decompressors raise on damaged archives, in addition to OSError.
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
    """Whether the first bytes of the file are those of a zip, a tar or a compressed file.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(512)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    return start.startswith((b"PK\x03\x04", b"PK\x05\x06", *_OPENERS)) or _is_tar(start)


def extract_archive(archive: Path, cache: Path, progress: Progress = no_progress) -> Path:
    """Extracts `archive` to a folder in `cache`, unless it is there already; returns the folder.

    The folder is named after the archive's SHA-256, so a changed archive gets another folder.
    Hidden files and `__MACOSX` are left out. If another process is extracting, this one waits.

    Args:
        archive: a file for which `is_archive` is true.
        cache: the parent folder; it is created if necessary.
        progress: called with the archive's name, the bytes read so far and their total number.

    Raises:
        DataError: the archive breaks a rule of the module's docstring (the message names archive,
            member and reason), or the disk is full.
    """
    make_folder(cache)
    try:
        with open(archive, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        target = cache / digest
        if target.is_dir():
            return target
        # The operating system releases the lock when its holder ends, even by a kill. So all
        # unfinished folders belong to dead processes, and the holder may delete them.
        with open(cache / ".lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for unfinished in cache.glob(".*.part"):
                shutil.rmtree(unfinished)
            if target.is_dir():  # another process extracted it while this one waited
                return target
            temporary = cache / f".{digest}.part"
            temporary.mkdir()
            try:
                _extract(archive, temporary, progress)
                os.sync()  # the files must reach the disk before the rename does
                temporary.replace(target)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        path = error.filename or cache
        raise DataError(f"cannot extract {archive}: {path}: {error.strerror or error}") from error
    return target


@dataclass(frozen=True)
class _Member:
    """One entry of an archive.

    Attributes:
        name: as stored in the archive, not checked yet.
        size: in bytes, as the archive claims.
        is_folder: whether it is a folder.
        refused: what it is, if it is neither a plain file nor a folder; otherwise None.
        open: opens its content; None for a folder.
    """

    name: str
    size: int
    is_folder: bool
    refused: str | None
    open: Callable[[], IO[bytes] | None]


def _extract(archive: Path, folder: Path, progress: Progress) -> None:
    limit = min(MAX_BYTES, MIN_BYTES + MAX_RATIO * archive.stat().st_size)
    with open(archive, "rb") as file:
        is_zip = file.read(2) == b"PK"
    try:
        if is_zip:
            members = _zip_members(archive, folder, limit, progress)
        else:
            members = _tar_members(archive, limit, progress)
        _write_members(archive, folder, members, limit)
    except (*_DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of the disk; decompressors raise OSError without a number
        raise DataError(
            f"{archive} is damaged or truncated ({error}); copy or download it again"
        ) from error


def _write_members(archive: Path, root: Path, members: Iterator[_Member], limit: int) -> None:
    folders: set[str] = set()
    files: set[str] = set()
    total = 0
    for number, member in enumerate(members, 1):
        name = _safe_name(archive, member.name)
        if number > MAX_MEMBERS:
            raise DataError(f"{archive} has more than {MAX_MEMBERS:,} members; split it up")
        if not name or _hidden(name):
            continue
        if member.refused:
            raise _refusal(archive, member.name, f"is {member.refused}")
        folder = name if member.is_folder else name.rpartition("/")[0]
        if folder not in folders:
            _create_folder(archive, member.name, root, folder)
            folders.add(folder)
        if member.is_folder:
            continue
        if name in files:
            raise _refusal(archive, member.name, "occurs twice")
        if (root / name).is_dir():
            raise _refusal(archive, member.name, "is both a file and a folder")
        files.add(name)
        source = member.open()
        if source is None:
            raise _refusal(archive, member.name, "has no content")
        with source, open(root / name, "xb") as target:
            while chunk := source.read(_CHUNK):
                total += len(chunk)
                if total > limit:
                    raise _too_large(archive, limit)
                target.write(chunk)
    if not files:
        raise DataError(f"{archive} has no files in it; give an archive of class folders")


def _create_folder(archive: Path, member: str, root: Path, folder: str) -> None:
    try:
        (root / folder).mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise _refusal(archive, member, "needs a folder where a file is") from None


def _safe_name(archive: Path, name: str) -> str:
    """The member's name without empty and `.` parts; "" for the top folder itself."""
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", name):
        raise _refusal(archive, name, "has control characters or bytes that are not UTF-8")
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        raise _refusal(archive, name, "has an absolute path")
    if "\\" in name:
        raise _refusal(archive, name, "has a backslash in its name")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise _refusal(archive, name, "leads outside the archive's folder")
    return "/".join(parts)


def _hidden(name: str) -> bool:
    ignored = ("__MACOSX", "Thumbs.db", "desktop.ini")
    return any(part.startswith(".") or part in ignored for part in name.split("/"))


def _refusal(archive: Path, member: str, reason: str) -> DataError:
    remedy = "nothing was extracted; pack it again with plain files only, or extract it yourself"
    return DataError(f"{archive}: member {member!r} {reason}; {remedy}")


def _too_large(archive: Path, limit: int) -> DataError:
    return DataError(
        f"{archive} would extract to more than {limit / 1e9:,.1f} GB (the limits are "
        f"{MAX_BYTES / 1e9:,.0f} GB and {MAX_RATIO} times the archive's size); nothing was "
        "extracted; if you trust it, extract it yourself"
    )


def _zip_members(archive: Path, folder: Path, limit: int, progress: Progress) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        entries = file.infolist()
        claimed = sum(entry.file_size for entry in entries)
        free = shutil.disk_usage(folder).free
        if claimed > limit:
            raise _too_large(archive, limit)
        if claimed > free:
            raise DataError(
                f"{archive} needs {claimed / 1e9:,.1f} GB in {folder.parent}, where "
                f"{free / 1e9:,.1f} GB are free; free some space, or set CONVSCOPE_CACHE to a "
                "folder on a larger disk"
            )
        done = 0
        for entry in entries:
            kind = stat.S_IFMT(entry.external_attr >> 16)
            refused = None
            if entry.flag_bits & 1:
                refused = "encrypted"
            elif entry.compress_type not in (0, 8, 12, 14):
                refused = f"compressed by an unsupported method ({entry.compress_type})"
            elif kind == stat.S_IFLNK:
                refused = "a link"
            elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                refused = "a device or pipe"
            # zipfile cuts `filename` at a zero byte; only `orig_filename` shows the rest.
            yield _Member(
                entry.orig_filename, entry.file_size, entry.is_dir(), refused,
                lambda entry=entry: file.open(entry),
            )  # fmt: skip
            done += entry.file_size
            progress(archive.name, done, claimed)


def _tar_members(archive: Path, limit: int, progress: Progress) -> Iterator[_Member]:
    size = archive.stat().st_size
    with open(archive, "rb") as raw, _decompressed(raw) as file:
        stream: Any = _BoundedStream(file, archive, limit)
        try:
            tar = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 (closed below)
        except tarfile.ReadError as error:
            raise DataError(
                f"{archive} is compressed, but its content is not a tar ({error}); give a folder, "
                f"an archive ({', '.join(ENDINGS)}) or a CSV manifest"
            ) from error
        with tar:
            while (entry := tar.next()) is not None:
                vars(tar)["members"].clear()  # tarfile keeps them all: two million fill memory
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
            while stream.read(_CHUNK):  # decompressors verify the checksum at the end
                pass


def _decompressed(raw: IO[bytes]) -> Any:
    start = raw.read(6)
    raw.seek(0)
    opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)
    return opener(raw, "rb") if opener else raw


class _BoundedStream:
    """A forward-only stream with limits on the size of one read and on the total length.

    Seeking backwards is an error, because it would let members of a tar overlap.
    """

    def __init__(self, file: Any, archive: Path, limit: int) -> None:
        self._file, self._archive, self._limit = file, archive, limit
        self._position = 0
        self.last = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise tarfile.ReadError(f"a header claims {size:,} bytes")
        self.last = self._file.read(size)
        self._position += len(self.last)
        if self._position > self._limit:
            raise _too_large(self._archive, self._limit)
        return self.last

    def seek(self, position: int) -> None:
        if position < self._position:
            raise tarfile.ReadError("members overlap")
        while self._position < position and self.read(min(_CHUNK, position - self._position)):
            pass

    def tell(self) -> int:
        return self._position


def _is_tar(start: bytes) -> bool:
    """Whether the first block is a tar header with a valid checksum."""
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True
