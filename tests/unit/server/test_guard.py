"""Access control: what is refused, and what an answer never reveals."""

import contextlib
import http.client
import io
import socket
import struct
import time
import zlib

import httpx
import numpy as np
import pytest
from PIL import Image

import convscope
import explored
from convscope.server import guard
from convscope.server.guard import MAX_JSON, MAX_QUERY, Access

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def connected(running):
    """A connection that sends what it is told, as it is told."""
    address = running.origin.removeprefix("http://")
    return contextlib.closing(http.client.HTTPConnection(address, timeout=30))


def png_header(width, height):
    """A PNG that says it is so large, and holds nothing."""
    data = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + data + struct.pack(">I", zlib.crc32(data))


def test_only_health_answers_without_the_token(stranger):
    assert stranger.get("/health").json() == {"status": "ok"}
    for path in ("/", "/?view=layer", "/?token=wrong", "/assets/index.js", "/favicon.svg"):
        response = stranger.get(path)
        assert response.status_code == 403
        assert "address that convscope printed" in response.text
    for path in (
        "/api/subject",
        "/api/nothing",
        "/api/pass?image=data-1",
        "/openapi.json",
        "/docs",
    ):
        assert stranger.get(path).status_code == 403
    assert "printed" in stranger.get("/api/subject").json()["error"]
    assert stranger.post("/api/images", content=b"x").status_code == 403


def test_the_opening_address_becomes_a_cookie_and_disappears(running, stranger):
    response = stranger.get(running.handle.url + "&view=number&class=%3Cb%3E")
    assert response.status_code == 303
    assert response.headers["location"] == "/?view=number&class=%3Cb%3E"
    name, *attributes = response.headers["set-cookie"].split("; ")
    assert name == running.cookie
    assert set(attributes) == {"HttpOnly", "SameSite=Strict", "Path=/"}
    assert stranger.get("/api/subject").status_code == 200


def test_a_link_on_another_page_goes_on_without_a_redirect(running, stranger):
    # A redirect of such a link would go without the strict cookie.
    link = running.handle.url + "&view=%22%3E%3Cscript%3E"
    response = stranger.get(link, headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 200
    assert 'content="0;url=/?view=%22%3E%3Cscript%3E"' in response.text
    assert stranger.get("/api/subject").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:{port}"}, 403),
        ({"Host": "127.0.0.1"}, 403),
        ({"Host": "127.0.0.1:1"}, 403),
        ({"Host": "127.0.0.1.evil.example:{port}"}, 403),
        ({"Host": "10.0.0.1:{port}"}, 403),
        ({"Host": "[::1]:{port}"}, 403),
        ({"Host": "localhost:{port}"}, 200),
        ({"Host": "LOCALHOST:{port}"}, 200),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Origin": "http://localhost:{port}"}, 403),
        ({"Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Cookie": "convscope-{port}=wrong"}, 403),
        ({"Cookie": "convscope={token}"}, 403),
        ({"Cookie": "convscope-1={token}"}, 403),
        ({"Cookie": "convscope-{port}={token}x"}, 403),
        ({"Cookie": "other=1; convscope-{port}={token}"}, 200),
        ({"Cookie": 'odd={{"a": 1}}; convscope-{port}={token}'}, 200),
    ],
)
def test_who_is_let_in(running, headers, status):
    port = running.origin.rsplit(":", 1)[1]
    given = {"Cookie": running.cookie} | {
        name: value.format(port=port, token=running.token) for name, value in headers.items()
    }
    for method, path in (("GET", "/api/kernel/presets"), ("POST", "/api/kernel")):
        response = httpx.request(
            method, running.origin + path, headers=given,
            json={"kernel": [[1.0]]} if method == "POST" else None,
        )  # fmt: skip
        assert response.status_code == status, response.text
        if status == 403:
            assert set(response.json()) == {"error"}


def test_two_hosts_are_none(running):
    with connected(running) as connection:
        connection.putrequest("GET", "/health")  # which sends the right one
        connection.putheader("Host", "evil.example")
        connection.endheaders()
        assert connection.getresponse().status in (400, 403)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_refused(client, method):
    response = client.request(method, "/api/subject")
    assert response.status_code == 405
    assert "error" in response.json()


def test_nothing_is_changed_by_get(client):
    assert client.get("/api/images").status_code == 405
    assert client.get("/api/kernel").status_code == 405
    assert client.post("/api/subject").status_code == 405
    assert client.head("/").status_code == 200


def test_every_answer_has_the_headers_that_keep_browsers_strict(client, stranger):
    for response in (
        client.get("/"), client.get("/api/subject"), client.get("/api/number"),
        client.get("/api/pass?image=data-0"), client.get("/nothing"), client.put("/"),
        stranger.get("/"), stranger.get("/health"), stranger.get("/?token=wrong"),
    ):  # fmt: skip
        assert response.headers["content-security-policy"] == POLICY
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cross-origin-opener-policy"] == "same-origin"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in response.headers
        if response.url.path.startswith("/api/"):
            assert response.headers["cache-control"] == "no-store"


def test_there_is_no_description_of_the_routes_in_the_running_app(client):
    for path in ("/openapi.json", "/docs", "/redoc"):
        assert client.get(path).status_code == 404


def test_a_query_that_is_too_long_is_refused(client):
    response = client.get("/api/kernel/presets", params={"x": "y" * MAX_QUERY})
    assert response.status_code == 414
    assert (
        client.get("/api/kernel/presets", params={"x": "y" * 9000}).status_code == 200
    )  # is ignored


def test_a_body_that_is_too_large_is_refused_before_it_is_read(running):
    with connected(running) as connection:
        connection.putrequest("POST", "/api/images")
        connection.putheader("Cookie", running.cookie)
        connection.putheader("Content-Length", "64000001")
        connection.endheaders()  # and not a byte more
        response = connection.getresponse()
        assert response.status == 413
        assert b"64,000,000" in response.read()


def test_uploads_that_go_no_further_hold_up_nobody_and_are_ended(client, running, monkeypatch):
    monkeypatch.setattr(guard, "_IDLE", 1.0)
    host = running.origin.removeprefix("http://")
    name, port = host.split(":")
    head = f"POST /api/images HTTP/1.1\r\nHost: {host}\r\nCookie: {running.cookie}\r\n"
    stalled = [socket.create_connection((name, int(port)), timeout=30) for _ in range(6)]
    try:
        for connection in stalled:
            connection.sendall(f"{head}Content-Length: 1000\r\n\r\nab".encode())
        asked = {"kernel": [[1.0]], "picture": False, "at": [0, 0]}
        assert client.post("/api/kernel", json=asked).status_code == 200
        for connection in stalled:
            answer = connection.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 408")
            assert b"connection: close" in answer.lower()
    finally:
        for connection in stalled:
            connection.close()


def test_a_body_without_a_length_is_refused_where_it_grows_too_large(client):
    def endless():
        for _ in range(MAX_JSON // 65536 + 3):
            yield b" " * 65536

    response = client.post(
        "/api/kernel", content=endless(), headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 413


@pytest.mark.parametrize(
    "content",
    [
        b"", b"hello", b"GIF89a", b"\xff\xd8\xff", b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        png_header(10_000, 10_000), png_header(2**31 - 1, 2**31 - 1), "cut", "float",
    ],
)  # fmt: skip
def test_what_is_no_readable_image_is_refused(client, running, content):
    if content == "cut":
        content = (running.folder / "coat" / "0.png").read_bytes()[:200]
    elif content == "float":
        stream = io.BytesIO()
        Image.fromarray(np.zeros((4, 4), np.float32)).save(stream, "tiff")
        content = stream.getvalue()
    before = running.explorer.images.dropped_bytes
    response = client.post("/api/images", content=content, headers={"X-Name": "%2Fetc%2Fpasswd"})
    assert response.status_code == 422
    assert response.json()["error"].startswith("the image cannot be read")
    assert "etc" not in response.text
    assert running.explorer.images.dropped_bytes == before


@pytest.mark.parametrize(
    "image",
    [
        "", "data", "data-", "data--1", "data-1.0", "data-01", "data-+1", "data-1 ", "data-1\n",
        "data-99999999999", "data-31", "file-3", "file-../../etc/passwd", "file-0/../1",
        "/etc/passwd", "..", "drop-", "drop-" + "0" * 32, "drop-..", "data-\u0661", "data-1\x00",
        "DATA-1", "data-1,data-2", "file:///etc/passwd", "%00",
    ],
)  # fmt: skip
def test_no_other_image_can_be_opened(client, image):
    for path in ("/api/picture", "/api/pass", "/api/values?layer=fc1"):
        response = client.get(path, params={"image": image, "layer": "fc1"})
        assert response.status_code == 404, path
        assert response.json() == {"error": "there is no image of that name"} or "drop" in image


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../index.html", "/assets/..%2f..%2fwire.py", "/assets/%2e%2e/%2e%2e/wire.py",
        "/assets//etc/passwd", "/assets/.hidden", "/assets/", "/wire.py", "/static/index.html",
        "/assets/..%5c..%5cwire.py", "/assets/index.js%00.css", "/..%2f..%2fetc/passwd",
    ],
)  # fmt: skip
def test_no_other_file_can_be_read(running, path):
    with connected(running) as connection:
        connection.request("GET", path, headers={"Cookie": running.cookie})
        response = connection.getresponse()
        assert response.status == 404
        assert b"error" in response.read()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/api/number?image=data-1&layer=fc9&index=1", "did you mean fc"),
        ("/api/number?image=data-1&layer=fc1&index=99", "0..11"),
        ("/api/number?image=data-1&layer=fc1&index=1,2", "index"),
        ("/api/number?image=data-1&layer=fc1&index=x", "whole numbers"),
        ("/api/number?image=data-1&layer=fc1&index=1&limit=-1", "limit"),
        ("/api/number?layer=fc1&index=1", "image"),
        ("/api/values?image=data-1&layer=fc1&target=5", "0 to 4"),
        ("/api/values?image=data-1&layer=fc1&off=[[%22fc1%22,12]]", "no unit 12"),
        ("/api/values?image=data-1&layer=fc1&off=[[%22softmax%22,1]]", "softmax"),
        ("/api/values?image=data-1&layer=fc1&off=nonsense", "JSON"),
        ("/api/values?image=data-1&layer=fc1&off=[[1,2,3]]", "JSON"),
        ("/api/values?image=data-1&layer=fc1&off={%22a%22:1}", "JSON"),
        ("/api/values?image=data-1&layer=fc1&off=[[%22fc1%22,true]]", "JSON"),
        ("/api/maps?image=data-1&layer=stem.0&channels=0-6", "0 to 5"),
        ("/api/maps?image=data-1&layer=stem.0&channels=3-1", "0 to 5"),
        ("/api/maps?image=data-1&layer=stem.0&channels=1,1,1,1,1,1,1", "once"),
        ("/api/maps?image=data-1&layer=stem.0&channels=", "whole numbers"),
        ("/api/kernels?layer=fc1&channel=0&inputs=0", "not a convolution"),
        ("/api/kernels?layer=softmax&channel=0&inputs=0", "not a convolution"),
        ("/api/kernels?layer=stem.0&channel=6&inputs=0", "0..5"),
        ("/api/parts?image=data-1&layer=strided&channel=0&inputs=0-3", "0 to 2"),
        ("/api/picture?image=data-1&size=huge", "thumb"),
        ("/api/predictions?images=", "1 to 64"),
        ("/api/kernel/output-size?size=x&kernel=3", "size"),
    ],
)
def test_wrong_questions_are_answered_in_words(client, path, words):
    response = client.get(path)
    assert response.status_code in (404, 422)
    assert words in response.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b'{"kernel": []}', b'{"kernel": [[]]}', b'{"kernel": [[1],[1,2]]}',
        b'{"kernel": [[NaN]]}', b'{"kernel": [[1e999]]}', b'{"kernel": [["a"]]}',
        b'{"kernel": [[1]], "stride": 0}', b'{"kernel": [[1]], "padding": 1000000000}',
        b'{"kernel": [[1]], "at": [0, 99]}', b'{"kernel": [[1]], "at": [-1, 0]}',
        b'{"kernel": [[1]], "border": "no"}', b'{"kernel": [[1]], "more": 1}',
        b'{"kernel": [[1]], "image": "data-999"}', b"[" * 5000, b'{"kernel": ' + b"[" * 5000,
        b"\xff\xfe", b'{"kernel": [[1]], "stride": ' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_a_wrong_filter_is_refused(client, body):
    response = client.post(
        "/api/kernel", content=body, headers={"Content-Type": "application/json"}
    )
    assert 400 <= response.status_code < 500
    assert response.json()["error"]


def test_an_address_for_all_of_a_machine_takes_addresses_but_no_foreign_names():
    access = Access(80, "token", frozenset({"here"}), anywhere=True)
    assert all(
        map(access.allows_host, (b"here", b"here:80", b"10.1.2.3", b"[fe80::1]:80", b"HERE"))
    )
    assert not any(
        map(access.allows_host, (b"evil.example", b"10.1.2.3:81", b"", b":80", b"10.1.2.3.x"))
    )


def test_an_error_that_nobody_foresaw_is_one_line_for_the_user_and_none_for_the_browser(
    client, running, monkeypatch, capsys
):
    def broken(*_):
        raise RuntimeError("secret\nwords")

    monkeypatch.setattr(type(running.explorer.images), "page", broken)
    response = client.get("/api/gallery")
    assert response.status_code == 500
    assert "secret" not in response.text
    assert "error" in response.json()
    said, end = "", time.monotonic() + 30
    while "bug" not in said and time.monotonic() < end:  # it is written after the answer
        said += capsys.readouterr().err
        time.sleep(0.01)
    lines = [line for line in said.splitlines() if "convscope: bug" in line]
    assert len(lines) == 1
    assert "RuntimeError: secret words" in lines[0]
    monkeypatch.setattr(type(running.explorer.subject), "run", broken)
    response = client.get("/api/pass?image=data-9")
    assert "something went wrong" in response.text
    assert "secret" not in response.text


def test_a_port_in_use_is_said(running):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(convscope.base.errors.ConvscopeError, match=f"port {port}.*--port"):
            convscope.explore(running.classifier, port=port, browser=False)


def test_closing_hangs_up_on_connections_that_came_too_late_to_be_told():
    handle = convscope.explore(explored.classifier(), browser=False)
    port = int(handle.url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as late:
        late.sendall(f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert late.recv(1000).startswith(b"HTTP/1.1 200")
        for connection in handle._server.server_state.connections:
            connection.shutdown = lambda: None
        assert handle.close()
        with contextlib.suppress(ConnectionResetError):
            while late.recv(1000):
                pass
