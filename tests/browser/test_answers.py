"""A number stands only under the name that it belongs to, also while answers are on their way."""

import re

import pytest

from plain import outputs, written

NUMBERS = re.compile(r"\u2212?\d+\.\d{3,}(?:e\u2212?\d+)?")
ROUTES = re.compile(r"/api/(pass|maps|values|number|kernels|parts|filter|gallery|predictions)")


class Held:
    """Requests that the page waits for until they are let go."""

    def __init__(self, page):
        self._page, self._routes, self._open = page, [], False
        page.route(ROUTES, self._take)
        self._in_force()

    def _in_force(self):
        """A page hears of its first route a little later, and until then its requests pass by."""
        caught = []
        page = self._page
        page.route("**/", lambda route: (caught.append(route), route.fulfill(body="")))
        for _ in range(100):
            page.evaluate("fetch('/', {cache: 'no-store'}).then(() => null)")
            if caught:
                break
        assert caught
        page.unroute("**/")

    def _take(self, route):
        if self._open:
            route.fallback()
        else:
            self._routes.append(route)

    def wait(self):
        while not self._routes:
            self._page.wait_for_timeout(20)

    def go(self):
        self._open = True
        for route in self._routes:
            route.continue_()


def numbers(page, place="main"):
    return set(NUMBERS.findall(page.inner_text(place)))


def settled(page, least=1):
    """All numbers are there: the page waits for nothing."""
    page.wait_for_function(
        # In the network's view rows out of view wait.
        "n => !document.querySelector('main :not(.maps *)[aria-busy=true]')"
        " && (document.querySelector('main').innerText.match(/\\d\\.\\d{3}/g) ?? []).length >= n"
        " && !document.querySelector('main').innerText.includes('\u2026')",
        arg=least,
    )


CHANNELS = {
    "convolution": ("stem.0", "]", 9),
    "pool": ("stem.3", "]", 3),
    "sum": ("add", "]", 3),
    "unit": ("fc1", "]", 1),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_another_channel_has_no_number_until_its_own_is_there(page_at, subject, name):
    layer, key, least = CHANNELS[name]
    page = page_at(view="channel", layer=layer, unit=1, at="1,1", image="data-5")
    settled(page, least)
    before = numbers(page)
    held = Held(page)
    page.keyboard.press(key)
    page.get_by_role("heading", level=1, name=re.compile(r", (channel|unit)\s+2")).wait_for()
    held.wait()
    shown = before & numbers(page)
    values = outputs(subject.classifier.module, subject.images(5))[layer].flatten().tolist()
    # What does not change with the channel may stand there; of the layer's values none does.
    assert not shown & {written(value) for value in values}
    assert "\u2026" in page.inner_text("main")
    held.go()
    settled(page, least)
    assert numbers(page) - before


PLACES = {
    "network": {},
    "layer": {"view": "layer", "layer": "stem.0", "unit": 2},
    "vector": {"view": "layer", "layer": "fc1"},
    "scores": {"view": "layer", "layer": "fc2"},
    "channel": {"view": "channel", "layer": "stem.0", "unit": 1, "at": "3,4"},
    "unit": {"view": "channel", "layer": "fc2", "unit": 1},
    "number": {"view": "number", "layer": "stem.0", "unit": 1, "at": "3,4", "tab": 1},
    "classifier": {"view": "classifier"},
}


@pytest.mark.parametrize("name", PLACES)
def test_another_image_has_no_number_until_its_own_is_there(page_at, name):
    page = page_at(image="data-5", **PLACES[name])
    least = {"network": 0, "unit": 1}.get(name, 3)
    settled(page, least)
    page.locator("aside ol.bars").wait_for()
    before = numbers(page)
    constants = before & numbers_of_another(page, least)
    held = Held(page)
    page.locator("aside").get_by_role("button", name="Choose an image").click()
    page.evaluate("document.querySelector('dialog').close()")
    page.evaluate("history.pushState(null, '', location.search.replace('data-5', 'data-9'))")
    page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    page.locator("aside img[src*='data-9']").wait_for()
    held.wait()
    assert not (numbers(page) & before) - constants
    assert page.locator("aside ol.bars").count() == 0
    held.go()
    settled(page, least)
    page.locator("aside ol.bars").wait_for()
    assert name == "network" or numbers(page) - before


def numbers_of_another(page, least):
    """What stands there for every image: weights, biases, settings."""
    other = page.context.new_page()
    other.goto(page.url.replace("data-5", "data-9"))
    other.wait_for_selector("main#view > *")
    settled(other, least)
    found = numbers(other)
    other.close()
    return found


def test_probabilities_stand_beside_what_they_were_computed_with(page_at):
    page = page_at(view="layer", layer="stem.2", unit=3, image="data-5")
    page.get_by_role("option").nth(3).wait_for()
    before = page.inner_text("aside ol.bars")
    page.get_by_role("listbox").focus()
    held = Held(page)
    page.keyboard.press("o")
    page.wait_for_url("**off=**")
    held.wait()
    bars = page.locator("aside ol.bars")
    assert bars.inner_text() == before
    assert bars.locator("xpath=..").get_attribute("aria-busy") == "true"
    assert "switched off" not in page.inner_text("aside")
    held.go()
    page.locator("aside").get_by_text("1 unit is switched off").wait_for()
    assert bars.inner_text() != before
    assert page.evaluate("document.activeElement.role") == "listbox"  # nothing was taken away


def test_nothing_is_asked_for_during_a_pass(page_at):
    page = page_at(view="layer", layer="stem.0", image="data-5")
    settled(page)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for view, layer in (("layer", "block"), ("channel", "block"), ("number", "block"),
                        ("classifier", ""), ("network", "")):  # fmt: skip
        held = Held(page)
        asked.clear()
        image = f"data-{10 + len(view)}"
        page.evaluate(
            "place => { history.pushState(null, '', '?' + new URLSearchParams(place));"
            " dispatchEvent(new PopStateEvent('popstate')) }",
            {"view": view, "layer": layer, "image": image},
        )
        held.wait()
        page.wait_for_timeout(150)
        # What the view before had asked for may still be on its way.
        computed = [url for url in asked if ROUTES.search(url) and f"image={image}&" in f"{url}&"]
        assert [ROUTES.search(url)[1] for url in computed if "kernels" not in url] == ["pass"]
        held.go()
        page.locator("aside ol.bars").wait_for()


FAILING = {
    "pass": ({}, "aside ol.bars"),
    "values": ({"view": "layer", "layer": "fc1"}, "main .reading .number"),
    "layer": ({"view": "channel", "layer": "stem.0", "unit": 1}, "[data-map='stem.0']"),
    "kernels": ({"view": "channel", "layer": "stem.0", "unit": 1}, "svg text >> nth=9"),
    "number": ({"view": "number", "layer": "block"}, "[data-testid='value']"),
    "maps": ({"view": "layer", "layer": "stem.0"}, "canvas[data-painted]"),
    "filter": ({"view": "kernel", "kernel": "x"}, "[data-testid='sum']"),
    "presets": ({"view": "kernel", "kernel": "x"}, "option[value='outline']"),
}


@pytest.mark.parametrize("name", FAILING)
def test_try_again_helps_whatever_failed(page_at, context, name):
    place, there = FAILING[name]
    answer = {"status": 500, "json": {"error": "it went wrong"}}
    wrong = re.compile(rf"/api/{name}\b")
    context.route(wrong, lambda route: route.fulfill(**answer))
    page = page_at(expected=["the server responded with a status of 5"], image="data-6", **place)
    alert = page.get_by_role("alert")
    alert.get_by_text("it went wrong").wait_for()
    page.get_by_role("button", name="Try again").click()
    alert.get_by_text("it went wrong").wait_for()
    context.unroute(wrong)
    page.get_by_role("button", name="Try again").click()
    page.locator(there).first.wait_for(state="attached")
    alert.wait_for(state="detached")
