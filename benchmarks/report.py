"""The rows as a page to read and as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Row

_HERE = Path(__file__).parent


def write(rows: Sequence[Row], machine: dict[str, Any], quick: bool, seconds: float) -> Path:
    """Writes results.md and results.json beside this file; returns the page's path."""
    run = {"quick": quick, "seconds": round(seconds), "machine": machine}
    values = {**run, "rows": [row.as_json() for row in rows]}
    (_HERE / "results.json").write_text(json.dumps(values, indent=1) + "\n")
    page = _HERE / "results.md"
    page.write_text(_page(rows, machine, quick, seconds))
    return page


def table(rows: Sequence[Row]) -> list[str]:
    """Lines of Markdown, one for each row."""
    lines = [
        "| | Measurement | Ours | Peer | Ratio: median (min..max) | n |",
        "|--:|---|--:|--:|--:|--:|",
    ]
    for number, row in enumerate(rows, 1):
        arrow = "higher" if row.higher_is_better else "lower"
        ratios = row.ratios
        ratio = "-"
        if ratios:
            ratio = f"**{median(ratios):.2f}** ({min(ratios):.2f}..{max(ratios):.2f})"
        lines.append(
            f"| {number} | {row.name} ({row.unit}, {arrow} is better) "
            f"| {_side(row.ours, row.ours_is)} | {_side(row.peer, row.peer_is)} "
            f"| {ratio} | {len(row.ours)} |"
        )
    return lines


def _side(values: Sequence[float], who: str) -> str:
    return f"{_short(median(values)) if values else 'not measured'}<br>{who}"


def _short(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _page(rows: Sequence[Row], machine: dict[str, Any], quick: bool, seconds: float) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    notes = [f"{number}. {row.note}" for number, row in enumerate(rows, 1) if row.note]
    load = machine["load_before"][0]
    where = f"{machine['cpus']} cores, {machine['memory_gib']} GiB, {machine['platform']}; "
    where += f"{machine['torch_threads']} torch threads"
    lines = [
        "# Results",
        "",
        "Written by `python -m benchmarks`; [README.md](README.md) says what is measured and how.",
        "Ratio = ours / peer, taken round by round.",
        "",
        *(["**A quick run: few and short rounds.**", ""] if quick else []),
        *table(rows),
        "",
        *notes,
        "",
        f"- Machine: {machine['processor']} ({machine['cpu_capability']}), {where}",
        f"- Load of the machine when the run began: {load:.2f}",
        f"- Versions: convscope {machine['convscope']}, Python {machine['python']}, {libraries}",
        f"- Commit: {machine['commit']}",
        f"- Date: {machine['date']}; the run took {seconds:.0f} s",
    ]
    return "\n".join(lines) + "\n"
