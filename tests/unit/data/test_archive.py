"""Archives are extracted completely or not at all, and never outside their folder."""

import bz2
import gzip
import io
import lzma
import multiprocessing
import os
import signal
import stat
import tarfile
import time
import zipfile

import pytest

from convscope.base.errors import DataError
from convscope.data import archive
from convscope.data.archive import extract_archive, is_archive

FILES = {"pets/cat/1.png": b"cat", "pets/dog/1.png": b"dog" * 1000}


def zip_of(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def tar_of(path, files, mode="w", **changes):
    with tarfile.open(path, mode) as file:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in changes.items():
                setattr(member, key, value)
            file.addfile(member, io.BytesIO(content))
    return path


def tree(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def refusal(path, cache):
    with pytest.raises(DataError) as caught:
        extract_archive(path, cache)
    message = str(caught.value)
    assert str(path) in message
    assert [entry.name for entry in cache.iterdir()] == [".lock"]
    assert sorted(p.name for p in cache.parent.iterdir()) == sorted({cache.name, path.name})
    return message


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVSCOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_a_tar_gives_its_files(tmp_path, cache, mode, form):
    path = tmp_path / "pets"
    with tarfile.open(path, mode, format=form) as file:
        for name, content in {**FILES, f"pets/dog/{'x' * 90}.png": b"long"}.items():
            member = tarfile.TarInfo("./" + name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    assert is_archive(path)
    assert tree(extract_archive(path, cache)) == {**FILES, f"pets/dog/{'x' * 90}.png": b"long"}


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_zip_gives_its_files(tmp_path, cache, method):
    path = zip_of(tmp_path / "pets.zip", FILES, method)
    assert is_archive(path)
    assert tree(extract_archive(path, cache)) == FILES


def test_empty_folders_are_kept_and_hidden_files_are_not(tmp_path, cache):
    hidden = {"__MACOSX/cat/._1.png": b"", "cat/.DS_Store": b"", ".git/x": b"", "Thumbs.db": b""}
    path = zip_of(tmp_path / "a.zip", {"cat/1.png": b"1", "dog/": b"", **hidden})
    root = extract_archive(path, cache)
    assert sorted(p.relative_to(root).as_posix() for p in root.rglob("*")) == [
        "cat", "cat/1.png", "dog",
    ]  # fmt: skip


def test_it_is_extracted_once_and_again_after_a_change(tmp_path, cache, monkeypatch):
    path = zip_of(tmp_path / "a.zip", {"a/1.png": b"1"})
    first = extract_archive(path, cache)
    monkeypatch.setattr(archive, "_extract", lambda *_: pytest.fail("extracted again"))
    assert extract_archive(path, cache) == first
    monkeypatch.undo()
    zip_of(path, {"a/1.png": b"2"})
    second = extract_archive(path, cache)
    assert (tree(first), tree(second)) == ({"a/1.png": b"1"}, {"a/1.png": b"2"})


BAD_NAMES = {
    "/etc/passwd": "has an absolute path",
    "../x.png": "leads outside the archive's folder",
    "cat/../../x.png": "leads outside the archive's folder",
    "..": "leads outside the archive's folder",
    "C:/x.png": "has an absolute path",
    "c:x.png": "has an absolute path",
    "cat\\1.png": "has a backslash",
    "..\\x.png": "has a backslash",
    "cat/1\n.png": "has control characters",
    "cat/\x1b[2J.png": "has control characters",
}


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_names_that_lead_elsewhere_are_refused(tmp_path, cache, make, name):
    path = make(tmp_path / "a", {"cat/1.png": b"1", name: b"2"})
    assert f"member {name!r} {BAD_NAMES[name]}" in refusal(path, cache)


def test_what_follows_a_zero_byte_in_a_name_is_seen(tmp_path, cache):
    path = zip_of(tmp_path / "a.zip", {"cat/1.pngX": b"1"})
    path.write_bytes(path.read_bytes().replace(b"1.pngX", b"1.png\0"))
    assert "control characters" in refusal(path, cache)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.FIFOTYPE, "a device or pipe"),
        (tarfile.CHRTYPE, "a device or pipe"),
        (tarfile.BLKTYPE, "a device or pipe"),
    ],
)
def test_a_tar_of_links_or_devices_is_refused(tmp_path, cache, kind, reason):
    path = tar_of(tmp_path / "a.tar", {"cat/1.png": b""}, type=kind, linkname="/etc/passwd")
    assert f"member 'cat/1.png' is {reason}" in refusal(path, cache)


@pytest.mark.parametrize(
    ("kind", "reason"), [(stat.S_IFLNK, "a link"), (stat.S_IFCHR, "a device or pipe")]
)
def test_a_zip_of_links_or_devices_is_refused(tmp_path, cache, kind, reason):
    entry = zipfile.ZipInfo("cat/1.png")
    entry.external_attr = (kind | 0o644) << 16
    path = zip_of(tmp_path / "a.zip", {entry: b"/etc/passwd"})
    assert f"is {reason}" in refusal(path, cache)


def test_encrypted_members_are_refused(tmp_path, cache):
    path = zip_of(tmp_path / "a.zip", {"cat/1.png": b"1"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert "'cat/1.png' is encrypted" in refusal(path, cache)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("twin", ["cat/1.png", "cat//1.png", "./cat/./1.png"])
def test_two_members_of_one_name_are_refused(tmp_path, cache, twin):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("cat/1.png", b"1")
        file.writestr(twin, b"2")
    assert f"{twin!r} occurs twice" in refusal(tmp_path / "a.zip", cache)


@pytest.mark.parametrize("names", [("cat", "cat/1.png"), ("cat/1.png", "cat"), ("a", "a/b/1.png")])
@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_a_name_that_is_file_and_folder_is_refused_by_name(tmp_path, cache, make, names):
    path = make(tmp_path / "a.archive", dict.fromkeys(names, b"1"))
    told = refusal(path, cache)
    assert f"member {names[1]!r}" in told
    assert "folder" in told
    assert str(cache) not in told


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.999])
@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_cut_off_archives_are_refused(tmp_path, cache, name, share):
    files = {f"cat/{i}.png": os.urandom(700) for i in range(12)}
    ending = name.rpartition(".")[2]
    path = tmp_path / name
    if ending == "zip":
        zip_of(path, files)
    else:
        tar_of(path, files, "w" if ending == "tar" else f"w:{ending}")
    content = path.read_bytes()
    # A tar is padded with zeros to 10 KiB; what counts is the two blocks that end it.
    size = len(content.rstrip(b"\0")) if ending == "tar" else len(content)
    path.write_bytes(content[: int(size * share)])
    message = refusal(path, cache)
    assert "damaged or truncated" in message or "not a tar" in message


def test_a_tar_cut_off_between_members_is_refused(tmp_path, cache):
    path = tar_of(tmp_path / "a.tar", {"cat/1.png": b"1", "cat/2.png": b"2"})
    path.write_bytes(path.read_bytes()[:1024])
    assert "the end is missing" in refusal(path, cache)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_a_changed_byte_is_noticed(tmp_path, cache, name):
    files = {f"cat/{i}.png": os.urandom(3000) for i in range(3)}
    path = tmp_path / name
    if name == "a.zip":
        zip_of(path, files, zipfile.ZIP_STORED)
    else:
        tar_of(path, files, f"w:{name.rpartition('.')[2]}")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    message = refusal(path, cache)
    assert "damaged or truncated" in message or "not a tar" in message


def test_a_zip_that_grows_too_much_is_refused(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(archive, "MIN_BYTES", 10_000)
    path = zip_of(tmp_path / "a.zip", {"cat/1.png": bytes(1_000_000)})
    assert "would extract to more than" in refusal(path, cache)


@pytest.mark.parametrize("hidden", [False, True])
def test_a_tar_that_grows_too_much_is_refused(tmp_path, cache, monkeypatch, hidden):
    monkeypatch.setattr(archive, "MIN_BYTES", 10_000)
    name = ".hidden" if hidden else "cat/1.png"
    path = tar_of(tmp_path / "a.tar.gz", {name: bytes(1_000_000)}, "w:gz")
    assert "would extract to more than" in refusal(path, cache)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_zeros_behind_the_end_of_a_tar_are_counted(tmp_path, cache, monkeypatch, compress):
    monkeypatch.setattr(archive, "MIN_BYTES", 10_000)
    tar = tar_of(tmp_path / "a", {"cat/1.png": b"1"})
    tar.write_bytes(compress(tar.read_bytes() + bytes(5_000_000)))
    assert "would extract to more than" in refusal(tar, cache)


def test_a_header_that_claims_gigabytes_is_refused(tmp_path, cache):
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 5_000_000_000
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(member.tobuf() + bytes(100_000)))
    assert "damaged" in refusal(path, cache) or "not a tar" in refusal(path, cache)


def test_a_header_that_lies_of_its_size_is_noticed(tmp_path, cache):
    path = zip_of(tmp_path / "a.zip", {"cat/1.png": bytes(range(256)) * 40})
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02") + 24
    content[place : place + 4] = (1).to_bytes(4, "little")
    path.write_bytes(content)
    assert "damaged" in refusal(path, cache)


def test_too_many_members_are_refused(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    path = tar_of(tmp_path / "a.tar", {f"cat/{i}.png": b"1" for i in range(4)})
    assert "more than 3 members" in refusal(path, cache)


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path, cache, monkeypatch):
    class Usage:
        free = 100

    monkeypatch.setattr(archive.shutil, "disk_usage", lambda path: Usage)
    path = zip_of(tmp_path / "a.zip", {"cat/1.png": bytes(101)})
    assert "free some space, or set CONVSCOPE_CACHE" in refusal(path, cache)


@pytest.mark.parametrize("files", [{}, {".hidden": b"1"}])
def test_an_archive_without_files_is_refused(tmp_path, cache, files):
    assert "has no files in it" in refusal(zip_of(tmp_path / "a.zip", files), cache)


def test_compressed_files_that_are_not_tars_are_refused(tmp_path, cache):
    path = tmp_path / "notes.gz"
    path.write_bytes(gzip.compress(b"notes" * 500))
    assert "its content is not a tar" in refusal(path, cache)


def test_files_of_other_kinds_are_no_archives(tmp_path):
    path = tmp_path / "x.zip"
    for content in (b"", b"PK", b"notes" * 500, bytes(10_000), b"\x89PNG\r\n\x1a\n"):
        path.write_bytes(content)
        assert not is_archive(path)


def test_what_a_dead_attempt_left_is_removed(tmp_path, cache):
    left = cache / ".0123456789abcdef.part" / "cat"
    left.mkdir(parents=True)
    (left / "1.png").write_bytes(b"half")
    root = extract_archive(zip_of(tmp_path / "a.zip", FILES), cache)
    assert sorted(p.name for p in cache.iterdir()) == [".lock", root.name]


def _slow_extraction(path, cache, begun):
    write = archive._write_members

    def slowly(*arguments):
        begun.set()
        time.sleep(0.5)
        write(*arguments)

    archive._write_members = slowly
    extract_archive(path, cache)


def _started(path, cache):
    context = multiprocessing.get_context("fork")
    begun = context.Event()
    process = context.Process(target=_slow_extraction, args=(path, cache, begun))
    process.start()
    assert begun.wait(20)
    return process


def test_a_killed_extraction_leaves_nothing_that_is_used(tmp_path, cache):
    path = zip_of(tmp_path / "a.zip", FILES)
    process = _started(path, cache)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert any(p.name.endswith(".part") for p in cache.iterdir())
    assert tree(extract_archive(path, cache)) == FILES
    assert not any(p.name.endswith(".part") for p in cache.iterdir())


def test_a_second_process_waits_for_the_first(tmp_path, cache, monkeypatch):
    path = zip_of(tmp_path / "a.zip", FILES)
    process = _started(path, cache)
    monkeypatch.setattr(archive, "_extract", lambda *_: pytest.fail("extracted twice"))
    assert tree(extract_archive(path, cache)) == FILES
    process.join()
    assert process.exitcode == 0


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_progress_is_reported_to_the_end(tmp_path, cache, name):
    files = {f"cat/{i}.png": os.urandom(3000) for i in range(50)}
    make = {"a.zip": zip_of, "a.tar": tar_of}.get(name) or (lambda p, f: tar_of(p, f, "w:gz"))
    told = []
    path = make(tmp_path / name, files)
    extract_archive(path, cache, lambda *progress: told.append(progress))
    assert len(told) >= len(files)
    assert {(who, total) for who, _, total in told} == {(name, told[0][2])}
    done = [done for _, done, _ in told]
    assert done == sorted(done)
    assert 0.9 * told[0][2] < done[-1] <= told[0][2]
    told.clear()
    extract_archive(path, cache, lambda *progress: told.append(progress))
    assert told == []
