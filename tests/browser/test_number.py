"""The formula pane: every number of every kind is that of plain torch, to the printed digit."""

import re
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

import explored

IMAGE = "data-4"
NUMBER = 4


def shown(value: float, digits: int = 6) -> str:
    """As `model/numbers.ts` writes a number."""
    rounded = float(f"{value:.{digits}g}")
    if rounded and abs(rounded) < 1e-4:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        if "." in mantissa:
            mantissa = mantissa.rstrip("0").rstrip(".")
        text = f"{mantissa}e{int(exponent)}"
    elif rounded == int(rounded):
        text = str(int(rounded))
    else:
        text = f"{rounded:.12f}".rstrip("0").rstrip(".")
    return text.replace("-", "−")


def short(value: float) -> str:
    return shown(value, 3)


@pytest.fixture(scope="module")
def twin(subject):
    """Plain torch: the output of every layer for the image, without the batch axis."""
    m = subject.classifier.module
    out = {"input": subject.images(NUMBER)}
    with torch.no_grad():
        names = ["input", "stem.0", "stem.1", "stem.2", "stem.3"]
        for (before, name), layer in zip(pairwise(names), m.stem, strict=True):
            out[name] = layer(out[before])
        out["block"] = m.block(out["stem.3"])
        out["add"] = out["block"] + out["stem.3"]
        out["relu"] = F.relu(out["add"])
        out["strided"] = m.strided(out["relu"])
        out["sigmoid"] = torch.sigmoid(out["strided"])
        out["adaptive_max_pool"] = F.adaptive_max_pool2d(out["sigmoid"], 3)
        out["narrow"] = m.narrow(out["relu"])
        out["average_pool"] = F.avg_pool2d(out["narrow"], 3, 2)
        out["concatenate"] = torch.cat([out["adaptive_max_pool"], out["average_pool"]], 1)
        out["pool"] = m.pool(out["concatenate"])
        out["flatten"] = out["pool"].flatten(1)
        out["fc1"] = m.fc1(out["flatten"])
        out["relu#2"] = out["dropout"] = F.relu(out["fc1"])
        out["fc2"] = m.fc2(out["dropout"])
        out["softmax"] = out["fc2"].softmax(1)
    return {name: values[0] for name, values in out.items()}


@pytest.fixture
def open_number(page_at):
    def at(layer, unit=0, at=(0, 0), **more):
        place = {"unit": unit, "at": f"{at[0]},{at[1]}", **more}
        page = page_at(view="number", image=IMAGE, layer=layer, **place)
        page.get_by_test_id("value").wait_for()
        return page

    return at


def formula(page):
    return page.get_by_role("region", name="Worked formula")


def cells(page) -> list[str]:
    """The numbers in the cells of the window, value and weight separated by a space."""
    return [" ".join(text.split()) for text in formula(page).locator(".cell").all_inner_texts()]


def parts(page) -> dict[str, str]:
    """The formula's numbers by the names below them."""
    texts = formula(page).locator(".part").all_inner_texts()
    return {name: number.strip() for number, name in (text.split("\n") for text in texts)}


def rows(page) -> list[list[str]]:
    """The table's rows as cells."""
    found = formula(page).locator("tbody tr").all()
    return [
        [text.strip() for text in row.locator("th, td").all_inner_texts() if text.strip()]
        for row in found
    ]


def agree(page, value: float, total: float | None = None) -> None:
    """Headline and verdict say the tensor's value and the formula's in float64."""
    assert page.get_by_role("heading", level=1).inner_text() == shown(value)
    assert page.get_by_test_id("value").inner_text() == shown(value)
    assert page.get_by_test_id("sum").inner_text() == shown(value if total is None else total)
    assert formula(page).get_by_role("img", name="they agree").is_visible()


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
        f"{short(float(x))} × {short(float(w))}"
        for x, w in zip(patch[own].flatten(), weight[own].flatten(), strict=True)
    ]
    sums = (patch * weight).sum((1, 2)).tolist()
    bias = float(module.bias.detach()[unit])
    assert page.get_by_test_id("channel-sum").inner_text() == shown(sums[own])
    order = sorted(range(len(sums)), key=lambda i: -abs(sums[i]))
    assert rows(page) == [
        *([f"channel {first + i}", shown(sums[i])] for i in order),
        ["+ bias", shown(bias)],
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
    assert cells(page) == [short(float(value)) for value in values]
    if "max" in layer or layer == "stem.3":
        winner = formula(page).locator(".winner").inner_text().strip()
        assert winner == short(float(values.max()))
        agree(page, float(twin[layer][(unit, *at)]))
    else:
        assert page.get_by_test_id("divisor").inner_text() == str(len(values))
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
        "value": shown(x),
        "mean": shown(mean),
        "variance": shown(variance),
        "eps": shown(norm.eps),
        "gamma": shown(gamma),
        "beta": shown(beta),
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
    assert down.inner_text() == shown(float(x))
    total = {"sigmoid": torch.sigmoid, "stem.2": F.relu, "relu#2": F.relu}.get(layer, lambda x: x)
    agree(page, float(twin[layer][index]), float(total(x)))
    down.click()
    page.get_by_role("heading", level=1, name=shown(float(x)), exact=True).wait_for()
    assert page.locator(".where strong").inner_text() == source


def test_an_addition_is_worked_out(open_number, twin):
    page = open_number("add", 4, (2, 6))
    a, b = (float(twin[name][4, 2, 6]) for name in ("block", "stem.3"))
    assert parts(page) == {"block": shown(a), "stem.3": shown(b)}
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
            numbers = [short(float(x[i])), f"× {short(float(weight[i]))}", shown(products[i])]
            assert row == [f"unit {i}", *numbers]
    left = sum(products) - sum(products[i] for i in order)
    if len(products) > 12:
        assert found[12] == [f"the other {len(products) - 12} together", shown(left)]
    assert found[-2:] == [["+ bias", shown(bias)], ["=", shown(total)]]
    agree(page, float(twin[layer][unit]), total)


@pytest.mark.parametrize("unit", [0, 1])
def test_a_probability_is_worked_out_by_class_names(open_number, twin, unit):
    page = open_number("softmax", unit)
    logits = twin["fc2"].double()
    powers = (logits - logits.max()).exp()
    total = float(powers.sum())
    order = powers.argsort(descending=True).tolist()
    assert rows(page) == [
        *([explored.CLASSES[i], shown(float(logits[i])), shown(float(powers[i]))] for i in order),
        ["sum", shown(total)],
    ]
    numbers = formula(page).locator(".fraction").inner_text()
    assert shown(float(powers[unit])) in numbers
    assert shown(total) in numbers
    agree(page, float(twin["softmax"][unit]), float(powers[unit]) / total)


def test_the_loss_is_worked_out_for_the_target(open_number, twin):
    page = open_number("cross_entropy", target=3)
    logits = twin["fc2"].double()
    loss = float(F.cross_entropy(logits[None], torch.tensor([3])))
    found = parts(page)
    assert found["probability"] == shown(float(logits.softmax(0)[3]))
    assert found["largest logit"] == shown(float(logits.max()))
    assert found[f"logit of {explored.CLASSES[3]}"] == shown(float(logits[3]))
    agree(page, float(F.cross_entropy(twin["fc2"][None], torch.tensor([3]))), loss)


def test_the_input_shows_the_pixel_before_normalisation(open_number, subject, twin):
    page = open_number("input", 1, (3, 5))
    agree(page, float(twin["input"][1, 3, 5]))
    preprocess = subject.classifier.preprocess
    pixel = (float(twin["input"][1, 3, 5]) * preprocess.std[1] + preprocess.mean[1]) * 255
    found = page.get_by_test_id("pixel")
    found.wait_for()
    assert int(found.inner_text()) == round(pixel)


def test_what_a_switched_off_unit_gives_is_zero(open_number):
    page = open_number("block", 2, (3, 3), off='[["block", 2]]')
    assert "switched off" in formula(page).inner_text()
    agree(page, 0.0)


def where(page) -> str:
    return " ".join(page.locator(".where").inner_text().split())


def map_point(page, side: str, row: float, column: float, tall: int, padding: int = 0):
    """The point on a square map, `tall` pixels a side, where a pixel has its centre."""
    box = page.get_by_role("button", name=re.compile(f"^{side} map")).bounding_box()
    scale = box["width"] / (tall + 2 * padding)
    return (
        box["x"] + (column + padding + 0.5) * scale,
        box["y"] + (row + padding + 0.5) * scale,
    )


def wait_where(page, text: str) -> None:
    page.wait_for_function("t => document.querySelector('.where')?.innerText.includes(t)", arg=text)


def test_the_pointer_moves_the_kernel_and_a_click_fixes_it(open_number, twin):
    page = open_number("block", 2, (3, 4), tab=1)
    page.mouse.move(*map_point(page, "Output", 6, 1, 8))
    wait_where(page, "row 6, column 1")
    agree(page, float(twin["block"][2, 6, 1]))
    assert "at=3%2C4" in page.url
    page.mouse.move(*map_point(page, "Input", 2, 5, 8, padding=1))
    wait_where(page, "row 2, column 5")
    agree(page, float(twin["block"][2, 2, 5]))
    page.mouse.move(5, 790)
    wait_where(page, "row 3, column 4")
    page.mouse.click(*map_point(page, "Input", 2, 5, 8, padding=1))
    page.mouse.move(5, 790)
    wait_where(page, "row 2, column 5")
    assert "at=2%2C5" in page.url
    assert "row 2, column 5" in page.locator("nav.path").inner_text()


def test_the_pointer_on_the_input_respects_stride(open_number):
    page = open_number("strided", 1, (0, 1), tab=0)
    page.mouse.move(*map_point(page, "Input", 3, 5, 8))
    wait_where(page, "row 1, column 2")


def test_keys_move_the_number_and_the_input_channel(open_number, twin):
    page = open_number("block", 2, (3, 4), tab=1)
    for key, place in [
        ("ArrowRight", "row 3, column 5"),
        ("ArrowDown", "row 4, column 5"),
        ("ArrowLeft", "row 4, column 4"),
        ("ArrowUp", "row 3, column 4"),
        ("End", "row 3, column 7"),
        ("ArrowRight", "row 3, column 7"),
        ("Home", "row 3, column 0"),
    ]:
        page.keyboard.press(key)
        wait_where(page, place)
    agree(page, float(twin["block"][2, 3, 0]))
    assert page.locator(".unseen[aria-live]").inner_text().startswith("channel 2, row 3, column 0")
    choice = page.get_by_label(re.compile("Input channel, of"))
    for key, channel in [("]", "2"), ("]", "3"), ("[", "2")]:
        page.keyboard.press(key)
        page.wait_for_function("c => document.querySelector('select').value === c", arg=channel)
    assert "tab=2" in page.url
    choice.select_option("5")
    assert formula(page).get_by_text("input channel 5").first.is_visible()
    page.get_by_role("button", name=re.compile("^Strongest")).click()
    assert rows(page)[0][0] == f"channel {choice.input_value()}"


def test_vectors_move_by_units(open_number, twin):
    page = open_number("fc2", 1)
    page.keyboard.press("ArrowRight")
    wait_where(page, "unit 2")
    page.keyboard.press("End")
    wait_where(page, "unit 4")
    agree(page, float(twin["fc2"][4]))


def test_stepping_goes_along_the_map_and_pauses(open_number):
    page = open_number("block", 2, (3, 6), tab=1)
    quiet = page.locator(".unseen[aria-live]").inner_text()
    page.keyboard.press("Space")
    wait_where(page, "row 4, column 0")
    assert page.get_by_role("button", name="Pause").is_visible()
    assert page.locator(".unseen[aria-live]").inner_text() == quiet
    page.mouse.move(*map_point(page, "Output", 6, 1, 8))
    page.get_by_role("button", name="Play").wait_for()
    wait_where(page, "row 6, column 1")
    page.mouse.move(5, 790)
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").wait_for()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="Play").wait_for()


def test_it_sets_out_by_itself_only_where_nobody_chose_a_place(page_at):
    page = page_at(view="number", image=IMAGE, layer="block", unit=2)
    page.get_by_role("button", name="Play").wait_for()  # motion is reduced
    page.emulate_media(reduced_motion="no-preference")
    page.reload()
    wait_where(page, "row 0, column 2")
    page.keyboard.press("Space")
    page.get_by_role("button", name="Play").wait_for()
    page.reload()
    page.get_by_test_id("value").wait_for()
    assert page.get_by_role("button", name="Play").is_visible()


def test_one_walks_down_to_a_pixel_and_up_again(open_number, twin):
    page = open_number("stem.1", 2, (5, 6))
    formula(page).locator("button.value").click()
    wait_where(page, "stem.0")
    cell = formula(page).locator(".cell button.value").nth(3)
    cell.focus()
    page.keyboard.press("Enter")
    wait_where(page, "input input channel")
    channel = int(re.search(r"channel (\d+), row 5, column 5", where(page))[1])
    agree(page, float(twin["input"][channel, 5, 5]))
    page.keyboard.press("Escape")
    page.wait_for_function("location.search.includes('view=channel')")
    page.go_back()
    page.go_back()
    wait_where(page, "stem.0")


def test_reloading_restores_number_and_input_channel(open_number):
    page = open_number("strided", 6, (2, 1))
    page.keyboard.press("[")
    before = formula(page).inner_text()
    page.reload()
    page.get_by_test_id("value").wait_for()
    assert formula(page).inner_text() == before


@pytest.mark.parametrize(
    ("place", "told", "way"),
    [
        ({"layer": "block", "at": "99,3"}, "its rows are 0 to 7", "To the nearest number"),
        ({"layer": "block", "unit": 77}, "its channels are 0 to 5", "To the nearest number"),
        ({"layer": "fc2", "unit": 5}, "its units are 0 to 4", "To the nearest number"),
        ({"layer": "blok"}, "There is no layer blok", "To the network"),
        ({"layer": "strided", "tab": 5}, "reads input channels 0 to 2", "To the nearest"),
    ],
)
def test_an_address_of_no_number_says_so_and_leads_back(page_at, place, told, way):
    page = page_at(view="number", image=IMAGE, **place)
    page.get_by_text(told).wait_for()
    page.get_by_role("button", name=way, exact=True).click()
    page.get_by_text(told).wait_for(state="detached")
    if way != "To the network":
        page.get_by_test_id("value").wait_for()
