"""How fast the page answers, in a real Chromium: what a person waits for."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

import numpy as np
import torch
from PIL import Image

import convscope
from benchmarks.measure import Row
from convscope.graph.capture import capture
from convscope.graph.trace import trace

_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
# Goes to another place of the page without loading it anew.
_GO = "to => { history.pushState(null, '', to); dispatchEvent(new PopStateEvent('popstate')) }"
# The moment when an element's text has changed after an action, on the page's own clock.
_CHANGED = """
([selector, before]) => new Promise(resolve => {
  const look = () => document.querySelector(selector)?.innerText !== before
    ? resolve(performance.now()) : requestAnimationFrame(look);
  look();
})
"""
# The browser's own time of each event of the pointer: the driver's way to it is not the page's.
_NOTE_MOVES = "addEventListener('pointermove', event => { window.moved = event.timeStamp }, true)"
_FRAMES = """
([selector, milliseconds]) => new Promise(resolve => {
  const place = document.querySelector(selector);
  const times = [];
  const begun = performance.now();
  const step = now => {
    times.push(now);
    const share = (now - begun) / milliseconds;
    place.scrollTop = (place.scrollHeight - place.clientHeight) * Math.min(1, share);
    share < 1 ? requestAnimationFrame(step) : resolve(times);
  };
  requestAnimationFrame(step);
})
"""


def measure(rounds: int) -> list[Row]:
    """Rows for a trained-size network and for VGG-16 at 224 x 224."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        images = _photos(Path(folder), rounds + 1)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-headless-shell"),
            args=list(_FLAGS),
        )
        try:
            return [*_small(browser, images, rounds), *_vgg16(browser, images, rounds)]
        finally:
            browser.close()


def _photos(folder: Path, count: int) -> list[Path]:
    """Seeded pictures of falling octaves, 300 x 260 pixels."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(count):
        pixels = sum(
            np.kron(random.normal(0, 1 / size, (size, size, 3)), np.ones((256 // size,) * 2 + (1,)))
            for size in (2, 8, 32, 128)
        )
        scaled = (np.clip(np.asarray(pixels) * 200 + 128, 0, 255)).astype(np.uint8)
        paths.append(folder / f"{number}.png")
        Image.fromarray(scaled).resize((300, 260)).save(paths[-1])
    return paths


@contextmanager
def _opened(
    browser: Any, model: Any, images: list[Path], **more: Any
) -> Iterator[Callable[..., Any]]:
    """Opens the page at a place, with the seconds until a selector was there."""
    handle = convscope.explore(model, images=[str(path) for path in images], browser=False, **more)
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    try:
        context.new_page().goto(handle.url)

        def at(selector: str, **place: str) -> tuple[Any, float]:
            page = context.new_page()
            began = perf_counter()
            page.goto(f"{handle.url.split('/?')[0]}/?{urlencode(place)}", wait_until="commit")
            page.locator(selector).first.wait_for()
            return page, perf_counter() - began

        yield at
    finally:
        context.close()
        handle.close()


def _small(browser: Any, images: list[Path], rounds: int) -> list[Row]:
    model, mlp = (
        convscope.build_model(name, num_classes=10, input_shape=(3, 28, 28), seed=0)
        for name in ("vgg-small", "mlp")
    )
    with _opened(browser, model, images, beside={"mlp": mlp}) as at:
        at("aside h2")[0].close()
        paints = []
        for _ in range(rounds):
            page, seconds = at("aside h2 >> visible=true", image="file-0")
            paints.append(seconds)
            page.close()
        page, _ = at(".verdict", view="number", layer="features.3", unit="1", image="file-0")
        hovers = _moves(page, page.locator("main canvas").last, "main h1", 10 * rounds)
        page, _ = at("section[data-run='mlp']", view="shift", image="file-0")
        stage = page.get_by_role("button", name="The image, where it stands")
        box = stage.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        drags = _moves(page, stage, "[data-testid=shift]", 10 * rounds)
    return [
        _row("explorer: first meaningful paint, vgg-small at 28 x 28", paints, "s",
             "from the address to the network with the image's probabilities; wanted: 1.5"),
        _row("explorer: hover to the new number, vgg-small at 28 x 28", hovers, "ms",
             "from the pointer's event on another pixel of the output map; wanted: 50"),
        _row("explorer: dragged image to the answers of vgg-small and mlp at 28 x 28", drags, "ms",
             "from the pointer's event to both new answers"),
    ]  # fmt: skip


def _moves(page: Any, over: Any, told: str, count: int) -> list[float]:
    """Milliseconds from each move of the pointer over an element to another text elsewhere."""
    box, found = over.bounding_box(), []
    page.evaluate(_NOTE_MOVES)
    for number in range(count):
        before = page.inner_text(told)
        x = box["x"] + box["width"] * (0.1 + 0.8 * ((number * 7) % 10) / 10)
        y = box["y"] + box["height"] * (0.1 + 0.8 * ((number * 3) % 10) / 10)
        page.mouse.move(x, y)
        found.append(page.evaluate(_CHANGED, [told, before]) - page.evaluate("window.moved"))
    return found


def _vgg16(browser: Any, images: list[Path], rounds: int) -> list[Row]:
    torch.manual_seed(0)
    model = convscope.build_model("vgg16", seed=0)
    passes, plain, numbers = [], [], []
    batch = torch.randn(1, 3, 224, 224)
    graph = capture(model.module, batch)
    with _opened(browser, model, images) as at:
        at("aside h2")[0].close()
        for number in range(rounds):
            began = perf_counter()
            trace(graph, batch)
            plain.append(perf_counter() - began)
            page, seconds = at("aside h2 >> visible=true", image=f"file-{number + 1}")
            passes.append(seconds)
            page.close()
        for layer, at_place in (
            ("features.0", "100,100"), ("features.7", "50,50"), ("features.28", "7,7"),
            ("features.30", "3,3"), ("classifier.0", "0,0"), ("classifier.6", "0,0"),
        ):  # fmt: skip
            page, _ = at("aside h2", image="file-1")
            page.wait_for_load_state("networkidle")
            began = perf_counter()
            page.evaluate(
                _GO,
                "?" + urlencode(
                    {"view": "number", "layer": layer, "unit": "5", "at": at_place,
                     "image": "file-1"}
                ),
            )  # fmt: skip
            page.locator(".verdict").first.wait_for()
            numbers.append((perf_counter() - began) * 1000)
            page.close()
        page, _ = at(".field canvas", view="layer", layer="features.21",
                     image="file-1")  # fmt: skip
        times = page.evaluate(_FRAMES, [".field", 3000])
    rates = [1000 / max(b - a, 1e-3) for a, b in pairwise(times)]
    return [
        Row("explorer: image to full trace, vgg16 at 224 x 224", passes, plain, "the page",
            "trace()", "s", higher_is_better=False,
            note="a new image by its address, until its probabilities are there; wanted: 2"),
        _row("explorer: a number of vgg16, once traced", numbers, "ms",
             "six layers, fully connected ones too, from the address; wanted: 300"),
        _row("explorer: frames while 512 maps scroll", rates, "frames/s",
             "each frame of three seconds from the first map to the last; wanted: 30",
             higher_is_better=True),
    ]  # fmt: skip


def _row(name: str, values: list[float], unit: str, note: str, **more: bool) -> Row:
    better = more.get("higher_is_better", False)
    return Row(name, values, [], "the page", "", unit, higher_is_better=better, note=note)
