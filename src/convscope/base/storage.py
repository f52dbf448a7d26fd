"""Atomic writes: write to a temporary file, flush, fsync, rename, fsync of the folder."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
from pathlib import Path
from typing import IO, Any

from convscope.base.errors import ConvscopeError

_LONGEST_NAME = 100


def write_bytes(path: Path, *parts: bytes | bytearray | memoryview) -> None:
    """Writes `parts`, one after the other, to `path`. A crash leaves the old file or the new one.

    Raises:
        ConvscopeError: the disk is full or the folder cannot be written. The message names `path`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            # Some network and overlay file systems report success and store less.
            if os.fstat(file.fileno()).st_size != sum(map(len, parts)):
                raise OSError(errno.EIO, "not all bytes were written to the disk")
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise ConvscopeError(f"cannot write {path}: {error.strerror or error}") from error


def append_line(path: Path, line: str) -> None:
    """Appends a line of UTF-8 text to `path`. The line is on the disk when this returns.

    A crash may leave an incomplete last line: `read_lines` skips it, and the next call of
    `append_line` overwrites it.

    Raises:
        ConvscopeError: the disk is full or the folder cannot be written. The message names `path`.
    """
    try:
        with open(path, "a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConvscopeError(f"cannot write {path}: {error.strerror or error}") from error


def read_lines(path: Path) -> list[str]:
    """The complete lines of a file that `append_line` wrote; none if there is no file.

    Raises:
        ConvscopeError: the file cannot be read. The message names `path`.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConvscopeError(f"cannot read {path}: {error.strerror or error}") from error
    return content.decode(errors="replace").split("\n")[:-1]


LOCK = ".lock"


def lock(folder: Path) -> IO[str]:
    """Locks `folder` against other processes that call this, until the returned file is closed.

    The operating system releases the lock when this process ends, even if it is killed. Worker
    processes do not keep it: POSIX record locks are not inherited.

    Raises:
        ConvscopeError: another process holds the lock, or the folder cannot be written.
    """
    path = folder / LOCK
    try:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (the caller closes it)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            file.close()
            raise ConvscopeError(
                f"{folder} is in use by another training (process {holder}); "
                "wait for it to end, or choose another --out"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
    except OSError as error:
        raise ConvscopeError(f"cannot write {path}: {error.strerror or error}") from error
    return file


def remove_temporary_files(folder: Path) -> None:
    """Deletes temporary files of killed processes in `folder` and its subfolders."""
    for path in folder.rglob(".*.tmp"):
        with contextlib.suppress(OSError):
            path.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Writes `text` as UTF-8 by `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON. NaN and infinity raise ValueError: JSON has neither."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        ConvscopeError: the file is missing or not valid JSON. The message names `path`.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConvscopeError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ConvscopeError(
            f"{path} is damaged: it is not valid JSON ({error}); restore it from a copy"
        ) from None


def sha256_of(content: bytes | memoryview) -> str:
    """The SHA-256 of `content` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def make_folder(path: Path) -> None:
    """Creates the folder `path` and its parents; a folder that exists already stays as it is.

    Raises:
        ConvscopeError: the folder cannot be created, or `path` is a file.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise ConvscopeError(f"cannot create the folder {path}: {reason}") from error


def safe_name(text: str) -> str:
    """`text` as a file name that every system allows: letters, digits and `_.-`, at most 100.

    >>> safe_name("blocks/1 add#2")
    'blocks-1-add-2'
    """
    return re.sub(r"[^\w.-]+", "-", text)[:_LONGEST_NAME].strip("-.") or "unnamed"
