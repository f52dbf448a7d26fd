"""Networks of all shapes: an MLP, heads without dense layers, a softmax of its own, a trunk."""

import re
from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

import convscope
import explored
from convscope.images.preprocess import Preprocess
from plain import percent, written

VIEW = Preprocess(size=(16, 16), channels=3, resize=16, mean=(0.5,) * 3, std=(0.25,) * 3)


class Dense(nn.Module):
    """Two layers, each of which sees the maps of all before it."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(8, 6, 3, padding=1)
        self.fc = nn.Linear(14, 5)

    def forward(self, x):
        x = torch.cat([x, self.first(x).relu()], 1)
        x = torch.cat([x, self.second(x).relu()], 1)
        return self.fc(x.mean((2, 3)))


def convolutions(*more):
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), *more)


NETWORKS = {
    "mlp": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(768, 96), nn.ReLU(), nn.Linear(96, 64), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(64, 32), nn.GELU(), nn.Linear(32, 5),
    ),
    "mean over the maps": lambda: convolutions(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    ),
    "maps as scores": lambda: convolutions(
        nn.Conv2d(8, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ),
    "own softmax": lambda: convolutions(nn.Flatten(), nn.Linear(512, 5), nn.Softmax(1)),
    "many classes": lambda: convolutions(nn.Flatten(), nn.Linear(512, 64), nn.Linear(64, 1000)),
    "vgg": lambda: convolutions(
        nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(392, 80), nn.ReLU(), nn.Dropout(),
        nn.Linear(80, 80), nn.ReLU(), nn.Dropout(), nn.Linear(80, 1000),
    ),
    "concatenations": Dense,
    "trunk": convolutions,
}  # fmt: skip


@dataclass
class Opened:
    """A network that is explored, its image, and a browser that was let in."""

    module: nn.Module
    images: torch.Tensor
    names: tuple[str, ...]
    context: object
    origin: str
    troubles: list[str] = field(default_factory=list)

    def at(self, width=1024, theme="light", **place):
        page = self.context.new_page()
        page.set_viewport_size({"width": width, "height": 768})
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", lambda m: m.type == "error" and self.troubles.append(m.text))
        page.emulate_media(color_scheme=theme)
        query = "&".join(f"{key}={value}" for key, value in place.items())
        page.goto(f"{self.origin}/?image=data-3&{query}")
        page.wait_for_selector("main#view > *")
        return page

    @property
    def softmax(self):
        """Whether the network ends with probabilities."""
        return isinstance(list(self.module.modules())[-1], nn.Softmax)

    @property
    def output(self):
        with torch.no_grad():
            return self.module(self.images)[0].double()


@pytest.fixture(scope="module")
def opened(chromium, tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("images") / "images"
    explored.write_images(folder, per_class=1)
    torch.manual_seed(5)
    module = NETWORKS[request.param]().eval()
    with torch.no_grad():
        count = module(torch.zeros(1, 3, 16, 16)).shape[1]
    names = tuple(f"class number {i} of many" for i in range(count)) if count == 1000 else None
    classes = explored.CLASSES if names is None and request.param != "trunk" else names
    classifier = convscope.Classifier(request.param, module, VIEW, classes)
    handle = convscope.explore(classifier, data=str(folder), browser=False)
    context = chromium.new_context(reduced_motion="reduce")
    context.set_default_timeout(10_000)
    page = context.new_page()
    page.goto(handle.url)
    page.close()
    image = convscope.open_dataset(str(folder)).image(3, 3)
    found = Opened(module, VIEW.batch([image]), classes or (), context, handle.url.split("/?")[0])
    yield found
    context.close()
    handle.close()
    assert found.troubles == []


classifiers = [name for name in NETWORKS if name != "trunk"]
each = pytest.mark.parametrize("opened", classifiers, indirect=True, scope="module")


def alone(name):
    return pytest.mark.parametrize("opened", [name], indirect=True, scope="module")


@each
def test_the_probabilities_are_plain_torchs(opened):
    page = opened.at()
    page.locator("aside ol.bars").wait_for()
    shares = opened.output if opened.softmax else opened.output.softmax(0)
    best = int(shares.argmax())
    assert page.inner_text("aside h2") == f"{opened.names[best]} {percent(float(shares[best]))}"
    page.close()


@each
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_way_to_the_loss_fits_or_begins_at_the_classes(opened, theme):
    page = opened.at(view="classifier", theme=theme)
    logits = page.get_by_role("group", name="Logits")
    logits.wait_for()
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]
    # What it leads to is in view, and no name of a class or of a unit is cut off.
    for group in ("Logits", "Probabilities"):
        box = page.get_by_role("group", name=group).bounding_box()
        assert box["x"] + box["width"] <= 1024
    cut = page.evaluate(
        "[...document.querySelectorAll('.figure .number, .figure .term .name')]"
        ".filter(e => e.scrollWidth > e.clientWidth + 1"
        " && getComputedStyle(e).overflow !== 'visible')"
        ".map(e => e.textContent)"
    )
    assert cut == []
    text = page.inner_text("main")
    assert "they differ" not in text
    assert "\u2717" not in text
    page.close()


@each
def test_the_logits_are_plain_torchs(opened):
    if opened.softmax:
        logits = opened.module[:-1](opened.images)[0].detach().double()
    else:
        logits = opened.output
    page = opened.at(view="classifier")
    rows = page.locator('[data-column="-1"]')
    rows.first.wait_for()
    order = logits.argsort(descending=True).tolist()[: rows.count()]
    shown = [text.split("\n") for text in rows.all_inner_texts()]
    expected = [[opened.names[i], written(float(logits[i]), 3)] for i in order]
    assert shown[:10] == expected[:10]
    page.close()


@alone("many classes")
def test_a_list_of_a_thousand_classes_is_scrolled_not_squeezed(opened):
    page = opened.at(view="layer", layer="4", unit=990)
    option = page.get_by_role("option", name=re.compile("class number 990 of many"))
    option.get_by_text(written(float(opened.output[990]), 3)).wait_for()
    assert page.get_by_role("option").count() < 200
    page.close()


@alone("concatenations")
def test_a_number_of_a_concatenation_is_the_one_it_was_taken_from(opened):
    module = opened.module
    with torch.no_grad():
        first = module.first(opened.images).relu()[0]
    page = opened.at(view="number", layer="concatenate", unit=5, at="3,4")
    page.get_by_test_id("value").wait_for()
    assert page.get_by_test_id("value").inner_text() == written(float(first[2, 3, 4]))
    page.close()


@alone("trunk")
def test_a_trunk_has_maps_and_no_classes(opened):
    page = opened.at()
    page.locator("[data-layer]").first.wait_for()
    assert "a backbone, without classes" in page.inner_text("main")
    assert page.locator("aside ol.bars").count() == 0
    page = opened.at(view="classifier")
    page.get_by_text("There is no classifier").wait_for()
    page = opened.at(view="number", layer="0", unit=2, at="3,4")
    page.get_by_test_id("value").wait_for()
    assert page.get_by_test_id("value").inner_text() == written(
        float(opened.module[0](opened.images)[0, 2, 3, 4].detach())
    )
