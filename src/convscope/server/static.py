"""The page: the built files in the package's folder `static`."""

import hashlib
import re
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

from convscope.explorer.problem import RefusedError

STATIC = Path(__file__).with_name("static")
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_UNBUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>convscope</title>
<h1>The page is not built</h1>
<p>This copy of convscope comes from its source. Build the page with <code>make web</code>, then
load this address again. The answers to <code>/api/subject</code> and the like are there.</p></html>
"""

routes = APIRouter(include_in_schema=False)


@routes.api_route("/health", methods=["GET", "HEAD"])
async def health() -> Response:
    """Whether the server runs; needs no token."""
    return Response('{"status":"ok"}', media_type="application/json")


@routes.api_route("/", methods=["GET", "HEAD"])
async def index(request: Request) -> Response:
    """The page; the same for every query."""
    return _file(request, STATIC / "index.html") or Response(
        _UNBUILT, media_type=_KINDS[".html"], headers={"Cache-Control": "no-store"}
    )


@routes.api_route("/favicon.svg", methods=["GET", "HEAD"])
async def icon(request: Request) -> Response:
    """The page's icon."""
    return _required(_file(request, STATIC / "favicon.svg"))


@routes.api_route("/assets/{name}", methods=["GET", "HEAD"])
async def asset(request: Request, name: str) -> Response:
    """A built file; its name contains a hash of its content, so it never changes."""
    if not _NAME.fullmatch(name):
        return _required(None)
    return _required(_file(request, STATIC / "assets" / name, immutable=True))


def _required(response: Response | None) -> Response:
    if response is None:
        raise RefusedError(404, "there is nothing at this address")
    return response


def _file(request: Request, path: Path, *, immutable: bool = False) -> Response | None:
    kind = _KINDS.get(path.suffix)
    if kind is None or not path.is_file():
        return None
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    caching = "private, max-age=31536000, immutable" if immutable else "no-cache"
    headers = {"ETag": tag, "Cache-Control": caching}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if request.method == "HEAD":
        headers["Content-Length"] = str(len(content))
        content = b""
    return Response(content, media_type=kind, headers=headers)
