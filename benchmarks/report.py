"""The rows as a page to read and as JSON."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Row

_HERE = Path(__file__).parent


def write(
    measured: dict[str, list[Row]], machine: dict[str, Any], quick: bool, seconds: float
) -> Path:
    """Puts the rows into results.json and results.md beside this file; returns the page's path.

    A measurement replaces its earlier rows; those of the others stay, with their own machine.
    """
    store = _HERE / "results.json"
    runs = json.loads(store.read_text())["runs"] if store.exists() else []
    for run in runs:
        run["rows"] = [row for row in run["rows"] if row["measurement"] not in measured]
    rows = [
        {"measurement": name, **row.as_json()} for name, found in measured.items() for row in found
    ]
    runs.append({"quick": quick, "seconds": round(seconds), "machine": machine, "rows": rows})
    runs = [run for run in runs if run["rows"]]
    store.write_text(json.dumps({"runs": runs}, indent=1) + "\n")
    page = _HERE / "results.md"
    page.write_text("\n".join(_HEAD + [line for run in runs for line in _section(run)]) + "\n")
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


_HEAD = [
    "# Results",
    "",
    "Written by `python -m benchmarks`; [README.md](README.md) says what is measured and how.",
    "Ratio = ours / peer, taken round by round.",
]


def _section(run: dict[str, Any]) -> list[str]:
    """One run's table, notes and machine."""
    machine = run["machine"]
    fields = [field.name for field in dataclasses.fields(Row)]
    rows = [Row(**{name: row[name] for name in fields}) for row in run["rows"]]
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    notes = [f"{number}. {row.note}" for number, row in enumerate(rows, 1) if row.note]
    load = machine["load_before"][0]
    where = f"{machine['cpus']} cores, {machine['memory_gib']} GiB, {machine['platform']}; "
    where += f"{machine['torch_threads']} torch threads"
    return [
        "",
        f"## {', '.join(dict.fromkeys(row['measurement'] for row in run['rows']))}",
        "",
        *(["**A quick run: few and short rounds.**", ""] if run["quick"] else []),
        *table(rows),
        "",
        *notes,
        "",
        f"- Machine: {machine['processor']} ({machine['cpu_capability']}), {where}",
        f"- Load of the machine when the run began: {load:.2f}",
        f"- Versions: convscope {machine['convscope']}, Python {machine['python']}, {libraries}",
        f"- Commit: {machine['commit']}",
        f"- Date: {machine['date']}; the run took {run['seconds']} s",
    ]
