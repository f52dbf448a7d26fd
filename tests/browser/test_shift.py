"""The shift view: the image dragged, and every network's prediction beside the others."""

import re

import numpy as np
import pytest
import torch

from convscope.lenses.shift.compute import shift_tables, shifted

IMAGE = 5


def percent(share):
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return "> 99.9 %" if 0.9995 < share < 1 else f"{share * 100:.1f} %"


@pytest.fixture(scope="module")
def networks(subject):
    return {"explored": subject.classifier, "dense": subject.dense}


def shares(subject, network, dx, dy, border="zero"):
    preprocess = subject.classifier.preprocess
    pixels = preprocess.centre(preprocess.canvas(subject.dataset.image(IMAGE, 3)))[None]
    both = np.concatenate([pixels, shifted(pixels, dx, dy, border)])
    with torch.no_grad():
        return torch.softmax(network.module(preprocess.normalise(both)), 1).double()[1]


def check(page, subject, networks, dx, dy, border="zero"):
    """Both predictions are those of plain torch for this shift."""
    label = int(subject.dataset.labels[IMAGE])
    for name, network in networks.items():
        share = float(shares(subject, network, dx, dy, border)[label])
        answer = page.locator(f"section[data-run='{name}']").get_by_test_id("share")
        answer.get_by_text(percent(share), exact=True).wait_for()


def stage(page):
    return page.get_by_role("button", name=re.compile("^The image, "))


def test_the_predictions_follow_the_dragged_image(page_at, subject, networks):
    page = page_at(view="shift", image=f"data-{IMAGE}")
    check(page, subject, networks, 0, 0)
    box = stage(page).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    pixel = box["width"] / 16
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 6):
        page.mouse.move(x + pixel * step * 0.8, y - pixel * step * 0.6)
    page.mouse.up()
    page.get_by_test_id("shift").get_by_text("4 right, 3 up").wait_for()
    check(page, subject, networks, 4, -3)
    assert "shift=4%2C-3%2Czero" in page.url
    page.reload()
    check(page, subject, networks, 4, -3)


def test_arrow_keys_move_it_too(page_at, subject, networks):
    page = page_at(view="shift", image=f"data-{IMAGE}", shift="0,0,wrap")
    stage(page).focus()
    for key in ("ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    page.get_by_test_id("shift").get_by_text("1 right, 4 down").wait_for()
    check(page, subject, networks, 1, 4, "wrap")
    page.keyboard.press("Home")
    page.get_by_test_id("shift").get_by_text("not shifted").wait_for()
    check(page, subject, networks, 0, 0)


def test_a_map_of_each_network_has_every_shift(page_at, subject, networks):
    page = page_at(view="shift", image=f"data-{IMAGE}", shift="2,1,zero")
    label = subject.dataset.labels[[IMAGE]]
    image = subject.dataset.image(IMAGE, 3)
    for name, network in networks.items():
        table = shift_tables([network], [image], label, max_shift=8)[0]
        same = float((table.predicted[0] == table.predicted[0, 8, 8]).mean())
        figure = page.locator(f"figure[data-map='{name}']")
        figure.get_by_test_id("same").get_by_text(percent(same), exact=True).wait_for()
        share = float(table.probability[0, 9, 10])
        figure.locator(".reading").get_by_text(percent(share), exact=True).wait_for()
        marked = int((table.predicted[0] != table.predicted[0, 8, 8]).sum())
        assert figure.locator("circle").count() == marked
    first = page.locator("figure[data-map='explored'] button.field")
    box = first.bounding_box()
    first.click(position={"x": box["width"] * 4.5 / 17, "y": box["height"] * 12.5 / 17})
    page.get_by_test_id("shift").get_by_text("4 left, 4 down").wait_for()
    check(page, subject, networks, -4, 4)


def test_only_the_first_button_drags_and_put_back_keeps_the_focus(page_at):
    page = page_at(view="shift", image=f"data-{IMAGE}", shift="3,-2,zero")
    box = stage(page).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x + 60, y)
    page.mouse.up(button="right")
    page.get_by_test_id("shift").get_by_text("3 right, 2 up").wait_for()
    back = page.get_by_role("button", name="Reset", exact=True)
    back.focus()
    back.press("Enter")
    page.get_by_test_id("shift").get_by_text("not shifted").wait_for()
    assert back.evaluate("button => button === document.activeElement")
