"""The channel view: from input maps and kernels to a map, its activation, and a pixel of it."""

import pytest
import torch

from plain import outputs, written


@pytest.fixture(scope="module")
def twin(subject):
    return outputs(subject.classifier.module, subject.images(5))


def output(page, layer):
    """The value that is shown beside the map of a layer."""
    return page.locator(f"[data-map='{layer}'] .at .number")


def wait_for(locator, value, digits=6):
    locator.get_by_text(written(float(value), digits), exact=True).wait_for()


def cursor(page):
    return page.locator("button[tabindex='0'][aria-label^='Map of']")


def test_a_convolution_from_its_inputs_to_its_activation(page_at, twin, subject):
    page = page_at(view="channel", layer="stem.0", unit=2, at="3,4", image="data-5")
    module = subject.classifier.module.stem[0]
    image = subject.images(5)[0]
    rows = page.locator("ol[aria-label='Input channels'] li")
    rows.nth(2).wait_for()
    with torch.no_grad():
        for channel in range(3):
            part = torch.nn.functional.conv2d(
                image[None, channel : channel + 1],
                module.weight[2:3, channel : channel + 1],
                padding=1,
            )[0, 0, 3, 4]
            wait_for(rows.nth(channel).locator(".added"), part, 3)
    wait_for(page.locator(".sum .number"), module.bias[2].detach())
    for layer in ("stem.0", "stem.1", "stem.2"):
        wait_for(output(page, layer), twin[layer][2, 3, 4])
    assert page.locator("[data-map]").count() == 3  # and no further: then comes a pool


def test_the_kernels_are_the_weights(page_at, subject):
    page = page_at(view="channel", layer="stem.0", unit=4, image="data-5")
    weight = subject.classifier.module.stem[0].weight[4].detach()
    page.locator(".kernel svg text").nth(26).wait_for()
    shown = page.locator(".kernel svg text").all_text_contents()
    expected = [written(v, 2).replace("0.", ".") for v in weight.flatten().tolist()]
    assert shown == expected


def test_the_pointer_marks_the_same_place_everywhere(page_at, twin):
    page = page_at(view="channel", layer="stem.0", unit=1, at="0,0", image="data-5")
    wait_for(output(page, "stem.2"), twin["stem.2"][1, 0, 0])
    box = page.locator("[data-map='stem.0'] canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 7.5 / 16, box["y"] + box["height"] * 10.5 / 16)
    for layer in ("stem.0", "stem.1", "stem.2"):
        wait_for(output(page, layer), twin[layer][1, 10, 7])
    seen = "rows 9–11, columns 6–8"
    page.locator("aside figcaption").get_by_text(seen).wait_for()
    frame = page.locator("ol[aria-label='Input channels'] .frame").first
    assert frame.locator("xpath=..").get_attribute("viewBox") == "0 0 16 16"
    sides = [frame.get_attribute(side) for side in ("x", "y", "width", "height")]
    assert sides == ["6", "9", "3", "3"]
    assert "at=0%2C0" in page.url  # pointing is not going
    page.mouse.down()
    page.mouse.up()
    page.wait_for_url("**view=number**layer=stem.0**unit=1**at=10%2C7**")


def test_arrow_keys_move_the_place_and_enter_opens_it(page_at, twin):
    page = page_at(view="channel", layer="stem.0", unit=1, at="3,4", image="data-5")
    wait_for(output(page, "stem.0"), twin["stem.0"][1, 3, 4])
    cursor(page).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**at=4%2C5**")
    value = twin["stem.0"][1, 4, 5]
    wait_for(output(page, "stem.0"), value)
    assert page.locator("[aria-live]").inner_text() == f"row 4, column 5: {written(float(value))}"
    page.keyboard.press("]")
    page.wait_for_url("**unit=2**at=4%2C5**")
    wait_for(output(page, "stem.0"), twin["stem.0"][2, 4, 5])
    page.keyboard.press("[")
    page.wait_for_url("**unit=1**")
    page.keyboard.press("Enter")
    page.wait_for_url("**view=number**layer=stem.0**unit=1**at=4%2C5**")


def test_inputs_by_contribution(page_at, twin, subject):
    page = page_at(view="channel", layer="block", unit=3, at="2,5", image="data-5")
    pooled = twin["stem.3"]
    weight = subject.classifier.module.block.weight[3].detach()
    parts = torch.nn.functional.conv2d(pooled[:, None], weight[:, None].flip(1), padding=1)
    sums = torch.stack([parts[i, i] for i in range(6)])[:, 2, 5]
    rows = page.locator("ol[aria-label='Input channels'] li")
    wait_for(rows.nth(0).locator(".added"), sums[0], 3)
    page.get_by_role("button", name="contribution").click()
    expected = sums.abs().argsort(descending=True).tolist()
    wait_for(rows.nth(0).locator(".added"), sums[expected[0]], 3)
    shown = page.locator("ol[aria-label='Input channels'] li > span.soft").all_inner_texts()
    assert [int(text) for text in shown] == expected


def test_a_group_sees_its_own_inputs(page_at, twin):
    page = page_at(view="channel", layer="strided", unit=6, at="1,1", image="data-5")
    rows = page.locator("ol[aria-label='Input channels'] li > span.soft")
    rows.nth(2).wait_for()
    assert rows.all_inner_texts() == ["3", "4", "5"]
    wait_for(output(page, "strided"), twin["strided"][6, 1, 1])


@pytest.mark.parametrize(
    ("name", "unit", "inputs"),
    [
        ("stem.3", 2, ["stem.2"]),
        ("stem.1", 1, ["stem.0"]),
        ("add", 3, ["block", "stem.3"]),
        ("concatenate", 10, ["average_pool"]),  # the first branch has eight channels
        ("pool", 4, ["concatenate"]),
    ],
)
def test_maps_that_are_made_of_a_few(page_at, twin, name, unit, inputs):
    page = page_at(view="channel", layer=name, unit=unit, at="1,0", image="data-5")
    wait_for(output(page, name), twin[name][unit, 1, 0])
    shown = page.locator(".inputs [data-map]")
    assert [one.get_attribute("data-map") for one in shown.all()] == inputs
    if name == "concatenate":
        wait_for(shown.locator(".at .number"), twin["average_pool"][2, 1, 0])
    if name == "add":
        wait_for(shown.nth(1).locator(".at .number"), twin["stem.3"][3, 1, 0])
    if name == "stem.3":
        assert "rows 2 to 3, columns 0 to 1" in " ".join(shown.inner_text().split())


def test_where_a_flattened_unit_comes_from(page_at, twin):
    page = page_at(view="channel", layer="flatten", unit=23, image="data-5")
    page.get_by_text("row 1, column 1 of").wait_for()
    wait_for(page.locator(".value"), twin["flatten"][23])
    page.get_by_role("button", name="pool, channel 5", exact=True).click()
    page.wait_for_url("**unit=5**")


def test_a_channel_is_switched_off(page_at, subject):
    page = page_at(view="channel", layer="stem.0", unit=1, at="3,4", image="data-5")
    page.get_by_role("button", name="Switch this channel off").click()
    wait_for(output(page, "stem.0"), 0)
    page.get_by_role("button", name="Switch this channel on").wait_for()
    without = outputs(subject.classifier.module, subject.images(5), off=[1])
    wait_for(output(page, "stem.1"), without["stem.1"][1, 3, 4])
    shares = without["fc2"].double().softmax(0)
    best = int(shares.argmax())
    share = f"{100 * float(shares[best]):.1f} %"
    page.locator("aside h2").get_by_text(share).wait_for()
    page.keyboard.press("o")
    page.get_by_role("button", name="Switch this channel off").wait_for()
