"""`convscope check`: a data set's counts, sizes, unreadable files and duplicates."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convscope.console.output import Json

if TYPE_CHECKING:
    from convscope.data.check import Check
    from convscope.data.dataset import Dataset

_CLASSES, _LISTED = 40, 10


def check(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="A folder of class folders, or a known data set's name."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A folder; by default checks/NAME.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check every image of DATA: counts, unreadable files, sizes, duplicates across splits."""
    from convscope.base.storage import safe_name, write_bytes, write_json
    from convscope.cli.check_picture import check_sheet
    from convscope.console.output import checked_folder
    from convscope.data.catalog import check_outside, open_dataset

    dataset = open_dataset(data)
    name = safe_name(dataset.name)
    folder = checked_folder(out or Path("checks", name))
    check_outside(folder, data)
    found = _checked(dataset)
    write_bytes(folder / "check.png", check_sheet(found))
    result = found.as_json()
    write_json(folder / "check.json", result)
    if as_json:
        print(json.dumps(result, allow_nan=False))
    else:
        _print(found, folder)
    if found.bad:
        sys.exit(3)


def _checked(dataset: "Dataset") -> "Check":
    from rich.console import Console
    from rich.progress import Progress

    from convscope.data.check import check as look

    errors = Console(stderr=True, highlight=False)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("checking images", total=len(dataset))
        return look(dataset, lambda done, total: bar.update(task, completed=done, total=total))


def _print(found: "Check", folder: Path) -> None:
    from convscope.console.output import print_table
    from convscope.data.check import NO_SPLIT
    from convscope.data.dataset import SPLITS

    names, counts = found.dataset.class_names, found.counts()
    print(
        f"{found.dataset.name} · {_of(len(names), 'class', 'classes')} · "
        f"{_of(len(found.dataset), 'image')}"
    )
    if found.drawn:
        print(
            f"the data set has no {' and no '.join(found.drawn)} split: the table shows the "
            "random split that `convscope train` makes (seed 0)"
        )
    parts = [i for i in range(4) if counts[:, i].any()]
    titles = ["#", "class", *((*SPLITS, NO_SPLIT)[i] for i in parts)]
    rows = [
        [str(index), name, *(f"{counts[index, i]:,}" for i in parts)]
        for index, name in enumerate(names[:_CLASSES])
    ]
    rows.append(["", "all", *(f"{counts[:, i].sum():,}" for i in parts)])
    print_table(titles, rows, left=("class",))
    if len(names) > _CLASSES:
        print(f"... all {len(names)} classes: {folder / 'check.json'}")
    for line in _facts(found):
        print(line)
    _print_files(found)
    for remark in found.remarks():
        print(f"note: {remark}")
    print(f"picture and check.json: {folder}")


def _facts(found: "Check") -> list[str]:
    result, lines = found.as_json(), []
    ratio, sizes, cropped = result["imbalance"], result["sizes"], result["cropped"]
    if ratio:
        most, least = ratio["largest"], ratio["smallest"]
        times = "" if ratio["ratio"] is None else f", {ratio['ratio']:.1f} to 1"
        span = (
            f"balance     training images: {most['images']:,} of {most['class']} to "
            f"{least['images']:,} of {least['class']}{times}"
        )
        if most["images"] == least["images"]:
            span = f"balance     {most['images']:,} training images in every class"
        usual = f"            always predicting {most['class']}: accuracy {ratio['share']:.1%}"
        lines += [span, usual]
    if sizes and cropped:
        height, width = (
            f"{s['min']:,} to {s['max']:,} (median {s['median']:,})" if s["min"] < s["max"]
            else f"{s['min']:,}"
            for s in (sizes["height"], sizes["width"])
        )  # fmt: skip
        lines += [
            f"sizes       height {height}, width {width}",
            "modes       " + ", ".join(f"{n:,} {mode}" for mode, n in result["modes"].items()),
            f"cropping    a central square cuts off {cropped['mean']:.1%} of the pixels"
            + (
                f", at worst {cropped['worst']:.1%}: {cropped['worst_file']}"
                if cropped["worst"]
                else ""
            ),
        ]
    across, held = len(found.across()), len({pair.held_out for pair in found.near.pairs})
    concerning = f", {_of(held, 'held-out image')} in them" if held else ""
    near = (
        f"similar     {_of(len(found.near.pairs), 'pair')} across splits{concerning} "
        f"(distance up to {found.near.limit:.2f})"
    )
    return [
        *lines,
        f"unreadable  {_of(len(found.bad), 'file')}",
        f"equal       {_of(len(found.duplicates), 'group')} of images, {across:,} across splits",
        near,
    ]


def _print_files(found: "Check") -> None:
    from convscope.base.errors import listing

    paths = found.dataset.paths
    bad = [f"{paths[index]}: {reason}" for index, reason in sorted(found.bad.items())]
    equal = [" = ".join(paths[i] for i in group[:4]) + (" = ..." if len(group) > 4 else "")
             for group in found.across()]  # fmt: skip
    near = [
        f"{pair.distance:.3f}  {paths[pair.held_out]} ~ {paths[pair.other]}"
        for pair in found.near.pairs
    ]
    for title, lines in (
        ("unreadable files:", bad),
        ("equal images in different splits:", equal),
        ("near duplicates in different splits:", near),
    ):
        if lines:
            print(f"{title}\n{listing(lines, _LISTED)}")


def _of(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
