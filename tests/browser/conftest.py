"""A real Chromium on a real server: `page_at(address)` opens the page at a place."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

import convscope
import explored
from convscope.graph.graph_of import graph_of
from convscope.graph.trace import trace

# The shell is the same engine without the windows: pages open in half the time.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
STATIC = Path(convscope.__file__).parent / "server" / "static" / "index.html"
# Chromium tries to reach its maker's hosts unless it is told not to.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--force-color-profile=srgb",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    missing = None
    if CHROMIUM is None:
        missing = "no Chromium: on Debian, apt-get install chromium-headless-shell"
    elif not STATIC.exists():
        missing = "the page is not built: make web"
    for item in items:
        if here in item.path.parents and missing and not os.environ.get("CI"):
            item.add_marker(pytest.mark.skip(reason=missing))


@dataclass(frozen=True)
class Explored:
    """What is explored, for twins in plain torch, and where the page is."""

    classifier: convscope.Classifier
    dataset: object
    url: str
    atlas: object
    dense: convscope.Classifier
    study: list

    @property
    def origin(self) -> str:
        """The address without the token."""
        return self.url.split("/?")[0]

    def images(self, number: int):
        """Image `number` of the data set as the network's input, a batch of one."""
        preprocess = self.classifier.preprocess
        return preprocess.batch([self.dataset.image(number, preprocess.channels)])

    def trace(self, number: int, **more):
        """A pass of image `number`, to compare the page's numbers with."""
        images = self.images(number)
        return trace(graph_of(self.classifier), images, **more)


@pytest.fixture(scope="session")
def subject(tmp_path_factory) -> Iterator[Explored]:
    folder = tmp_path_factory.mktemp("explored") / "images"
    explored.write_images(folder)
    classifier = explored.classifier()
    dataset = convscope.open_dataset(str(folder)).aligned_to(classifier.class_names)
    atlas = explored.write_atlas(folder.parent, classifier, dataset)
    both = {"explored": classifier, "dense": explored.dense()}
    study = explored.write_study(folder.parent, both, dataset)
    handle = convscope.explore(
        classifier, data=dataset, browser=False, run=folder.parent, beside={"dense": both["dense"]}
    )
    try:
        yield Explored(classifier, dataset, handle.url, atlas, both["dense"], study)
    finally:
        handle.close()


# Not for the session: while it runs, this thread has an event loop; other tests start their own.
@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def admitted(chromium, subject):
    """What a browser keeps that opened the printed address: the cookie."""
    with chromium.new_context() as context:
        context.new_page().goto(subject.url, wait_until="commit")
        return context.storage_state()


@pytest.fixture
def context(chromium, admitted):
    """A browser that was let in, one a test. Motion is reduced: nothing plays by itself."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 800},
        reduced_motion="reduce",
        color_scheme="light",
        storage_state=admitted,
    )
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def page_at(context, subject):
    """Opens the page at a place: `page_at(view="layer", layer="stem.0", image="data-3")`.

    What the page writes to the console as an error, and what it throws, fails the test; `expected`
    lists parts of messages that are meant to be there, `motion` is what the user prefers.
    """
    troubles: list[str] = []

    def open_at(expected=(), motion="reduce", **place):
        page = context.new_page()
        page.emulate_media(reduced_motion=motion)

        def note(text):
            if not any(part in text for part in expected):
                troubles.append(text)

        page.on("console", lambda message: message.type == "error" and note(message.text))
        page.on("pageerror", lambda error: note(str(error)))
        page.goto(f"{subject.origin}/?{urlencode(place)}")
        page.wait_for_selector("main#view > *")
        return page

    yield open_at
    assert troubles == []
