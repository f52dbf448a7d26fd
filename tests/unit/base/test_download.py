"""Downloads from a local server: complete, resumed, truncated, wrong, missing."""

import hashlib
import http.server
import io
import re
import socket
import tarfile
import threading

import numpy as np
import pytest

from convscope.base.download import cache_folder, download, extract
from convscope.base.errors import ConvscopeError, DataError

CONTENT = np.random.default_rng(0).bytes(700_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.content` with ranges, as far as the server's settings allow."""

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        if self.path != "/file.bin":
            self.send_error(404)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and server.resumes else 0
        if start >= len(server.content):
            self.send_error(416)
            return
        body = server.content[start:]
        self.send_response(206 if asked and server.resumes else 200)
        if server.tells_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        sent = body[: server.breaks_after] if server.breaks_after else body
        server.sent += len(sent)
        self.wfile.write(sent)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content, server.ranges, server.sent = CONTENT, [], 0
        server.resumes, server.tells_length, server.breaks_after = True, True, None
        server.url = f"http://127.0.0.1:{server.server_port}/file.bin"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "deep" / "file.bin"


@pytest.fixture
def part(target):
    target.parent.mkdir()
    return target.with_name("file.bin.part")


def no_progress(name, done, total):
    pass


def test_a_complete_download(server, target):
    seen = []
    download(server.url, target, SHA256, lambda *progress: seen.append(progress))
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]
    assert server.ranges == [None]
    assert {(name, total) for name, _, total in seen} == {("file.bin", len(CONTENT))}
    done = [done for _, done, _ in seen]
    assert done == sorted(set(done))
    assert done[-1] == len(CONTENT)


@pytest.mark.parametrize("have", [1, 300_000, 699_999])
def test_a_part_is_taken_up_and_only_what_is_missing_is_sent(server, target, part, have):
    part.write_bytes(CONTENT[:have])
    seen = []
    download(server.url, target, SHA256, lambda *progress: seen.append(progress))
    assert target.read_bytes() == CONTENT
    assert server.ranges == [f"bytes={have}-"]
    assert server.sent == len(CONTENT) - have
    assert seen[-1] == ("file.bin", len(CONTENT), len(CONTENT))
    assert not part.exists()


def test_a_part_that_is_already_complete(server, target, part):
    part.write_bytes(CONTENT)
    download(server.url, target, SHA256, no_progress)
    assert target.read_bytes() == CONTENT
    assert server.sent == 0


def test_a_server_that_cannot_resume_sends_all_again(server, target, part):
    server.resumes = False
    part.write_bytes(b"x" * 1000)
    download(server.url, target, SHA256, no_progress)
    assert target.read_bytes() == CONTENT


def test_a_server_that_does_not_tell_the_length(server, target):
    server.tells_length = False
    download(server.url, target, SHA256, no_progress)
    assert target.read_bytes() == CONTENT


def test_a_wrong_sum_removes_the_part(server, target, part):
    wrong = "0" * 64
    with pytest.raises(DataError, match=f"{server.url} has SHA-256 {SHA256}, expected {wrong}"):
        download(server.url, target, wrong, no_progress)
    assert list(target.parent.iterdir()) == []


def test_a_damaged_part_is_downloaded_again(server, target, part):
    part.write_bytes(b"x" * 1000)
    with pytest.raises(DataError, match="expected"):
        download(server.url, target, SHA256, no_progress)
    assert list(target.parent.iterdir()) == []
    download(server.url, target, SHA256, no_progress)
    assert target.read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_downloaded_again(server, target, part):
    part.write_bytes(CONTENT + b"more")
    with pytest.raises(DataError, match="expected"):
        download(server.url, target, SHA256, no_progress)
    assert not part.exists()


def test_a_connection_that_breaks_keeps_the_part_and_says_so(server, target, part):
    server.breaks_after = 400_000
    message = rf"cannot download {server.url}: the connection ended after 400,000 of 700,000 bytes"
    with pytest.raises(DataError, match=rf"{message}; run the command again"):
        download(server.url, target, SHA256, no_progress)
    assert part.read_bytes() == CONTENT[:400_000]
    assert not target.exists()
    server.breaks_after = None
    download(server.url, target, SHA256, no_progress)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=400000-"]
    assert server.sent == len(CONTENT)


def test_a_missing_file(server, target):
    url = server.url.replace("file.bin", "other.bin")
    with pytest.raises(DataError, match=rf"cannot download {url}: .*Not Found"):
        download(url, target, SHA256, no_progress)
    assert list(target.parent.iterdir()) == []


def test_a_port_where_nobody_listens(target):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/file.bin"
        with pytest.raises(DataError, match=rf"cannot download {url}: .*refused"):
            download(url, target, SHA256, no_progress)


def test_a_server_that_never_answers(target):
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/file.bin"
        with pytest.raises(DataError, match=rf"cannot download {url}: .*timed out"):
            download(url, target, SHA256, no_progress, timeout=0.1)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConvscopeError, match="cannot create the folder"):
        download("http://127.0.0.1:1/x", tmp_path / "taken" / "x", SHA256, no_progress)


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("CONVSCOPE_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("CONVSCOPE_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "convscope"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / "home" / ".cache" / "convscope"


def archive(path, name):
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = 5
        tar.addfile(member, io.BytesIO(b"hello"))
    return path


def test_archives_are_unpacked_into_their_folder(tmp_path):
    extract(archive(tmp_path / "a.tar.gz", "inner/file.txt"), tmp_path / "inner")
    assert (tmp_path / "inner" / "file.txt").read_bytes() == b"hello"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "inner"]


def test_archives_may_not_leave_their_folder(tmp_path):
    with pytest.raises(tarfile.FilterError):
        extract(archive(tmp_path / "a.tar.gz", "../escaped.txt"), tmp_path / "out")
    assert not (tmp_path / "escaped.txt").exists()
