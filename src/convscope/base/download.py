"""Downloads that can be resumed, report progress and are checked by SHA-256."""

import hashlib
import http.client
import os
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from convscope.base.errors import DataError
from convscope.base.storage import make_folder

Progress = Callable[[str, int, int], None]
_CHUNK = 1 << 18


def no_progress(name: str, done: int, total: int) -> None:
    """A progress callback that does nothing."""
    del name, done, total


def cache_folder() -> Path:
    """`$CONVSCOPE_CACHE`, or `convscope` in `$XDG_CACHE_HOME` or `~/.cache`."""
    chosen = os.environ.get("CONVSCOPE_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "convscope"


def download(url: str, target: Path, sha256: str, progress: Progress, timeout: float = 20) -> None:
    """Downloads `url` to `target`. An interrupted download stays as `target.part` and is resumed.

    Args:
        url: the address of the file.
        target: the file to write. It appears only when it is complete and its SHA-256 is right.
        sha256: the expected SHA-256 in hexadecimal, or its first digits if only those are known.
        progress: called with the file's name, the bytes received and the total number of bytes.
        timeout: the longest time to wait for an answer, in seconds.

    Raises:
        DataError: the address cannot be reached, or the SHA-256 is wrong. The message names it.
    """
    make_folder(target.parent)
    part = target.with_name(target.name + ".part")
    try:
        _fetch(url, part, target.name, progress, timeout)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(f"cannot download {url}: {reason}") from error
    digest = sha256_of_file(part)
    if not digest.startswith(sha256):
        part.unlink()
        raise DataError(f"{url} has SHA-256 {digest}, expected {sha256}; try again")
    part.replace(target)


def _fetch(url: str, part: Path, name: str, progress: Progress, timeout: float) -> None:
    received = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={received}-"} if received else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # "range not satisfiable": the file is already complete
            raise
        return
    with response:
        if response.status != 206:  # the server ignores ranges: start again
            received = 0
        total = received + int(response.headers.get("Content-Length") or 0)
        with open(part, "ab" if received else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                received += len(chunk)
                progress(name, received, max(total, received))
    if received < total:
        raise OSError(
            f"the connection ended after {received:,} of {total:,} bytes; "
            "run the command again to resume the download"
        )


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal. The file is not loaded into memory at once."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def extract(archive: Path, target: Path) -> None:
    """Extracts the folder `target.name` of a tar archive to `target`, completely or not at all.

    For archives whose SHA-256 was checked; `convscope.data.archive` extracts those of users.
    """
    temporary = target.with_name(target.name + ".part")
    shutil.rmtree(temporary, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(temporary, filter="data")
    shutil.rmtree(target, ignore_errors=True)
    (temporary / target.name).replace(target)
    shutil.rmtree(temporary)
