"""Random requests of each route, valid and broken: no 5xx, nothing told, memory bounded.

`CONVSCOPE_REQUESTS=1000` makes as many of each route; by default 40.

They go straight into the app behind its door, without a socket.
"""

import asyncio
import gc
import json
import os
import random
import re
from pathlib import Path

import httpx
import pytest

from convscope.explorer.explorer import Explorer
from convscope.explorer.gallery import Images
from convscope.explorer.store import Store
from convscope.server.app import build
from convscope.server.guard import Door, Guard

EACH = int(os.environ.get("CONVSCOPE_REQUESTS", "40"))
GROWTH = 100e6  # bytes of the process; the bound of its passes is 30 MB, that of its files 0.1
PRIVATE = re.compile(r"Traceback|site-packages|\.py\b|File \"|/usr/|/home/|/root/|/tmp/|line \d+")
NASTY = [
    "", "0", "-1", "x", "1e9", "99999999999999999999", "../../etc/passwd", "\x00", "%00", "NaN",
    "null", "[]", "{}", "<script>", "data-1", "é" * 50, "٣", "0-", "-", ",", "0,0", "0-99999", " 1",
    "[[" * 500, '[["fc1",0]]', "true", "a" * 3000, "'; drop table", "\ud7ff", "1.5", "inf",
]  # fmt: skip


GETS = (
    "subject", "layer", "gallery", "predictions", "picture", "pass", "values", "maps", "kernels",
    "parts", "number", "presets", "output_size", "card", "card/picture", "projected",
    "projected/picture", "laboratory", "moved", "moved/picture", "moved/map", "pathways",
    "pathways/maps", "pathways/proof",
)  # fmt: skip
POSTS = ("images", "filter")


@pytest.mark.slow
@pytest.mark.parametrize("route", [*GETS, *POSTS])
def test_random_requests_of_a_route_are_answered_in_order(running, route):
    files = sorted(map(str, (running.folder / "coat").glob("*.png")))[:3]
    images = Images(running.dataset, files, max_dropped=100_000)
    learned = running.explorer.learned
    explorer = Explorer(running.explorer.subject, images, Store(30_000_000), learned)
    app = Guard(build(explorer), Door(8000, "token", frozenset({"localhost"})))
    maker = Maker(running, random.Random(route))
    first = asyncio.run(_ask(app, maker, explorer, route, 100))  # loads and caches things once
    gc.collect()
    before = memory()
    found = asyncio.run(_ask(app, maker, explorer, route, EACH))
    gc.collect()
    assert memory() - before < GROWTH
    assert images.dropped_bytes <= 100_000
    assert sum(found.values()) == EACH
    valid_alone = route in ("subject", "presets", "laboratory")
    known = {*first, *found}
    assert known == {200} if valid_alone else {200} < known <= {200, 404, 422}, known


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
        layer, shape = self.random.choice(self.layers)
        units = [[layer, self.random.randrange(20)] for _ in range(self.random.randrange(3))]
        whole = {name: self.random.randrange(-2, 60) for name in
                 ("size", "kernel", "stride", "padding", "dilation")}  # fmt: skip
        seen = {"image": self.image(), "target": self.random.randrange(6), "off": json.dumps(units)}
        index = ",".join(str(self.random.randrange(side + 1)) for side in shape)
        channels = {"channel": self.random.randrange(9), "inputs": self.span(3)}
        card = {"layer": self.random.choice(["stem.0", "stem.3", "block", layer]),
                "channel": self.random.randrange(9)}  # fmt: skip
        kind = self.random.choice(["patch", "projection"])
        at = self.random.choice(["", f"{self.random.randrange(9)},{self.random.randrange(9)}"])
        unit = {**card, "image": seen["image"], "off": seen["off"], "at": at}
        dx, dy = self.random.randrange(-17, 17), self.random.randrange(-17, 17)
        still = {"image": seen["image"], "off": seen["off"],
                 "border": self.random.choice(["zero", "edge", "reflect", "circular"])}  # fmt: skip
        classes = {"image": seen["image"], "target": seen["target"],
                   "contrast": self.random.randrange(6)}  # fmt: skip
        queries = {
            "layer": {"layer": layer},
            "gallery": {"split": "all", "label": self.random.randrange(6),
                        "offset": self.random.randrange(40), "limit": self.random.randrange(210)},
            "predictions": {"images": ",".join(self.image() for _ in range(3))},
            "picture": {"image": self.image(), "size": self.random.choice(["thumb", "input"])},
            "pass": seen,
            "values": {**seen, "layer": layer},
            "maps": {**seen, "layer": layer, "channels": self.span(shape[0] if shape else 1)},
            "kernels": {"layer": layer, **channels},
            "parts": {**seen, "layer": self.random.choice(["block", "strided", layer]), **channels},
            "number": {**seen, "layer": layer, "index": index},
            "output_size": whole,
            "card": card,
            "moved": {**still, "dx": dx, "dy": dy},
            "moved/picture": {"image": seen["image"], "dx": dx, "dy": dy},
            "moved/map": {**still, "run": self.random.randrange(3)},
            "pathways": classes,
            "pathways/maps": {**classes, "layer": self.random.choice(["narrow", "fc1", layer])},
            "pathways/proof": classes,
            "card/picture": {**card, "rank": self.random.randrange(-1, 12), "kind": kind},
            "projected": unit,
            "projected/picture": {**unit, "kind": kind},
        }  # fmt: skip
        query = {name: self.often(value) for name, value in queries.get(route, {}).items()}
        if query and self.random.random() < 0.05:
            query.pop(self.random.choice(list(query)))
        return query

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
