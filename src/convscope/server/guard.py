"""Access control: an ASGI layer that refuses requests before the app sees them.

`/health`, which reveals nothing, needs no cookie and is open to any site.

| check                                   | refused with |
|-----------------------------------------|--------------|
| GET, HEAD or POST                       | 405          |
| Host is an address of this server       | 403          |
| Origin, if sent, is the same address    | 403          |
| Sec-Fetch-Site is not another site      | 403          |
| the query is not too long               | 414          |
| the cookie holds the token              | 403          |
| the body is not too large               | 413          |

The token is in the printed address. The first request with it sets a cookie that no script and no
other site can use. The Host check stops pages whose domain name was changed to point to this
machine (DNS rebinding).
"""

import asyncio
import hmac
import sys
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import nullcontext
from dataclasses import dataclass
from html import escape
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl, urlencode

from convscope.explorer.gallery import MAX_UPLOAD
from convscope.explorer.wire import Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_QUERY = 16_384
MAX_JSON = 1_000_000
HEALTH = "/health"
UPLOAD = "/api/images"
_BODIES = 4  # uploads at the same time, each held in memory
_IDLE = 10.0  # seconds to wait for more of a body
_OWN = (b"same-origin", b"none")

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            b"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
            b"frame-ancestors 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

_REFUSED_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>convscope</title>
<h1>This page needs the address that convscope printed</h1>
<p>It looks like <code>http://{host}/?token=...</code> and was printed in the terminal where
<code>convscope explore</code> was started. Open it once; then this browser has access until
convscope stops. Each start prints a new address.</p></html>"""
_CONTINUE_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>convscope</title>
<meta http-equiv="refresh" content="0;url={address}">
<p><a href="{address}">Continue to the explorer</a></p></html>"""


@dataclass(frozen=True)
class Access:
    """The server's address, and the token that gives access.

    `names` are the host names that a browser may use. With `anywhere`, as when the server listens
    on all of the machine's addresses, every IP address is accepted too: unlike a name, an address
    cannot be made to point to another machine.
    """

    port: int
    token: str
    names: frozenset[str]
    anywhere: bool = False

    @property
    def cookie(self) -> str:
        """The cookie's name; cookies are shared between a host's ports."""
        return f"convscope-{self.port}"

    def allows_host(self, host: bytes) -> bool:
        """Whether a request's Host header is an address of this server."""
        text = host.decode("latin-1").lower()
        name, separator, port = text.rpartition(":")
        if not separator or text.endswith("]"):
            name, port = text, "80"
        if port != str(self.port):
            return False
        return name in self.names or (self.anywhere and _is_address(name.strip("[]")))

    def allows_token(self, token: str) -> bool:
        """Whether `token` is right, compared in constant time."""
        return hmac.compare_digest(token.encode(errors="replace"), self.token.encode())


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


class Guard:
    """The app with access control."""

    def __init__(self, app: App, access: Access) -> None:
        self._app = app
        self._access = access
        self._uploads = asyncio.Semaphore(_BODIES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or passes it to the app."""
        if scope["type"] != "http":
            return
        reply = _Reply(scope, send)
        try:
            await self._answer(scope, receive, reply)
        except asyncio.CancelledError:
            # The server is closing; a client in the middle of a body would not notice it otherwise.
            if not reply.started:
                await reply.problem(503, "convscope is closing", close=True)
        except Exception as error:  # noqa: BLE001 (of the app; it must go on)
            frames = traceback.extract_tb(error.__traceback__)
            place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"
            text = " ".join(str(error).split())
            sys.stderr.write(f"convscope: bug: {type(error).__name__}: {text} ({place})\n")
            if not reply.started:
                await reply.problem(500, "something went wrong; convscope's terminal says what")

    async def _answer(self, scope: Scope, receive: Receive, reply: "_Reply") -> None:
        method, path = scope["method"], scope["path"]
        headers = _Headers(scope["headers"])
        hosts = headers.all(b"host")
        if method not in ("GET", "HEAD", "POST"):
            return await reply.problem(405, "only GET, HEAD and POST are answered")
        if len(hosts) != 1 or not self._access.allows_host(hosts[0]):
            return await reply.problem(403, "this Host is not where convscope listens")
        if any(
            origin.lower() != b"http://" + hosts[0].lower() for origin in headers.all(b"origin")
        ):
            return await reply.problem(403, "requests from other pages are refused")
        if len(scope["query_string"]) > MAX_QUERY:
            return await reply.problem(414, f"the query is longer than {MAX_QUERY:,} bytes")
        if path == HEALTH:
            return await self._app(scope, receive, reply.send)
        opening = path == "/" and method != "POST"
        other_site = any(site not in _OWN for site in headers.all(b"sec-fetch-site"))
        if opening:
            query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            tokens = [value for name, value in query if name == "token"]
            if any(map(self._access.allows_token, tokens)):
                rest = [(name, value) for name, value in query if name != "token"]
                return await self._grant_access(reply, rest, other_site)
        elif other_site:
            return await reply.problem(403, "requests from other sites are refused")
        if not any(map(self._access.allows_token, _cookies(headers, self._access.cookie))):
            if path.startswith("/api/"):
                return await reply.problem(403, "open the address that convscope printed")
            return await reply.page(
                403, _REFUSED_PAGE.format(host=escape(hosts[0].decode("latin-1")))
            )
        if method != "POST":
            return await self._app(scope, receive, reply.send)
        limit = MAX_UPLOAD if path == UPLOAD else MAX_JSON
        lengths = headers.all(b"content-length")
        if any(not length.isdigit() or int(length) > limit for length in lengths):
            return await reply.problem(413, f"more than {limit:,} bytes", close=True)
        async with self._uploads if path == UPLOAD else nullcontext():
            try:
                body = await _body(receive, limit)
            except TimeoutError:
                return await reply.problem(408, "the rest of the request did not come", close=True)
            if body is None:
                return await reply.problem(413, f"more than {limit:,} bytes", close=True)
            return await self._app(scope, _replayed(body, receive), reply.send)

    async def _grant_access(
        self, reply: "_Reply", query: list[tuple[str, str]], other_site: bool
    ) -> None:
        address = "/?" + urlencode(query) if query else "/"
        cookie = f"{self._access.cookie}={self._access.token}; HttpOnly; SameSite=Strict; Path=/"
        more = [(b"set-cookie", cookie.encode())]
        if other_site:
            # Of a link on another site, such as a notebook: a redirect would count as that site's
            # and go without the cookie. What this page opens by itself is our own.
            return await reply.page(200, _CONTINUE_PAGE.format(address=escape(address)), more)
        more.append((b"location", address.encode("latin-1", "replace")))
        return await reply.page(303, "", more)


class _Headers:
    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self._pairs = pairs

    def all(self, name: bytes) -> list[bytes]:
        """The values of all headers of that (lower-case) name."""
        return [value for key, value in self._pairs if key.lower() == name]


class _Reply:
    """Sends a response with the headers that all responses have."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._private = scope["path"].startswith("/api/") or scope["path"] == HEALTH
        self._head = scope["method"] == "HEAD"
        self.started = False

    async def send(self, message: Message) -> None:
        """Forwards a message of the app."""
        if message["type"] == "http.response.start":
            self.started = True
            headers = [*message.get("headers", ()), *HEADERS]
            if self._private:
                headers.append((b"cache-control", b"no-store"))
            message = {**message, "headers": headers}
        await self._send(message)

    async def problem(self, status: int, error: str, *, close: bool = False) -> None:
        """A `Problem`; `close` ends the connection without reading the rest of the request."""
        content = Problem(error=error).model_dump_json().encode()
        more = [(b"connection", b"close")] if close else []
        await self._whole(status, content, b"application/json", more)

    async def page(
        self, status: int, text: str, more: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        """A page with a plain message that is not cached."""
        headers = [(b"cache-control", b"no-store"), *(more or ())]
        await self._whole(status, text.encode(), b"text/html; charset=utf-8", headers)

    async def _whole(
        self, status: int, content: bytes, kind: bytes, more: list[tuple[bytes, bytes]]
    ) -> None:
        length = str(len(content)).encode()
        headers = [(b"content-type", kind), (b"content-length", length), *more]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        body = b"" if self._head else content
        await self.send({"type": "http.response.body", "body": body})


def _cookies(headers: _Headers, name: str) -> list[str]:
    values = []
    for header in headers.all(b"cookie"):
        # Not by Python's parser, which rejects all cookies if it cannot parse one of them:
        # cookies of other servers on this machine are sent here too.
        for pair in header.decode("latin-1").split(";"):
            key, _, value = pair.strip().partition("=")
            if key == name:
                values.append(value)
    return values


async def _body(receive: Receive, limit: int) -> bytes | None:
    """The complete body; None as soon as it exceeds the limit.

    Raises:
        TimeoutError: no data arrived for a while.
    """
    body = bytearray()
    while True:
        async with asyncio.timeout(_IDLE):
            message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The app's `receive`: first the complete body, then further messages."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
