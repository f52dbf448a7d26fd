"""Atomic writes, and errors that name the file."""

import errno
import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from convscope.base import storage
from convscope.base.errors import ConvscopeError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_written_bytes_are_read_back(tmp_path):
    path = tmp_path / "a" / "b" / "file.bin"
    for content in (b"first", bytearray(b"2nd"), memoryview(b"third"), b""):
        storage.write_bytes(path, content)
        assert path.read_bytes() == bytes(content)
    assert names(path.parent) == ["file.bin"]


def test_content_is_on_the_disk_before_the_name_changes(tmp_path, monkeypatch):
    events = []
    sync, replace = os.fsync, Path.replace

    def seen_sync(descriptor):
        is_folder = os.path.isdir(f"/proc/self/fd/{descriptor}")  # noqa: PTH112
        events.append("folder" if is_folder else "content")
        sync(descriptor)

    def seen_replace(self, target):
        events.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", seen_sync)
    monkeypatch.setattr(Path, "replace", seen_replace)
    storage.write_bytes(tmp_path / "file", b"x")
    assert events == ["content", "rename", "folder"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, number):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConvscopeError, match=f"cannot write {path}: {os.strerror(number)}"):
        storage.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_failed_rename_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def refused(self, target):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(ConvscopeError, match="Permission denied"):
        storage.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_first_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError("broken")))
    with pytest.raises(ConvscopeError, match="broken"):
        storage.write_bytes(tmp_path / "file", b"new")
    assert names(tmp_path) == []


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConvscopeError, match=r"cannot write .*taken/file"):
        storage.write_bytes(tmp_path / "taken" / "file", b"x")
    with pytest.raises(ConvscopeError, match=r"cannot create the folder .*taken"):
        storage.make_folder(tmp_path / "taken")


def test_make_folder_with_its_parents_and_again(tmp_path):
    for _ in range(2):
        storage.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_json_and_back(tmp_path):
    value = {"name": "Häßlich 猫", "list": [1, 2.5, None, True]}
    storage.write_json(tmp_path / "a.json", value)
    assert storage.read_json(tmp_path / "a.json") == value
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "Häßlich 猫" in text
    assert text.endswith("}\n")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_values_that_json_lacks_are_not_written(tmp_path, number):
    with pytest.raises(ValueError, match="JSON compliant"):
        storage.write_json(tmp_path / "a.json", {"loss": number})
    assert names(tmp_path) == []


def test_json_that_is_missing_or_damaged(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(ConvscopeError, match=r"cannot read .*a\.json: No such file"):
        storage.read_json(path)
    for content in (b"", b'{"a": ', b"\xff\xfe\x00"):
        path.write_bytes(content)
        with pytest.raises(ConvscopeError, match=r"a\.json is damaged"):
            storage.read_json(path)


def test_sha256():
    content = b"some content"
    assert storage.sha256_of(content) == hashlib.sha256(content).hexdigest()
    assert storage.sha256_of(memoryview(content)) == storage.sha256_of(content)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["open", "write", "sync", "rename", "sync of the folder"])
def test_a_failure_of_any_call_leaves_a_complete_file(tmp_path, monkeypatch, call, number):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    sync, real_open = os.fsync, open

    def fail(*arguments):
        raise OSError(number, os.strerror(number))

    class Unwritable(io.FileIO):
        def write(self, content):
            super().write(content[: len(content) // 2])  # a short write, then none
            fail()

    def failing_sync(descriptor):
        is_folder = os.path.isdir(f"/proc/self/fd/{descriptor}")  # noqa: PTH112
        (fail if is_folder == (call == "sync of the folder") else sync)(descriptor)

    if call == "open":
        monkeypatch.setattr(storage, "open", fail, raising=False)
    elif call == "write":

        def opened(name, mode):
            return Unwritable(name, mode) if "w" in mode else real_open(name, mode)

        monkeypatch.setattr(storage, "open", opened, raising=False)
    elif call == "rename":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(os, "fsync", failing_sync)
    with pytest.raises(ConvscopeError, match=f"cannot write {path}: {os.strerror(number)}"):
        storage.write_bytes(path, b"brand new")
    assert path.read_bytes() == (b"brand new" if call == "sync of the folder" else b"old")
    assert names(tmp_path) == ["file"]


def test_lines_are_appended_and_a_cut_one_is_left_out(tmp_path):
    path = tmp_path / "lines"
    assert storage.read_lines(path) == []
    storage.append_line(path, "one")
    storage.append_line(path, "zwei ü")
    assert storage.read_lines(path) == ["one", "zwei ü"]
    path.write_bytes(path.read_bytes() + b'{"step": 1')
    assert storage.read_lines(path) == ["one", "zwei ü"]
    storage.append_line(path, "three")
    assert storage.read_lines(path) == ["one", "zwei ü", "three"]


def test_a_lock_keeps_other_processes_out_until_it_is_closed(tmp_path):
    code = (
        "import sys; from pathlib import Path; from convscope.base import storage, errors\n"
        "try: storage.lock(Path(sys.argv[1]))\n"
        "except errors.ConvscopeError as error: print(error)\n"
    )
    ask = [sys.executable, "-c", code, str(tmp_path)]
    with storage.lock(tmp_path):
        told = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    assert told.startswith(f"{tmp_path} is in use by another training (process {os.getpid()});")
    assert subprocess.run(ask, capture_output=True, text=True, check=True).stdout == ""


def test_leftovers_of_killed_processes_are_removed(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for name in (".run.json.12.tmp", "checkpoints/.last.safetensors.9.tmp", "kept.tmp"):
        (tmp_path / name).write_text("")
    storage.remove_temporary_files(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["kept.tmp"]


def test_bytes_that_a_disk_swallows_are_missed(tmp_path, monkeypatch):
    """A write that says more than it did leaves the old file."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    class Swallows(io.FileIO):
        def write(self, content):
            super().write(bytes(content)[:-1])
            return len(content)

    monkeypatch.setattr(storage, "open", Swallows, raising=False)
    with pytest.raises(ConvscopeError, match=f"cannot write {path}: .*not all bytes were written"):
        storage.write_bytes(path, b"new content")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_invalid_json_names_the_file_and_the_remedy(tmp_path, content):
    path = tmp_path / "some.json"
    path.write_bytes(content)
    with pytest.raises(
        ConvscopeError, match=f"{path} is damaged: it is not valid JSON .*; restore it from a copy"
    ):
        storage.read_json(path)
