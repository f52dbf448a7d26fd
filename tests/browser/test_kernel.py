"""The kernel view: what it shows are the numbers of plain torch, and what does not fit."""

import re
from decimal import ROUND_HALF_UP, Decimal

import pytest
import torch
import torch.nn.functional as F

EXAMPLE = [
    [20, 24, 11, 12, 16, 19], [19, 17, 20, 23, 15, 9], [21, 40, 25, 13, 14, 8],
    [9, 18, 8, 6, 11, 22], [31, 3, 7, 9, 17, 23], [20, 12, 3, 11, 19, 30],
]  # fmt: skip
SOBEL = [[1, 0, -1], [2, 0, -2], [1, 0, -1]]


def filtered(kernel, image=EXAMPLE, **more):
    to = torch.float64
    return F.conv2d(torch.tensor([[image]], dtype=to), torch.tensor([[kernel]], dtype=to), **more)[
        0, 0
    ]


def cells(page, name):
    """The numbers that are shown, row by row."""
    table = page.get_by_role("group", name=f"Numbers of the {name}")
    return [
        [cell.replace("−", "-") for cell in row.locator("td").all_inner_texts()]
        for row in table.locator("tr").all()
    ]


def three(value):
    """A number with three digits as JavaScript rounds it, halves away from zero."""
    exact = Decimal(value)
    digits = exact.adjusted() - 2 if exact else 0
    return f"{float(exact.quantize(Decimal(1).scaleb(digits), ROUND_HALF_UP)):g}"


def whole(numbers):
    return [[str(int(value)) for value in row] for row in numbers.tolist()]


@pytest.fixture
def page(page_at):
    page = page_at(view="kernel", image="data-3", kernel="x")
    page.get_by_test_id("sum").wait_for()
    return page


def total(page, value):
    """Waits until the worked sum is `value`."""
    page.get_by_test_id("sum").get_by_text(value, exact=True).wait_for()


def test_the_6_by_6_example_gives_3_then_27_as_printed(page):
    assert cells(page, "input") == whole(torch.tensor(EXAMPLE))
    assert cells(page, "output") == whole(filtered(SOBEL))
    assert cells(page, "output")[0][:2] == ["3", "27"]
    total(page, "3")
    page.get_by_role("group", name="Numbers of the output").focus()
    page.keyboard.press("ArrowRight")
    total(page, "27")
    page.keyboard.press("ArrowDown")
    total(page, "60")


def test_the_kernel_goes_where_the_pointer_is_on_either_side(page):
    expected = filtered(SOBEL)
    output = page.get_by_role("group", name="Numbers of the output").locator("td")
    output.nth(7).hover()
    total(page, str(int(expected[1, 3])))
    pixels = page.get_by_role("group", name="Numbers of the input").locator("td")
    pixels.nth(4 * 6 + 2).hover()  # the middle of the window at row 3, column 1
    total(page, str(int(expected[3, 1])))
    under = page.get_by_role("group", name="Numbers of the input").locator("td.under")
    assert under.all_inner_texts() == [str(EXAMPLE[i][j]) for i in (3, 4, 5) for j in (1, 2, 3)]
    work = page.get_by_role("region", name="Computation").inner_text().replace("−", "-")
    assert re.findall(r"(\d+)·\(?(-?\d+)\)?", work) == [
        (str(EXAMPLE[3 + i][1 + j]), str(SOBEL[i][j])) for i in range(3) for j in range(3)
    ]


def test_an_edited_kernel_and_its_settings_are_torchs_and_survive_a_reload(page):
    kernel = [[1, 0, -1], [2, 0.5, -2], [1, 0, -3]]
    page.get_by_label("row 1, column 1").fill("0.5")
    page.get_by_label("row 2, column 2").fill("-1")
    corner = page.get_by_label("row 2, column 2")
    corner.press("ArrowDown")
    corner.press("ArrowDown")
    page.get_by_label("padding", exact=True).fill("1")
    page.get_by_role("combobox", name="border").select_option("edge")
    page.get_by_label("stride", exact=True).fill("2")
    padded = F.pad(torch.tensor([[EXAMPLE]], dtype=torch.float64), (1, 1, 1, 1), mode="replicate")
    expected = filtered(kernel, padded[0, 0].tolist(), stride=2)
    text = [[three(value) for value in row] for row in expected.tolist()]
    page.get_by_role("region", name="Output", exact=True).get_by_text("3 × 3").wait_for()
    page.wait_for_function("document.querySelectorAll('.bad').length > 0")
    for _ in range(2):
        assert cells(page, "output") == text
        total(page, text[0][0].replace("-", "−"))
        page.reload()
        page.get_by_test_id("sum").wait_for()
    assert page.get_by_role("combobox", name="preset").input_value() == ""


def test_a_stride_that_does_not_fit_is_shown_with_the_rows_that_it_loses(page):
    page.get_by_label("stride", exact=True).fill("2")
    sizes = page.get_by_role("region", name="Output size")
    sizes.get_by_text("does not fit: the last row and column are lost").wait_for()
    assert "floor((6 + 2·0 − 1·(3 − 1) − 1) / 2) + 1 = 2" in sizes.inner_text()
    assert page.get_by_label("stride", exact=True).get_attribute("aria-invalid") == "true"
    lost = page.get_by_role("group", name="Numbers of the input").locator("td.lost")
    assert lost.count() == 11
    assert cells(page, "output") == whole(filtered(SOBEL, stride=2))
    page.get_by_label("stride", exact=True).fill("3")
    sizes.get_by_text("does not fit").wait_for(state="detached")
    assert lost.count() == 0
    assert page.get_by_label("stride", exact=True).get_attribute("aria-invalid") == "false"


def test_what_is_impossible_is_shown_with_the_reason(page_at):
    page = page_at(expected=("422", "400"), view="kernel", image="data-3", kernel="x*d9")
    alert = page.get_by_role("alert")
    alert.get_by_text("covers 19 pixels, but an input of 6 with padding 0 has 6").wait_for()
    assert page.get_by_label("dilation", exact=True).get_attribute("aria-invalid") == "true"
    assert "impossible" in page.get_by_role("region", name="Output size").inner_text()
    assert cells(page, "input") == whole(torch.tensor(EXAMPLE))
    page.get_by_label("dilation", exact=True).fill("1")
    total(page, "3")
    page.get_by_label("stride", exact=True).fill("0")
    alert.get_by_text("stride=0").wait_for()
    assert page.get_by_label("stride", exact=True).input_value() == "0"


def test_sizes_on_paper_are_those_of_cs231n(page):
    paper = page.get_by_test_id("paper")
    section = page.get_by_role("region", name="Size calculator")
    for name, formula, loses in [
        ("227, kernel 11, stride 4", "floor((227 + 2·0 − 1·(11 − 1) − 1) / 4) + 1 = 55", False),
        ("5, padding 1, kernel 3", "floor((5 + 2·1 − 1·(3 − 1) − 1) / 2) + 1 = 3", False),
        ("10, kernel 3, stride 2", "floor((10 + 2·0 − 1·(3 − 1) − 1) / 2) + 1 = 4", True),
    ]:
        section.get_by_role("button", name=name).click()
        paper.get_by_text(formula, exact=True).wait_for()
        assert ("1 pixel at the end is lost" in section.inner_text()) == loses
        invalid = section.get_by_label("s, stride").get_attribute("aria-invalid")
        assert invalid == str(loses).lower()
    section.get_by_role("button", name="5, kernel 7").click()
    section.get_by_role("alert").get_by_text("covers 7 pixels, but an input of 5").wait_for()


def test_a_photo_is_filtered_as_torch_filters_its_numbers(page_at, context):
    page = page_at(view="kernel", image="data-3", kernel="a4_6")
    page.get_by_test_id("sum").wait_for()
    assert len(cells(page, "input")) == 9
    answer = page.evaluate(
        """async () => (await fetch("/api/kernel", {method: "POST", headers: {"Content-Type":
        "application/json"}, body: JSON.stringify({image: "data-3", kernel: [[1]]})})).json()"""
    )
    pixels = answer["input"]
    assert all(0 <= value <= 255 and value == int(value) for row in pixels for value in row)
    expected = filtered(SOBEL, pixels)
    total(page, str(int(expected[4, 6])).replace("-", "−"))
    top, left = 0, min(6 - 4, expected.shape[1] - 9)
    window = expected[top : top + 9, left : left + 9]
    assert cells(page, "output") == whole(window)
    frame = page.get_by_role("group", name="The output picture")
    box = frame.locator("canvas").bounding_box()
    scale = box["width"] / expected.shape[1]
    page.mouse.move(box["x"] + 2.5 * scale, box["y"] + 1.5 * scale)
    total(page, str(int(expected[1, 2])).replace("-", "−"))
    page.wait_for_url(re.compile(r"kernel=a1_2"))  # the cursor is in the address
