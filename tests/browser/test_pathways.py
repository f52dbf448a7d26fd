"""Pathways: which units carried a class, switched off by a click, and the proof."""

import re

import pytest
import torch

from convscope.lenses.pathways.compute import pathways
from convscope.lenses.pathways.proof import prove
from plain import written

IMAGE = 5


@pytest.fixture(scope="module")
def record(subject):
    return subject.trace(IMAGE)


@pytest.fixture(scope="module")
def expected(record):
    return pathways(record, 1, 3)


@pytest.fixture
def page(page_at):
    page = page_at(view="pathways", target=1, contrast="3", image=f"data-{IMAGE}")
    page.locator("[data-proof]").first.wait_for()
    return page


def node(page, layer, unit):
    name = rf"^(channel|unit) {unit} .*: contribution to .*, in {layer};"
    return page.get_by_role("button", name=re.compile(name))


def test_contributions_and_their_sum_are_those_of_the_core(page, expected):
    for layer in expected.layers:
        for unit in layer.drawn:
            value = written(float(layer.channels[0, unit]), 3)
            node(page, layer.name, unit).get_by_text(value, exact=True).wait_for()
    rows = page.locator("section[aria-label='The sum'] tbody tr")
    for place, layer in enumerate(expected.layers):
        for which in (0, 1):
            cells = rows.nth(2 * place + which)
            bias = written(layer.bias_share[which])
            assert bias in [text.strip() for text in cells.locator("td").all_text_contents()]
    units = expected.layers[-1]
    shown = torch.as_tensor(units.channels[:, list(units.drawn)]).abs().max()
    assert page.get_by_test_id("outer").inner_text() == written(float(shown), 3)
    logits = page.get_by_test_id("logit").all_text_contents()
    assert logits == [written(float(expected.logits[c])) for c in (1, 3)]


def test_a_click_switches_a_unit_off_and_the_logits_are_computed_anew(page, subject, expected):
    layer = expected.layers[-1]
    unit = layer.drawn[0]
    node(page, layer.name, unit).click()
    mask = torch.ones(len(layer.activations), *(1 for _ in layer.activations.shape[1:]))
    mask[unit] = 0
    after = subject.trace(IMAGE, edits={layer.name: mask}).logits[0]
    now = page.get_by_test_id("now")
    for place, number in ((0, 1), (1, 3)):
        now.nth(place).get_by_text(written(float(after[number])), exact=True).wait_for()
    assert node(page, layer.name, unit).get_attribute("aria-pressed") == "true"
    page.reload()
    now.nth(0).get_by_text(written(float(after[1])), exact=True).wait_for()
    node(page, layer.name, unit).focus()
    page.keyboard.press("o")
    now.first.wait_for(state="detached")


def test_the_proof_says_what_the_core_says(page, record, expected):
    proofs = prove(record, expected)
    assert page.locator("[data-proof]").count() == len(proofs)
    for proof in proofs:
        chart = page.locator(f"[data-proof='{proof.layer} {proof.by}']")
        chart.get_by_text(written(proof.drop, 3), exact=False).first.wait_for()
        chart.get_by_text(proof.verdict).wait_for()
        chart.get_by_text(f"± {written(proof.random_std, 3)}").wait_for()
