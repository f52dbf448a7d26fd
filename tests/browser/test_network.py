"""The first view: the network as a graph, the image, and what the network says of it."""

import pytest
import torch

from convscope.graph.summary import summary
from plain import percent


@pytest.mark.parametrize("image", [3, 17])
def test_the_probabilities_are_plain_torchs(page_at, subject, image):
    page = page_at(image=f"data-{image}")
    logits = subject.classifier.logits(subject.images(image))[0]
    shares = logits.double().softmax(0).tolist()
    best = max(range(len(shares)), key=shares.__getitem__)
    names = subject.classifier.class_names
    page.wait_for_selector("aside h2")
    assert page.inner_text("aside h2") == f"{names[best]} {percent(shares[best])}"
    shown = page.locator("aside ol li button").all_inner_texts()
    by_share = sorted(range(len(shares)), key=lambda i: -shares[i])
    assert [text.split("\n")[:2] for text in shown] == [
        [names[i], percent(shares[i])] for i in by_share
    ]
    label = int(subject.dataset.labels[image])
    wrong = page.get_by_text(f"Wrong: the label is {names[label]}.")
    assert wrong.count() == (best != label)


def test_every_layer_has_its_row(page_at, subject):
    page = page_at()
    graph = subject.trace(0).graph
    rows = page.locator("[data-layer]")
    names = [row.get_attribute("data-layer") for row in rows.all()]
    assert names == [node.name for node in graph.nodes] + ["softmax", "cross_entropy"]
    table = summary(graph)
    text = page.inner_text("header:has(h1)")
    total = sum(p.numel() for p in subject.classifier.module.parameters())
    assert f"{total:,} parameters" in text
    assert f"{sum(layer.macs for layer in table.layers):,} multiply-adds" in text
    row = page.locator(".row:has([data-layer='stem.3'])").inner_text()
    assert "6 maps of 8 × 8" in row
    assert "4/2/1" in row  # 3 x 3, then a 2 x 2 pool: size, stride, padding


def test_branches_are_drawn_as_branches(page_at, subject):
    page = page_at()
    graph = subject.trace(0).graph
    edges = sum(len(set(node.inputs)) for node in graph.nodes)
    # Softmax and cross-entropy follow the logits.
    assert page.locator(".graph svg path").count() == edges + 2
    bent = [
        path for path in page.locator(".graph svg path").all() if "C" in path.get_attribute("d")
    ]
    assert len(bent) >= 2  # the shortcut, and one side of the concatenation


def test_the_strongest_maps_are_those_with_the_largest_mean(page_at, subject):
    page = page_at(image="data-5")
    values = subject.trace(5)["stem.2"].output[0].double().mean((1, 2))
    row = page.locator(".row:has([data-layer='stem.2'])")
    row.locator("button[title]").first.wait_for()
    shown = [one.get_attribute("title") for one in row.locator("button[title]").all()]
    expected = torch.argsort(values, descending=True, stable=True).tolist()
    assert [int(text.split(",")[0].removeprefix("channel ")) for text in shown] == expected
    row.locator("button[title]").nth(1).click()
    page.wait_for_url(f"**view=channel**layer=stem.2**unit={expected[1]}**")


def test_the_whole_way_by_keyboard(page_at):
    page = page_at(image="data-2")
    page.locator("[data-layer='input']").focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.layer") == "stem.2"
    page.keyboard.press("Enter")
    page.wait_for_url("**view=layer**layer=stem.2**")
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "view=layer" not in url)
    assert page.locator("[data-layer]").count() > 10


def test_choosing_an_image(page_at, subject):
    page = page_at()
    page.get_by_role("button", name="Choose an image").click()
    pictures = page.locator("dialog li button")
    pictures.nth(29).wait_for()
    logits = torch.cat([subject.classifier.logits(subject.images(i)) for i in range(30)])
    wrong = int((logits.argmax(1) != torch.from_numpy(subject.dataset.labels)).sum())
    assert 0 < wrong < 30
    page.wait_for_function(
        "n => document.querySelectorAll('dialog li button.wrong').length === n", arg=wrong
    )
    pictures.nth(7).click()
    page.wait_for_url("**image=data-7**")
    assert not page.locator("dialog[open]").count()
    page.locator("aside figcaption", has_text=subject.dataset.paths[7]).wait_for()
    page.go_back()
    page.wait_for_url(lambda url: "data-7" not in url)
    # The address without an image is that of the first one.
    page.locator("aside figcaption", has_text=subject.dataset.paths[0]).wait_for()
    page.locator("aside h2").wait_for()
