"""Random requests of each route, valid and broken: no 5xx, nothing told, memory bounded.

`CONVSCOPE_REQUESTS=1000` makes as many of each route; by default 40.

They go straight into the app with access control, without a socket.
"""

import asyncio
import gc
import json
import os
import random
import re
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from convscope.explorer.gallery import Images
from convscope.explorer.store import Store
from convscope.server.app import build
from convscope.server.guard import Access, Guard

EACH = int(os.environ.get("CONVSCOPE_REQUESTS", "40"))
GROWTH = 100e6  # bytes of the process; the bound of its passes is 30 MB, that of its files 0.1
PRIVATE = re.compile(r"Traceback|site-packages|\.py\b|File \"|/usr/|/home/|/root/|/tmp/|line \d+")
NASTY = [
    "", "0", "-1", "x", "1e9", "99999999999999999999", "../../etc/passwd", "\x00", "%00", "NaN",
    "null", "[]", "{}", "<script>", "data-1", "é" * 50, "٣", "0-", "-", ",", "0,0", "0-99999", " 1",
    "[[" * 500, '[["fc1",0]]', "true", "a" * 3000, "'; drop table", "\ud7ff", "1.5", "inf",
]  # fmt: skip


# Every route of the schema: a new one is asked for without being named here.
PATHS = {
    path.removeprefix("/api/"): methods
    for path, methods in build(None).openapi()["paths"].items()
    if path.startswith("/api/")
}
GETS = {
    route: {one["name"]: one["schema"] for one in methods["get"].get("parameters", ())
            if one["in"] == "query"}
    for route, methods in PATHS.items() if "get" in methods
}  # fmt: skip
POSTS = tuple(route for route, methods in PATHS.items() if "post" in methods)
# Drawing takes longer than answering.
WARM, FEW = 100, 20


@pytest.mark.slow
@pytest.mark.parametrize("route", [*GETS, *POSTS])
def test_random_requests_of_a_route_are_answered_in_order(running, route):
    files = sorted(map(str, (running.folder / "coat").glob("*.png")))[:3]
    images = Images(running.dataset, files, max_dropped=100_000)
    explorer = replace(running.explorer, images=images, store=Store(30_000_000))
    app = Guard(build(explorer), Access(8000, "token", frozenset({"localhost"})))
    maker = Maker(running, random.Random(route))
    drawn = route.endswith("/picture")
    # Loads and caches things once.
    first = asyncio.run(_ask(app, maker, explorer, route, FEW if drawn else WARM))
    gc.collect()
    before = memory()
    found = asyncio.run(_ask(app, maker, explorer, route, EACH))
    gc.collect()
    assert memory() - before < GROWTH
    assert images.dropped_bytes <= 100_000
    assert sum(found.values()) == EACH
    known = {*first, *found}
    assert {200} <= known <= {200, 404, 422}, known
    if GETS.get(route) or route in POSTS:
        assert known != {200}, "no request was wrong"


class Maker:
    """Makes requests: each part is as it should be, most of the time."""

    def __init__(self, running, random):
        self.random = random
        self.layers = [(node.name, node.output_shape) for node in running.explorer.subject.nodes]
        self.png = (running.folder / "coat" / "0.png").read_bytes()

    def image(self):
        names = [f"data-{self.random.randrange(33)}", f"file-{self.random.randrange(4)}"]
        return self.random.choice(names)

    def often(self, value):
        return value if self.random.random() < 0.85 else self.random.choice(NASTY)

    def span(self, count):
        first = self.random.randrange(count + 1)
        return self.random.choice([f"0-{count - 1}", f"{first}", f"{first}-{first + 2}"])

    def query(self, route):
        """A value for each parameter: what its name means here, else what its schema allows."""
        layer, shape = self.random.choice(self.layers)
        layer = self.random.choice(["stem.0", "stem.3", "block", "narrow", "fc1", layer, layer])
        shape = dict(self.layers)[layer]
        number = self.random.randrange
        units = [[layer, number(20)] for _ in range(number(3))]
        named = {
            "image": self.image(),
            "images": ",".join(self.image() for _ in range(3)),
            "layer": layer,
            "array": self.random.choice(
                ["concatenate", "relu#2", layer, f"{layer} learned", "mass"]
            ),
            "off": json.dumps(units) if number(2) else "",
            "target": number(6), "contrast": number(6), "label": number(6), "run": number(3),
            "offset": number(40), "limit": number(210), "rank": number(-1, 12),
            "channel": number(9), "dx": number(-17, 17), "dy": number(-17, 17),
            "inputs": self.span(3),
            "channels": self.span(shape[0] if shape else 1),
            "index": ",".join(str(number(side + 1)) for side in shape),
            "at": self.random.choice(["", f"{number(9)},{number(9)}"]),
            "kind": self.random.choice(["patch", "projection"]),
            "border": self.random.choice(["zero", "edge", "reflect"]),
            "split": "all",
            "size": self.random.choice(["thumb", "input"]) if route == "picture" else number(60),
        }  # fmt: skip
        query = {}
        for name, schema in GETS.get(route, {}).items():
            if name in named:
                query[name] = self.often(named[name])
            elif number(2):
                query[name] = self.often(self.allowed(schema))
        if query and self.random.random() < 0.05:
            query.pop(self.random.choice(list(query)))
        return {name: value for name, value in query.items() if value is not None}

    def allowed(self, schema):
        """A value that a parameter's schema allows, or nearly."""
        kinds = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
        (kind,) = kinds
        if "enum" in kind:
            return self.random.choice(kind["enum"])
        if kind["type"] == "integer":
            low = kind.get("minimum", 0)
            return self.random.randrange(low - 1, min(kind.get("maximum", 60), low + 60) + 1)
        if kind["type"] == "number":
            return self.random.random()
        if kind["type"] == "array":
            return [self.random.choice(self.layers)[0]]
        return self.random.random() < 0.5 if kind["type"] == "boolean" else "x"

    def content(self, route):
        if route == "images":
            cut = self.random.randrange(len(self.png))
            damaged = bytearray(self.png)
            damaged[cut] ^= 1 << self.random.randrange(8)
            body = self.random.choice([self.png, bytes(damaged), self.png[:cut], b"", b"\xff\xd8"])
            return self.random.choice([body, body + bytes([self.random.randrange(256)])])
        side = self.random.randrange(4)
        asked = {
            "kernel": [[self.often(1.5) for _ in range(side)] for _ in range(side)],
            "image": self.often(self.random.choice([None, self.image()])),
            "stride": self.often(self.random.randrange(4)),
            "padding": self.often(self.random.randrange(4)),
            "at": self.often([self.random.randrange(16), 0]),
            "border": self.often("reflect"), "picture": self.random.random() < 0.5,
        }  # fmt: skip
        text = json.dumps(asked)
        return (text if self.random.random() < 0.95 else text[:-5]).encode()

    def name(self):
        return self.random.choice(["a.png", "", "%2e%2e%2f", "%ff%fe", "x" * 900, "%00"])


async def _ask(app, maker, explorer, route, times):
    """How often each status was the answer."""
    found = {}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
        client.cookies.set("convscope-8000", "token")
        path = f"/api/{route}"
        for _ in range(times):
            if route in GETS:
                response = await client.get(path, params=maker.query(route))
            else:
                headers = {"Content-Type": "application/json", "X-Name": maker.name()}
                response = await client.post(path, content=maker.content(route), headers=headers)
            found[response.status_code] = found.get(response.status_code, 0) + 1
            check(route, response)
            assert explorer.store.bytes <= explorer.store.max_bytes
    return found


def check(route, response):
    text = "" if response.headers.get("X-Shape") else response.content.decode("latin-1")
    where = f"{response.request.url}: {response.status_code} {text[:300]}"
    assert response.status_code < 500, where
    if response.headers["content-type"] == "image/png":
        return
    if response.status_code >= 400:
        assert set(response.json()) == {"error"}, where
        text = response.json()["error"]
    elif route == "pass":
        text = json.loads(response.text.splitlines()[-1])["error"] or ""
    # A wrong name may be said back; that is the asker's own.
    for given in response.request.url.params.values():
        text = text.replace(given, "").replace(repr(given), "") if len(given) > 2 else text
    assert not PRIVATE.search(text), where
    assert "something went wrong" not in text, where


def memory():
    """The process's resident bytes."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024
