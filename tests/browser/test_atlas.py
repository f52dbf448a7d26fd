"""What activates a channel: the top images of the atlas, and a unit of this image projected."""

import pytest
import torch

from convscope.graph.backward import backward
from plain import outputs, written


@pytest.fixture(scope="module")
def twin(subject):
    return outputs(subject.classifier.module, subject.images(5))


def here(page):
    return page.locator("section[aria-label='In this image']")


def largest(subject, layer, channel, at):
    """The largest magnitude of a unit's projection."""
    record = subject.trace(5)
    seed = torch.zeros(record[layer].output.shape[1:])
    seed[channel, *at] = 1
    value = record[layer].output[0, channel, *at]
    return float((backward(record, layer, seed, "deconvnet") * value).abs().max())


def test_the_strongest_unit_of_this_image_is_projected(page_at, twin, subject):
    page = page_at(view="atlas", layer="stem.2", unit=3, image="data-5")
    values = twin["stem.2"][3]
    y, x = divmod(int(values.argmax()), 16)
    here(page).get_by_text(written(float(values.max())), exact=True).wait_for()
    here(page).get_by_text(f"row {y}, column {x}", exact=True).wait_for()
    expected = written(largest(subject, "stem.2", 3, (y, x)), 3)
    here(page).get_by_text(expected, exact=True).last.wait_for()
    for picture in here(page).locator("img").all():
        picture.evaluate("img => img.decode()")
        sides = picture.evaluate("img => [img.naturalHeight, img.naturalWidth]")
        assert sides == [min(y + 2, 16) - max(y - 1, 0), min(x + 2, 16) - max(x - 1, 0)]


def test_arrow_keys_move_the_unit_on_the_map_and_elsewhere_go_to_the_next_channel(
    page_at, twin, subject
):
    place = {"layer": "stem.2", "unit": 3, "image": "data-5", "at": "4,6"}
    page = page_at(view="atlas", position="chosen", **place)
    here(page).get_by_text("row 4, column 6", exact=True).wait_for()
    here(page).locator("button.map").focus()
    page.keyboard.press("ArrowDown")
    here(page).get_by_text("row 5, column 6", exact=True).wait_for()
    value = here(page).locator(".value .number")
    value.get_by_text(written(float(twin["stem.2"][3, 5, 6])), exact=True).wait_for()
    page.reload()
    here(page).get_by_text("row 5, column 6", exact=True).wait_for()
    page.locator("main").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("heading", name="stem.2, channel 4").wait_for()
    strongest = float(twin["stem.2"][4].max())
    here(page).get_by_text(written(strongest), exact=True).wait_for()
    page.keyboard.press("Escape")
    page.wait_for_url("**view=layer**")


def test_top_images_and_statistics_are_those_of_the_atlas(page_at, subject):
    ranking = subject.atlas.layer("stem.3").ranking
    page = page_at(view="atlas", layer="stem.3", unit=2, image="data-5")
    about = page.locator("[data-rank]")
    buttons = page.locator("section[aria-label='Over the data set'] button")
    buttons.nth(8).wait_for()
    for place in (0, 4, 8):
        buttons.nth(place).focus()
        strength = written(float(ranking.strengths[2, place]))
        about.get_by_text(strength, exact=True).wait_for()
        path = subject.atlas.paths[ranking.images[2, place]]
        about.get_by_text(path, exact=True).wait_for()
    share = f"{ranking.share[2] * 100:.1f} %"
    statistics = page.locator("section[aria-label^='Statistics']")
    statistics.get_by_text(share, exact=True).wait_for()
    statistics.get_by_text(written(float(ranking.largest[2])), exact=True).wait_for()
    selectivity, _ = ranking.selectivity()
    statistics.get_by_text(f"{selectivity[2]:.2f}", exact=True).wait_for()
    buttons.nth(4).click()
    number = subject.dataset.paths.index(subject.atlas.paths[ranking.images[2, 4]])
    y, x = ranking.positions[2, 4]
    page.wait_for_url(f"**image=data-{number}&**at={y}%2C{x}**")
    here(page).get_by_text(f"row {y}, column {x}", exact=True).wait_for()
