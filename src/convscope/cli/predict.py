"""`convscope predict`: the classes of image files by a run's classifier."""

import csv
import io
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convscope.base.errors import ConvscopeError
from convscope.console.output import Json

if TYPE_CHECKING:
    from convscope.nets.classifier import Classifier, Prediction


class Format(StrEnum):
    """How predictions are written."""

    table = "table"
    csv = "csv"
    parquet = "parquet"


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE",
            help="Image files, folders, globs; - reads paths from standard input.",
        ),
    ],
    topk: Annotated[int, typer.Option(min=1, help="Classes in each answer.")] = 5,
    form: Annotated[
        Format, typer.Option("--format", help="What standard output gets; see also --json.")
    ] = Format.table,
    logit: Annotated[
        bool, typer.Option("--logit/--prob", help="Logits, or probabilities.")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 64,
    as_json: Json = False,
) -> None:
    """Classify images.

    One row per image. The exit code is 3 if some images could not be read or found.
    """
    from rich.console import Console
    from rich.progress import track

    from convscope.base.device import default_device
    from convscope.console.paths import image_paths
    from convscope.runs.folder import load

    if form is Format.parquet and sys.stdout.isatty():
        raise ConvscopeError(
            "--format parquet writes binary data: redirect it into a file, as in > p.parquet"
        )
    files, unmatched = image_paths(paths)
    if not files:
        raise ConvscopeError(f"no images in {', '.join(paths)}")
    classifier = load(run).to(default_device())
    errors = Console(stderr=True)
    predictions = track(
        classifier.predictions(files, batch), "predicting", len(files), console=errors,
        transient=True, disable=not errors.is_terminal,
    )  # fmt: skip
    rows = [_row(classifier, prediction, topk, logit) for prediction in predictions]
    if as_json:
        print(json.dumps(rows, indent=2, allow_nan=False, ensure_ascii=False))
    else:
        _write(rows, form, "logit" if logit else "probability")
    if unmatched or any("error" in row for row in rows):
        sys.exit(3)


def _row(
    classifier: "Classifier", prediction: "Prediction", topk: int, logit: bool
) -> dict[str, Any]:
    # In a name that is not UTF-8 the bytes are escaped.
    path = prediction.path.encode("utf-8", "backslashreplace").decode()
    if prediction.logits is None:
        return {"path": path, "error": prediction.error}
    if not logit:
        ranked = classifier.ranked(prediction.logits, topk)
        return {
            "path": path,
            "topk": [{"class": name, "probability": value} for name, value in ranked],
        }
    names = classifier.class_names or ()
    scores = prediction.logits.tolist()
    order = sorted(range(len(names)), key=lambda index: -scores[index])[:topk]
    return {
        "path": path,
        "topk": [{"class": names[index], "logit": scores[index]} for index in order],
    }


def _write(rows: list[dict[str, Any]], form: Format, value: str) -> None:
    if form is Format.csv:
        text = io.StringIO()
        flat = _flat(rows, value)
        writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
        sys.stdout.write(text.getvalue())
    elif form is Format.parquet:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(_flat(rows, value)), sys.stdout.buffer)
    else:
        _print_table(rows, value)


def _flat(rows: list[dict[str, Any]], value: str) -> list[dict[str, Any]]:
    """One flat row per image: path, error, class_1, probability_1, class_2, ..."""
    ranks = max((len(row.get("topk", ())) for row in rows), default=0)
    flat = []
    for row in rows:
        cells: dict[str, Any] = {"path": row["path"], "error": row.get("error")}
        answers = row.get("topk", [])
        for rank in range(ranks):
            answer = answers[rank] if rank < len(answers) else {}
            cells[f"class_{rank + 1}"] = answer.get("class")
            cells[f"{value}_{rank + 1}"] = answer.get(value)
        flat.append(cells)
    return flat


def _print_table(rows: list[dict[str, Any]], value: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)  # a file has no width to wrap at
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("image", overflow="fold")
    table.add_column("class")
    table.add_column(value, justify="right")
    table.add_column("then", style="dim", overflow="fold")
    for row in rows:
        if "error" in row:
            table.add_row(escape(row["path"]), "[red]error[/]", "", escape(row["error"]))
            continue
        first, *others = [
            (escape(a["class"]), f"{a[value]:.1%}" if value == "probability" else f"{a[value]:.3f}")
            for a in row["topk"]
        ]
        then = ", ".join(f"{name} {number}" for name, number in others)
        table.add_row(escape(row["path"]), f"[bold]{first[0]}[/]", first[1], then)
    console.print(table)
