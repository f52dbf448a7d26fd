"""The formula pane: every number of every kind is that of plain torch, to the printed digit."""

from urllib.parse import urlencode

import pytest
import torch
import torch.nn.functional as F

import explored
from plain import outputs, written
from worked import agree, cells, formula, parts, rows

IMAGE = "data-4"
NUMBER = 4


@pytest.fixture(scope="module")
def twin(subject):
    return outputs(subject.classifier.module, subject.images(NUMBER))


@pytest.fixture(scope="module")
def shared(chromium, subject):
    """One tab for all tests, with the errors of its console."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 800}, reduced_motion="reduce", color_scheme="light"
    )
    context.set_default_timeout(10_000)
    page, troubles = context.new_page(), []
    page.on("console", lambda message: message.type == "error" and troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(subject.url)
    yield page, troubles
    context.close()


@pytest.fixture
def open_at(shared, subject):
    """Opens the view by an address, the pointer out of the way."""
    page, troubles = shared

    def at(**place):
        page.mouse.move(5, 790)
        page.goto(f"{subject.origin}/?{urlencode({'view': 'number', 'image': IMAGE, **place})}")
        return page

    yield at
    assert troubles == []


@pytest.fixture
def open_number(open_at):
    def at(layer, unit=0, at=(0, 0), **more):
        page = open_at(layer=layer, unit=unit, at=f"{at[0]},{at[1]}", **more)
        page.get_by_test_id("value").wait_for()
        return page

    return at


CONVOLUTIONS = [
    ("stem.0", "input", 2, (0, 4), 1),
    ("block", "stem.3", 3, (7, 0), 2),
    ("strided", "relu", 5, (1, 2), 4),
    ("narrow", "relu", 1, (2, 3), 5),
]


@pytest.mark.parametrize(("layer", "source", "unit", "at", "tab"), CONVOLUTIONS)
def test_a_convolution_is_worked_out(open_number, subject, twin, layer, source, unit, at, tab):
    module = subject.classifier.module.get_submodule(layer)
    page = open_number(layer, unit, at, tab=tab)
    weight = module.weight.detach()[unit].double()
    (top, left), (down, right) = module.padding, module.stride
    padded = F.pad(twin[source].double(), (left, left, top, top))
    first = unit // (module.out_channels // module.groups) * len(weight)
    row, column = at[0] * down, at[1] * right
    patch = padded[
        first : first + len(weight), row : row + weight.shape[1], column : column + weight.shape[2]
    ]
    own = tab - first
    assert cells(page) == [
        f"{written(float(x), 3)} × {written(float(w), 3)}"
        for x, w in zip(patch[own].flatten(), weight[own].flatten(), strict=True)
    ]
    sums = (patch * weight).sum((1, 2)).tolist()
    bias = float(module.bias.detach()[unit])
    assert page.get_by_test_id("channel-sum").inner_text() == written(sums[own])
    order = sorted(range(len(sums)), key=lambda i: -abs(sums[i]))
    assert rows(page) == [
        *([f"channel {first + i}", written(sums[i])] for i in order),
        ["+ bias", written(bias)],
    ]
    agree(page, float(twin[layer][(unit, *at)]), float((patch * weight).sum()) + bias)


@pytest.mark.parametrize(
    ("layer", "source", "unit", "at", "window"),
    [
        ("stem.3", "stem.2", 3, (3, 4), (6, 8, 8, 10)),
        ("adaptive_max_pool", "sigmoid", 7, (2, 1), (2, 3, 1, 2)),
        ("average_pool", "narrow", 1, (1, 2), (2, 5, 4, 7)),
        ("pool", "concatenate", 9, (1, 0), (1, 3, 0, 2)),
    ],
)
def test_a_pool_is_worked_out(open_number, twin, layer, source, unit, at, window):
    page = open_number(layer, unit, at)
    top, bottom, left, right = window
    values = twin[source][unit, top:bottom, left:right].flatten().double()
    assert cells(page) == [written(float(value), 3) for value in values]
    if "max" in layer or layer == "stem.3":
        winner = formula(page).locator(".winner").inner_text().strip()
        assert winner == written(float(values.max()), 3)
        agree(page, float(twin[layer][(unit, *at)]))
    else:
        assert page.get_by_test_id("weight").inner_text() == written(1 / len(values))
        formula(page).get_by_text(f"1 / {len(values)}, the weight of each", exact=True).wait_for()
        agree(page, float(twin[layer][(unit, *at)]), float(values.mean()))


def test_a_batch_norm_is_worked_out(open_number, subject, twin):
    page = open_number("stem.1", 2, (5, 6))
    norm = subject.classifier.module.stem[1]
    x = float(twin["stem.0"][2, 5, 6])
    mean, variance, gamma, beta = (
        float(numbers.detach()[2])
        for numbers in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    assert parts(page) == {
        "value": written(x),
        "mean": written(mean),
        "variance": written(variance),
        "eps": written(norm.eps),
        "gamma": written(gamma),
        "beta": written(beta),
    }
    total = gamma * (x - mean) / (variance + norm.eps) ** 0.5 + beta
    agree(page, float(twin["stem.1"][2, 5, 6]), total)


@pytest.mark.parametrize(
    ("layer", "source", "unit", "at"),
    [
        ("stem.2", "stem.1", 2, (3, 4)),
        ("sigmoid", "strided", 5, (1, 2)),
        ("relu#2", "fc1", 3, (0, 0)),
        ("concatenate", "average_pool", 9, (1, 2)),
        ("dropout", "relu#2", 7, (0, 0)),
        ("flatten", "pool", 22, (0, 0)),
    ],
)
def test_a_value_that_one_value_makes(open_number, twin, layer, source, unit, at):
    index = (unit, *at)[: twin[layer].ndim]
    before = {"concatenate": (unit - 8, *at), "flatten": (5, 1, 0)}.get(layer, index)
    page = open_number(layer, unit, at)
    x = twin[source][before].double()
    down = formula(page).locator("button.value")
    assert down.inner_text() == written(float(x))
    total = {"sigmoid": torch.sigmoid, "stem.2": F.relu, "relu#2": F.relu}.get(layer, lambda x: x)
    agree(page, float(twin[layer][index]), float(total(x)))
    if layer == "sigmoid":
        formula(page).get_by_text("sigmoid(value) = 1 / (1 + exp(-value))", exact=True).wait_for()
    down.click()
    page.get_by_role("heading", level=1, name=written(float(x)), exact=True).wait_for()
    assert page.locator(".where strong").inner_text() == source


def test_an_addition_is_worked_out(open_number, twin):
    page = open_number("add", 4, (2, 6))
    a, b = (float(twin[name][4, 2, 6]) for name in ("block", "stem.3"))
    assert parts(page) == {"block": written(a), "stem.3": written(b)}
    agree(page, float(twin["add"][4, 2, 6]), a + b)


@pytest.mark.parametrize(
    ("layer", "source", "unit"), [("fc1", "flatten", 3), ("fc2", "dropout", 1)]
)
def test_a_linear_unit_is_worked_out(open_number, subject, twin, layer, source, unit):
    page = open_number(layer, unit)
    module = subject.classifier.module.get_submodule(layer)
    x, weight = twin[source].double(), module.weight.detach()[unit].double()
    products, bias = (x * weight).tolist(), float(module.bias.detach()[unit])
    order = sorted(range(len(products)), key=lambda i: -abs(products[i]))[:12]
    total = sum(products) + bias
    found = rows(page)
    for row, i in zip(found, order, strict=False):
        if products[i]:
            numbers = [
                written(float(x[i]), 3),
                f"× {written(float(weight[i]), 3)}",
                written(products[i]),
            ]
            assert row == [f"unit {i}", *numbers]
    left = sum(products) - sum(products[i] for i in order)
    if len(products) > 12:
        assert found[12] == [f"sum of the other {len(products) - 12}", written(left)]
    assert found[-2:] == [["+ bias", written(bias)], ["=", written(total)]]
    agree(page, float(twin[layer][unit]), total)


@pytest.mark.parametrize("unit", [0, 1])
def test_a_probability_is_worked_out_by_class_names(open_number, twin, unit):
    page = open_number("softmax", unit)
    logits = twin["fc2"].double()
    powers = (logits - logits.max()).exp()
    total = float(powers.sum())
    order = powers.argsort(descending=True).tolist()
    assert rows(page) == [
        *(
            [explored.CLASSES[i], written(float(logits[i])), written(float(powers[i]))]
            for i in order
        ),
        ["sum", written(total)],
    ]
    numbers = formula(page).locator(".fraction").inner_text()
    assert written(float(powers[unit])) in numbers
    assert written(total) in numbers
    agree(page, float(twin["softmax"][unit]), float(powers[unit]) / total)


def test_the_loss_is_worked_out_for_the_target(open_number, twin):
    page = open_number("cross_entropy", target=3)
    logits = twin["fc2"].double()
    loss = float(F.cross_entropy(logits[None], torch.tensor([3])))
    found = parts(page)
    assert found["probability"] == written(float(logits.softmax(0)[3]))
    assert found["largest logit"] == written(float(logits.max()))
    assert found[f"logit of {explored.CLASSES[3]}"] == written(float(logits[3]))
    agree(page, float(F.cross_entropy(twin["fc2"][None], torch.tensor([3]))), loss)


def test_the_input_shows_the_pixel_before_normalisation(open_number, subject, twin):
    page = open_number("input", 1, (3, 5))
    agree(page, float(twin["input"][1, 3, 5]))
    preprocess = subject.classifier.preprocess
    pixel = (float(twin["input"][1, 3, 5]) * preprocess.std[1] + preprocess.mean[1]) * 255
    found = page.get_by_test_id("pixel")
    found.wait_for()
    assert int(found.inner_text()) == round(pixel)
