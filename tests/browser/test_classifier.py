"""The classifier view: terms, softmax and loss are those of plain torch, and linked by hover."""

import json
import re

import pytest
import torch
import torch.nn.functional as F

from plain import percent, written

IMAGE = "data-3"
NUMBER = 3


def shown(value, digits=3):
    return written(value, digits)


def twin(subject, off=()):
    """Plain torch: the head's values on the way, with units of `dropout` switched off."""
    module = subject.classifier.module
    flat = {}
    hook = module.fc1.register_forward_hook(lambda _, given, out: flat.update(x=given[0], out=out))
    try:
        with torch.no_grad():
            module(subject.images(NUMBER))
    finally:
        hook.remove()
    with torch.no_grad():
        hidden = F.relu(flat["out"])
        hidden[0, list(off)] = 0
        logits = module.fc2(hidden)
    return flat["x"][0], hidden[0], logits[0]


@pytest.fixture
def page(page_at):
    page = page_at(view="classifier", image=IMAGE)
    page.get_by_role("group", name="Logits").wait_for()
    return page


def rows(page, column: int):
    return page.locator(f'[data-column="{column}"]')


def test_the_logits_and_probabilities_are_those_of_plain_torch(page, subject):
    _, _, logits = twin(subject)
    probabilities = logits.softmax(0)
    order = logits.argsort(descending=True).tolist()
    found = rows(page, -1).all_inner_texts()
    names = subject.classifier.class_names
    assert [text.split("\n") for text in found] == [
        [names[place], shown(float(logits[place]))] for place in order
    ]
    shares = page.locator("[data-share]").all_inner_texts()
    assert shares == [percent(float(probabilities[place])) for place in order]


def test_the_terms_of_the_logit_are_its_weights_times_the_values_before_it(page, subject):
    _, hidden, logits = twin(subject)
    target = int(subject.dataset.labels[NUMBER])
    fc2 = subject.classifier.module.fc2
    products = (fc2.weight[target].double() * hidden.double()).tolist()
    order = sorted(range(len(products)), key=lambda unit: -abs(products[unit]))[:10]
    found = [text.split("\n") for text in rows(page, 0).all_inner_texts()]
    assert {unit: text for unit, text in found if products[int(unit)]} == {
        str(unit): ("+" if products[unit] > 0 else "") + shown(products[unit])
        for unit in order
        if products[unit]
    }
    group = page.get_by_role("group", name=re.compile("terms of the logit"))
    assert f"= {shown(float(logits[target]), 5)} ✓" in group.inner_text()
    rest = sum(products) - sum(products[unit] for unit in order)
    others = group.locator("li", has_text="more").inner_text().replace("\n", " ")
    assert others.startswith("2 more")
    assert others.endswith(shown(rest))


def test_a_click_on_a_term_works_that_unit_out_and_reload_restores_it(page, subject):
    flat, _, _ = twin(subject)
    fc1 = subject.classifier.module.fc1
    second = rows(page, 0).nth(1)
    unit = int(second.inner_text().split("\n")[0])
    second.click()
    group = page.get_by_role("group", name=f"terms of unit {unit} of fc1")
    group.wait_for()
    weight, bias = fc1.weight.detach()[unit].double(), float(fc1.bias.detach()[unit])
    value = float(weight @ flat.double()) + bias
    assert f"= {shown(value, 5)} ✓" in group.inner_text()
    products = weight * flat.double()
    best = int(products.abs().argmax())
    place = f"{best // 4} [{best // 2 % 2},{best % 2}]"
    first = rows(page, 1).first.inner_text().split("\n")
    product = float(products[best])
    assert first == [place, ("+" if product > 0 else "") + shown(product)]
    page.reload()
    page.get_by_role("group", name=f"terms of unit {unit} of fc1").wait_for()


def test_the_columns_begin_at_a_map_whose_value_can_be_opened(page):
    start = page.get_by_role("complementary", name="Source")
    where = start.get_by_text("channel").first.inner_text()
    layer, channel, row, column = re.match(
        r"(\S+), channel (\d+), row (\d+), column (\d+)", where
    ).groups()
    start.get_by_role("button", name="Show how it is computed").click()
    page.wait_for_url(re.compile("view=number"))
    assert f"layer={layer}" in page.url
    assert page.evaluate("new URLSearchParams(location.search).get('unit') ?? '0'") == channel
    at = page.evaluate("new URLSearchParams(location.search).get('at') ?? '0,0'")
    assert at == f"{row},{column}"


def test_a_logit_its_term_its_edge_and_its_probability_are_highlighted_together(page):
    def lit():
        return page.evaluate(
            """() => [
              document.querySelector('li.highlighted [data-column="-1"] .name')
                ?.textContent ?? null,
              ...['data-term', 'data-edge', 'data-share'].map((name) =>
                [...document.querySelectorAll(`[${name}].highlighted`)]
                  .map((e) => e.getAttribute(name))),
            ]"""
        )

    assert lit() == [None, [], [], []]
    logit = rows(page, -1).nth(1)
    name = logit.inner_text().split("\n")[0]
    place = page.locator("[data-share]").nth(1).get_attribute("data-share")
    logit.hover()
    assert lit() == [name, [place], [place], [place]]
    other = page.locator("[data-share]").nth(2).get_attribute("data-share")
    page.locator(f'[data-term="{other}"]').hover()
    assert lit()[1:] == [[other], [other], [other]]
    assert lit()[0] != name
    page.mouse.move(5, 5)
    rows(page, -1).nth(1).focus()
    assert lit() == [name, [place], [place], [place]]


def test_softmax_and_cross_entropy_are_written_out_with_torchs_numbers(page, subject):
    _, _, logits = twin(subject)
    target = int(subject.dataset.labels[NUMBER])
    softmax = page.get_by_role("region", name="Softmax")
    weights = (logits.double() - logits.double().max()).exp()
    for place in range(len(logits)):
        assert shown(float(weights[place])) in page.locator(f'[data-term="{place}"]').inner_text()
    probability = float(logits.double().softmax(0)[target])
    assert f"= {shown(probability, 6)} ✓" in softmax.inner_text()
    loss = float(F.cross_entropy(logits.double()[None], torch.tensor([target])))
    text = page.get_by_role("region", name="Cross-entropy").inner_text()
    assert f"= {shown(loss, 6)} ✓" in re.sub(r"\s+", " ", text)


def test_switching_a_unit_off_gives_the_probabilities_of_a_masked_pass(page, subject):
    target = int(subject.dataset.labels[NUMBER])
    strongest = rows(page, 0).first
    unit = int(strongest.inner_text().split("\n")[0])
    before = twin(subject)[2].softmax(0)
    after = twin(subject, off=[unit])[2].softmax(0)
    strongest.focus()
    page.keyboard.press("o")
    page.get_by_test_id("before").wait_for()
    assert page.get_by_test_id("before").inner_text() == percent(float(before[target]))
    assert page.get_by_test_id("after").inner_text() == percent(float(after[target]))
    for place in range(len(after)):
        shares = page.locator(f'[data-share="{place}"]').inner_text().split("→")
        assert [share.strip() for share in shares] == [
            percent(float(before[place])),
            percent(float(after[place])),
        ]
    assert json.loads(page.evaluate("new URLSearchParams(location.search).get('off')")) == [
        ["dropout", unit]
    ]
    page.reload()
    page.get_by_test_id("after").wait_for()
    assert page.get_by_test_id("after").inner_text() == percent(float(after[target]))
    switch = page.get_by_role("switch", name=f"Unit {unit} of dropout", exact=True)
    assert switch.get_attribute("aria-checked") == "false"
    switch.click()
    page.get_by_test_id("before").wait_for(state="detached")
    assert page.locator(f'[data-share="{target}"]').inner_text() == percent(float(before[target]))


def test_another_class_is_picked_from_the_list(page, subject):
    _, _, logits = twin(subject)
    label = int(subject.dataset.labels[NUMBER])
    other = (label + 1) % len(logits)
    page.get_by_label("Class to explain").select_option(str(other))
    logit = page.get_by_role("group", name=re.compile("terms of the logit"))
    logit.get_by_text(shown(float(logits[other]), 5)).wait_for()
    assert f"target={other}" in page.url
    loss = float(F.cross_entropy(logits.double()[None], torch.tensor([other])))
    text = page.get_by_role("region", name="Cross-entropy").inner_text()
    assert shown(loss, 6) in text
    assert "if the label were" in text


def test_arrow_keys_walk_through_the_columns(page):
    rows(page, -1).first.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.row") == "1"
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.dataset.column") == "0"
    page.keyboard.press("ArrowDown")
    unit = page.evaluate("document.activeElement.innerText").split("\n")[0]
    assert f"unit {unit} of dropout" in page.get_by_test_id("detail").inner_text()
    page.keyboard.press("Enter")
    page.get_by_role("group", name=f"terms of unit {unit} of fc1").wait_for()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.column") == "-1"
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "view=classifier" not in url)
