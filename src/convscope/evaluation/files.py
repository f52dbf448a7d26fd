"""Write an evaluation to a folder: metrics, tables, predictions and pictures."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convscope.base.storage import write_bytes, write_json, write_text
from convscope.data.dataset import Dataset
from convscope.drawing.contact import contact_sheet
from convscope.evaluation.evaluate import Evaluation
from convscope.evaluation.pictures import confusion_picture, reliability_picture
from convscope.metrics.classification import softmax

_MISTAKES = 24


def write_evaluation(folder: Path, evaluation: Evaluation, dataset: Dataset, about: str) -> None:
    """Writes the evaluation's metrics, tables and pictures into `folder`.

    The files are `metrics.json`, `per_class.csv`, `confusion.csv`, `predictions.parquet`,
    `confusion.png`, `reliability.png` and, if there are mistakes, `mistakes.png`.

    Args:
        folder: existing files of these names are replaced.
        evaluation: what is written.
        dataset: of the evaluated images.
        about: the run and the data, for the titles of the pictures.

    Raises:
        ConvscopeError: a file cannot be written. The message names it.
    """
    predictions = evaluation.predictions
    names = predictions.class_names
    for name in ("metrics.json", "mistakes.png"):  # may remain from an earlier evaluation
        (folder / name).unlink(missing_ok=True)
    write_bytes(folder / "predictions.parquet", predictions.to_parquet())
    keys = ["name", "precision", "recall", "f1", "recall_interval", "n"]
    rows = [[vars(figures)[key] for key in keys] for figures in evaluation.per_class]
    write_text(folder / "per_class.csv", _csv([keys, *rows]))
    matrix = [[name, *row] for name, row in zip(names, evaluation.confusion.tolist(), strict=True)]
    write_text(folder / "confusion.csv", _csv([["label \\ predicted", *names], *matrix]))
    top1 = f"{about}\ntop-1 {evaluation.top1:.2%} of {evaluation.n:,} images"
    picture = confusion_picture(evaluation.confusion, names, top1)
    write_bytes(folder / "confusion.png", picture)
    write_bytes(folder / "reliability.png", reliability_picture(evaluation.calibration, about))
    mistakes = mistakes_picture(evaluation, dataset, about)
    if mistakes is not None:
        write_bytes(folder / "mistakes.png", mistakes)
    # Written last: the evaluation is complete if this file exists.
    write_json(folder / "metrics.json", evaluation.as_json())


def mistakes_picture(evaluation: Evaluation, dataset: Dataset, about: str) -> bytes | None:
    """A contact sheet (PNG) of the most confident mistakes, or None if there are no mistakes."""
    predictions = evaluation.predictions
    rows = evaluation.mistakes(_MISTAKES)
    if len(rows) == 0:
        return None
    probabilities = softmax(predictions.logits)
    index_of = {path: index for index, path in enumerate(dataset.paths)}
    images, captions = [], []
    for row in rows.tolist():
        label = predictions.class_names[predictions.targets[row]]
        predicted = int(probabilities[row].argmax())
        images.append(dataset.image(index_of[predictions.paths[row]], dataset.channels))
        captions.append(
            f"{predictions.class_names[predicted]} {probabilities[row, predicted]:.1%}\n"
            f"label: {label}\n{predictions.paths[row]}"
        )
    sheet = contact_sheet(images, captions, title=f"{about}: most confident mistakes")
    content = io.BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
