"""What the browser tests read off the formula pane, and plain torch to compare it with."""

import re
from itertools import pairwise

import torch
import torch.nn.functional as F


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
    return text.replace("-", "\N{MINUS SIGN}")


def short(value: float) -> str:
    return shown(value, 3)


def outputs(subject, number: int):
    """Plain torch: the output of every layer for the image, without the batch axis."""
    m = subject.classifier.module
    out = {"input": subject.images(number)}
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
    assert page.get_by_role("heading", level=1).inner_text() == shown(value)
    assert page.get_by_test_id("value").inner_text() == shown(value)
    assert formula(page).get_by_role("img", name="they agree").is_visible()


def agree(page, value: float, total: float | None = None) -> None:
    """Besides, the formula in float64 gives `total`."""
    says(page, value)
    assert page.get_by_test_id("sum").inner_text() == shown(value if total is None else total)


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
