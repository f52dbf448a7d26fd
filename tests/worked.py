"""What the browser tests read off the formula pane."""

import re

from plain import written


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


def says(page, value: float) -> None:
    """The headline and the verdict say the tensor's value, and that the formula gives it."""
    assert page.get_by_role("heading", level=1).inner_text() == written(value)
    assert page.get_by_test_id("value").inner_text() == written(value)
    assert formula(page).get_by_role("img", name="they agree").is_visible()


def agree(page, value: float, total: float | None = None) -> None:
    """Besides, the formula in float64 gives `total`."""
    says(page, value)
    assert page.get_by_test_id("sum").inner_text() == written(value if total is None else total)


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
    page.wait_for_function(
        "t => document.querySelector('.where')?.innerText.replace(/\\s+/g, ' ').includes(t)",
        arg=text,
    )
