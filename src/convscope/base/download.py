"""Official downloads: resumable, with progress, and believed only when the SHA-256 is right."""

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


def silent(name: str, done: int, total: int) -> None:
    """The progress that nobody is told."""
    del name, done, total


def cache_folder() -> Path:
    """`$CONVSCOPE_CACHE`, or `convscope` in `$XDG_CACHE_HOME` or `~/.cache`."""
    own = os.environ.get("CONVSCOPE_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "convscope"


def download(url: str, target: Path, sha256: str, progress: Progress, timeout: float = 20) -> None:
    """Fetches `url` to `target`; a broken attempt is kept as `target.part` and taken up next time.

    Args:
        url: the publisher's address.
        target: the file to write, whole or not at all.
        sha256: what the content must have; or the beginning of it, where that is all that the
            publisher tells.
        progress: is told name, bytes had and bytes in all.
        timeout: seconds without an answer.

    Raises:
        DataError: naming the address, when it cannot be reached or the SHA-256 is wrong.
    """
    make_folder(target.parent)
    part = target.with_name(target.name + ".part")
    try:
        _fetch(url, part, target.name, progress, timeout)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(f"cannot download {url}: {reason}") from error
    found = sha256_of_file(part)
    if not found.startswith(sha256):
        part.unlink()
        raise DataError(f"{url} has SHA-256 {found}, expected {sha256}; try again")
    part.replace(target)


def _fetch(url: str, part: Path, name: str, progress: Progress, timeout: float) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # "range not satisfiable": the part is already whole
            raise
        return
    with response:
        if response.status != 206:
            have = 0
        total = have + int(response.headers.get("Content-Length") or 0)
        with open(part, "ab" if have else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                have += len(chunk)
                progress(name, have, max(total, have))
    if have < total:
        raise OSError(
            f"the connection ended after {have:,} of {total:,} bytes; run it again to go on"
        )


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file, read piece by piece."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def extract(archive: Path, target: Path) -> None:
    """Unpacks the folder `target.name` of a tar whose SHA-256 was checked, whole or not at all."""
    room = target.with_name(target.name + ".part")
    shutil.rmtree(room, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(room, filter="data")
    shutil.rmtree(target, ignore_errors=True)
    (room / target.name).replace(target)
    shutil.rmtree(room)
