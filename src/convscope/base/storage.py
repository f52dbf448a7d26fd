"""Files that are whole or absent: write, flush, fsync, rename, fsync of the folder."""

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
    """Writes `parts` to `path` so that a crash leaves either the old file or the new one.

    Raises:
        ConvscopeError: naming `path`, when the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            if os.fstat(file.fileno()).st_size != sum(map(len, parts)):
                raise OSError(errno.EIO, "not all bytes arrived on the disk")
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise ConvscopeError(f"cannot write {path}: {error.strerror or error}") from error


def append_line(path: Path, line: str) -> None:
    """Adds a line of UTF-8 text to `path`, on the disk when this returns.

    A crash may leave the last line cut off: `read_lines` passes it over, and the next line takes
    its place.

    Raises:
        ConvscopeError: naming `path`, when the disk is full or the folder cannot be written.
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
    """The whole lines of a file that `append_line` wrote; none where there is no file.

    Raises:
        ConvscopeError: naming `path`, when it cannot be read.
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
    """Keeps other processes that ask for the same lock out of `folder` until the result is closed.

    The system lets go of it when this process ends, however it ends; worker processes do not hold
    it on (POSIX record locks are not inherited).

    Raises:
        ConvscopeError: another process has it, or the folder cannot be written.
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


def remove_leftovers(folder: Path) -> None:
    """Deletes what a killed process may have left half-written in `folder` and below."""
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
    """Writes UTF-8 text as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON. NaN is refused: it is not JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """What the JSON file holds.

    Raises:
        ConvscopeError: naming `path`, when it is missing or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConvscopeError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ConvscopeError(
            f"{path} is damaged, it is no JSON ({error}); put back a copy of it"
        ) from None


def sha256_of(content: bytes | memoryview) -> str:
    """The SHA-256 of `content` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def make_folder(path: Path) -> None:
    """Makes `path` and its parents.

    Raises:
        ConvscopeError: naming `path`, when it cannot be made or is a file.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConvscopeError(f"cannot make the folder {path}: {error.strerror or error}") from error


def safe_name(text: str) -> str:
    """`text` as a file name on every system: letters, digits and `_.-` alone, at most 100 of them.

    >>> safe_name("blocks/1 add#2")
    'blocks-1-add-2'
    """
    return re.sub(r"[^\w.-]+", "-", text)[:_LONGEST_NAME].strip("-.") or "unnamed"
