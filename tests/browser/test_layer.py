"""The layer view: all maps of a layer, what they are like, and what each of their pixels sees."""

import re

import pytest
import torch

import convscope
import explored
from convscope.graph.geometry import receptive_fields
from plain import outputs, written


@pytest.fixture(scope="module")
def twin(subject):
    return outputs(subject.classifier.module, subject.images(5))


def painted(page, least):
    """Waits until all maps in view are painted, and at least so many."""
    page.wait_for_function(
        "n => document.querySelectorAll('[data-position] canvas[data-painted]').length >= n"
        " && !document.querySelector('[data-position] canvas:not([data-painted])')",
        arg=least,
    )


def units(page):
    """The units in the order in which they are shown."""
    names = [one.get_attribute("aria-label") for one in page.get_by_role("option").all()]
    return [int(re.findall(r"\d+", name)[0]) for name in names]


def point(page, position, row, column, sides):
    """Puts the pointer on a pixel of a map."""
    box = page.locator(f"[data-position='{position}'] canvas").bounding_box()
    page.mouse.move(
        box["x"] + (column + 0.5) * box["width"] / sides[1],
        box["y"] + (row + 0.5) * box["height"] / sides[0],
    )


def test_it_says_what_the_layer_is(page_at, subject):
    page = page_at(view="layer", layer="strided", image="data-1")
    page.get_by_text("kernel 3 × 3, stride 2").wait_for()
    text = page.inner_text("main header")
    assert "8 maps of 3 × 3" in text
    weight = subject.classifier.module.strided.weight.detach()
    assert f"{weight.numel() + 8} parameters" in text
    field = receptive_fields(subject.trace(1).graph)["strided"]
    size = " × ".join(str(side) for side in field.size)
    assert f"{size} pixels of the image" in text
    page.get_by_text("Parameter statistics").click()
    row = page.locator("tr:has(th:text('weight'))").inner_text()
    for value in (weight.min(), weight.max(), weight.double().mean()):
        assert written(float(value)) in row


def test_every_map_is_painted_and_the_pointer_reads_its_numbers(page_at, twin):
    page = page_at(view="layer", layer="stem.0", image="data-5")
    painted(page, 6)
    maps = twin["stem.0"]
    for unit, row, column in ((0, 0, 0), (3, 7, 12), (5, 15, 15)):
        point(page, unit, row, column, (16, 16))
        reading = page.get_by_test_id("reading")
        reading.get_by_text(f"row {row}, column {column}").wait_for()
        value = float(maps[unit, row, column])
        assert reading.inner_text() == f"row {row}, column {column}: {written(value)}"
        said = page.locator(".reading").inner_text()
        assert f"from {written(float(maps[unit].min()))}" in said
        assert f"to {written(float(maps[unit].max()))}" in said
        assert f"mean {written(float(maps[unit].double().mean()))}" in said


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 2), (2, 1)])
def test_the_receptive_field_is_clipped_at_the_border(page_at, subject, row, column):
    page = page_at(view="layer", layer="strided", image="data-5")
    painted(page, 8)
    field = receptive_fields(subject.trace(5).graph)["strided"]
    rows, columns = field.rows[row].tolist(), field.columns[column].tolist()
    point(page, 2, row, column, (3, 3))
    seen = f"rows {rows[0]}–{rows[1] - 1}, columns {columns[0]}–{columns[1] - 1}"
    page.locator("aside figcaption").get_by_text(seen).wait_for()
    rectangle = page.locator("aside rect")
    drawn = [float(rectangle.get_attribute(side)) for side in ("x", "y", "width", "height")]
    assert drawn == [columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0]]
    page.mouse.move(5, 5)
    rectangle.wait_for(state="detached")


def test_the_colours_of_a_unit_a_layer_and_the_network(page_at, twin):
    page = page_at(view="layer", layer="stem.2", image="data-5", unit=2)
    painted(page, 6)
    ends = page.locator(".legend .ends")
    maps = twin["stem.2"]
    whole = max(float(values.abs().max()) for values in twin.values())
    for scale, high in (
        ("layer", float(maps.max())),
        ("network", whole),
        ("unit", float(maps[2].max())),
    ):
        page.get_by_role("button", name=scale, exact=True).click()
        ends.get_by_text(written(high, 3), exact=True).wait_for()
    # The largest value has the last colour of its own map.
    unit = 2
    place = divmod(int(maps[unit].argmax()), 16)
    colour = page.evaluate(
        "([unit, row, column]) => [...document.querySelector(`[data-position='${unit}'] canvas`)"
        ".getContext('2d').getImageData(column, row, 1, 1).data]",
        [unit, *place],
    )
    assert colour == [252, 253, 191, 255]


def test_maps_by_activity(page_at, twin):
    page = page_at(view="layer", layer="block", image="data-5")
    painted(page, 6)
    assert units(page) == list(range(6))
    page.get_by_role("button", name="activity").click()
    page.wait_for_url("**order=activity**")
    means = twin["block"].double().mean((1, 2))
    expected = torch.argsort(means, descending=True, stable=True).tolist()
    page.wait_for_function(
        "first => document.querySelector(\"[data-position='0']\").ariaLabel === first",
        arg=f"channel {expected[0]}",
    )
    assert units(page) == expected
    point(page, 1, 2, 3, (8, 8))
    value = float(twin["block"][expected[1], 2, 3])
    page.get_by_test_id("reading").get_by_text(written(value)).wait_for()


def test_a_click_opens_the_map_at_the_pixel(page_at):
    page = page_at(view="layer", layer="stem.0", image="data-5")
    painted(page, 6)
    point(page, 4, 9, 11, (16, 16))
    page.mouse.down()
    page.mouse.up()
    page.wait_for_url("**view=channel**unit=4**at=9%2C11**")


def test_only_the_maps_in_view_exist(chromium, tmp_path):
    torch.manual_seed(1)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 700, 3, padding=1)).eval()
    classifier = convscope.Classifier("wide", module, explored.classifier().preprocess, None)
    explored.write_images(tmp_path / "images", per_class=1)
    handle = convscope.explore(classifier, data=str(tmp_path / "images"), browser=False)
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    try:
        page = context.new_page()
        page.goto(handle.url)
        page.goto(f"{handle.url.split('/?')[0]}/?view=layer&layer=0&unit=350&image=data-2")
        page.get_by_role("option", name="channel 350", exact=True).wait_for()
        for _ in range(2):
            painted(page, 20)
            tiles = page.get_by_role("option")
            assert tiles.count() < 150
            page.get_by_role("listbox").focus()
            page.keyboard.press("End")
            page.get_by_role("option", name="channel 699", exact=True).wait_for()
        assert tiles.last.get_attribute("aria-setsize") == "700"
        images = classifier.preprocess.batch([image_of(tmp_path, 2)])
        value = module(images)[0, 699, 4, 5].detach()
        point(page, 699, 4, 5, (16, 16))
        page.get_by_test_id("reading").get_by_text(written(value)).wait_for()
    finally:
        context.close()
        handle.close()


def image_of(folder, number):
    return convscope.open_dataset(str(folder / "images")).image(number, 3)
