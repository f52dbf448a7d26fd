"""What holds for the page whatever it shows: safety, keyboard, themes, failures."""

import io
import struct
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import pytest
from PIL import Image

import convscope
import explored

AXE = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
PLACES = {
    "network": {},
    "layer": {"view": "layer", "layer": "stem.0", "unit": 2},
    "vector": {"view": "layer", "layer": "fc1"},
    "channel": {"view": "channel", "layer": "block", "unit": 1, "at": "3,4"},
    "number": {"view": "number", "layer": "stem.0", "unit": 1, "at": "0,5"},
    "atlas": {"view": "atlas", "layer": "block", "unit": 1},
    "pathways": {"view": "pathways", "target": 1},
    "shift": {"view": "shift", "shift": "2,-1,edge"},
    "classifier": {"view": "classifier", "target": 1},
    "kernel": {"view": "kernel"},
}


def settled(page):
    page.wait_for_load_state("networkidle")
    return page


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PLACES)
def test_axe_finds_nothing(page_at, name, theme):
    page = page_at(image="data-4", **PLACES[name])
    page.evaluate("theme => localStorage.setItem('theme', theme)", theme)
    page.reload()
    settled(page)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    told = [
        (v["id"], v["help"], [n["html"][:160] for n in v["nodes"]]) for v in found["violations"]
    ]
    page.evaluate("localStorage.removeItem('theme')")
    assert told == []


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("width", [1024, 1920])
def test_nothing_is_cut_off_at_the_side(page_at, name, width):
    page = page_at(image="data-4", **PLACES[name])
    page.set_viewport_size({"width": width, "height": 720})
    settled(page)
    sizes = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert sizes[0] <= sizes[1]
    if name != "kernel":  # it has no panel beside it
        panel = page.evaluate(
            "(e => [e.scrollWidth, e.clientWidth])(document.querySelector('aside'))"
        )
        assert panel[0] <= panel[1]


@pytest.mark.parametrize("name", PLACES)
def test_reloading_shows_the_same(page_at, name):
    page = settled(page_at(image="data-4", **PLACES[name]))
    before = page.inner_text("main")
    assert len(before) > 20
    page.reload()
    settled(page)
    assert page.inner_text("main") == before


def test_names_are_shown_and_not_run(page_at):
    page = page_at(image="data-7")
    nasty = explored.CLASSES[1]
    page.get_by_text(nasty).first.wait_for()
    for view in ("classifier", "network"):
        page = settled(page_at(view=view, image="data-7", target=1))
        assert page.locator("img[src='x']").count() == 0
        assert nasty in page.inner_text("body")


def test_addresses_that_name_nothing(page_at):
    for place in (
        {"view": "moon"},
        {"view": "layer", "layer": "nowhere"},
        {"view": "channel", "layer": "stem.0", "unit": 600},
        {"view": "number", "layer": "stem.0", "unit": 1, "at": "99,99"},
        {"view": "number", "layer": "<script>alert(1)</script>", "unit": 1},
        {"view": "classifier", "target": 99},
        {"off": '[["nowhere", 3]]'},
        {"image": "data-9999"},
        {"image": "../../etc/passwd"},
    ):
        page = settled(page_at(expected=["the server responded with a status of 4"], **place))
        assert len(page.inner_text("body")) > 50
        assert "undefined" not in page.inner_text("main")
        page.close()


def png_of(width, height):
    """A PNG whose header says so many pixels, with hardly any data."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("notes.txt", b"these are no pixels", "not an image"),
        ("huge.png", png_of(10_000, 10_000), "100,000,000|10000 x 10000"),
        ("cut.png", None, "damaged"),
    ],
)
def test_files_that_are_no_images(page_at, name, content, reason):
    if content is None:
        whole = io.BytesIO()
        Image.radial_gradient("L").save(whole, "PNG")
        content = whole.getvalue()[:900]
    page = page_at(expected=["the server responded with a status of 4"])
    page.set_input_files(
        "input[type=file]", {"name": name, "mimeType": "image/png", "buffer": content}
    )
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert any(part in alert.inner_text() for part in reason.split("|"))
    assert page.locator("[data-layer]").count() > 10  # the page goes on


def test_an_image_that_is_opened(page_at, subject):
    content = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(content, "PNG")
    page = page_at()
    page.set_input_files(
        "input[type=file]",
        {"name": "a & b.png", "mimeType": "image/png", "buffer": content.getvalue()},
    )
    page.wait_for_url("**image=drop-**")
    page.get_by_text("a & b.png").first.wait_for()
    pixels = Image.radial_gradient("L").convert("RGB")
    file = io.BytesIO()
    pixels.save(file, "PNG")
    preprocess = subject.classifier.preprocess
    from convscope.images.files import decode_image

    image = decode_image(file.getvalue(), 3, name="it")
    logits = subject.classifier.logits(preprocess.batch([image]))[0]
    best = subject.classifier.class_names[int(logits.argmax())]
    page.locator("aside h2").wait_for()
    assert page.inner_text("aside h2").startswith(best)


def test_what_was_dropped_is_listed_beside_the_data_set(page_at, subject):
    content = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(content, "PNG")
    page = page_at(image="data-3")
    page.locator("aside ol.bars").wait_for()
    page.set_input_files(
        "input[type=file]",
        {"name": "mine.png", "mimeType": "image/png", "buffer": content.getvalue()},
    )
    page.wait_for_url("**image=drop-**")
    page.locator("aside figcaption", has_text="mine.png").wait_for()
    page.get_by_role("button", name="Choose an image").click()
    pictures = page.locator("dialog li button")
    pictures.filter(has_text="mine.png").wait_for()
    split = page.get_by_label("Split")
    split.select_option("all")
    pictures.nth(29).wait_for()
    assert pictures.count() == len(subject.dataset)
    split.select_option("")
    pictures.filter(has_text="mine.png").click()
    page.wait_for_url("**image=drop-**")


def test_two_tabs_do_not_disturb_each_other(page_at):
    one = page_at(image="data-1")
    two = page_at(image="data-2", off='[["stem.2", 0]]')
    assert "switched off" in two.inner_text("aside")
    one.reload()
    settled(one)
    assert "data-1" in one.url
    assert "switched off" not in one.inner_text("aside")


def test_the_server_is_stopped_and_started_again(chromium, tmp_path):
    folder = tmp_path / "images"
    explored.write_images(folder, per_class=2)
    handle = convscope.explore(explored.classifier(), data=str(folder), browser=False)
    port = int(handle.url.split(":")[2].split("/")[0])
    context = chromium.new_context()
    page = context.new_page()
    page.goto(handle.url)
    page.locator("[data-layer]").first.wait_for()
    handle.close()
    page.locator("[data-layer='stem.2']").click()
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "does not answer" in alert.inner_text()
    again = convscope.explore(explored.classifier(), data=str(folder), browser=False, port=port)
    try:
        page.goto(again.url)
        page.locator("[data-layer]").first.wait_for()
        assert not page.get_by_role("alert").count()
    finally:
        again.close()
        context.close()


def test_strangers_are_turned_away(chromium, subject):
    stranger = chromium.new_context()
    page = stranger.new_page()
    answer = page.goto(subject.origin + "/")
    assert answer.status == 403
    assert "address" in page.inner_text("body")
    stranger.close()
    for headers in ({"Host": "example.org"}, {"Origin": "http://example.org"}):
        request = urllib.request.Request(subject.origin + "/health", headers=headers)
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(request, timeout=5)
        refusal.value.close()
        assert refusal.value.code == 403


def test_everything_comes_from_this_server(context, subject):
    page = context.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    answer = page.goto(subject.origin + "/")
    settled(page)
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert not any(source in policy for source in ("data:", "blob:", "unsafe", "http"))
    assert len(asked) > 5
    assert all(url.startswith(subject.origin) for url in asked)
    # Inline script does not run, whoever writes it.
    assert (
        page.evaluate(
            "() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
            " document.body.append(s); return window.ran ?? 0 }"
        )
        == 0
    )
