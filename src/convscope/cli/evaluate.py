"""`convscope evaluate`: how good a run's classifier is on images it was not trained on."""

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from convscope.evaluation.evaluate import Evaluation


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    data: Annotated[
        str | None, typer.Option(help="Other labelled images; by default the run's own.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, val, test or all.")] = "test",
    batch: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Evaluate RUN's best weights; writes RUN/evaluation/SPLIT-PROTOCOL."""
    from rich.console import Console
    from rich.progress import Progress

    from convscope.base.device import default_device
    from convscope.evaluation.evaluate import evaluate as run_evaluation
    from convscope.evaluation.evaluate import indices_of
    from convscope.report.evaluation import write_evaluation
    from convscope.runs.data import overlap, run_dataset
    from convscope.runs.folder import load

    classifier = load(run).to(default_device())
    dataset = run_dataset(run, data).aligned_to(classifier.class_names or ())
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("evaluating", total=None)
        evaluation = run_evaluation(
            classifier, dataset, split=split, batch_size=batch,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    same = overlap(run, dataset, indices_of(dataset, split)[0])
    stem = f"{evaluation.split}-{evaluation.protocol}"
    if data is not None:
        stem = re.sub(r"[^\w.-]+", "-", f"{dataset.name}-{stem}")
    folder = run / "evaluation" / stem
    about = f"{run.name} on {dataset.name}, {evaluation.split} split"
    write_evaluation(folder, evaluation, dataset, about)
    if same.trained_on and evaluation.split != "train":
        sys.stderr.write(
            f"convscope: careful: {same.trained_on:,} of the {evaluation.n:,} images have the "
            "content of an image that the run was trained on; the figures are too good\n"
        )
    if same.changed:
        sys.stderr.write(
            f"convscope: careful: {same.changed:,} images have changed since the run was trained\n"
        )
    if as_json:
        print(json.dumps(evaluation.as_json(), allow_nan=False))
    else:
        _card(run, evaluation, folder, Console(highlight=False, soft_wrap=True))


def _card(run: Path, evaluation: "Evaluation", folder: Path, console: object) -> None:
    from rich.console import Console
    from rich.table import Table

    if not isinstance(console, Console):
        raise TypeError("a rich console is needed")
    low, high = evaluation.top1_interval
    console.print(
        f"[bold]{run}[/] · {evaluation.split} split, {evaluation.n:,} images, "
        f"{evaluation.protocol} crop · 95 % intervals in brackets"
    )
    console.print(
        f"  top-1     [bold]{evaluation.top1:.2%}[/]  [{low:.2%}, {high:.2%}]", markup=True
    )
    if evaluation.top5 is not None and evaluation.top5_interval is not None:
        low, high = evaluation.top5_interval
        console.print(f"  top-5     {evaluation.top5:.2%}  [{low:.2%}, {high:.2%}]")
    low, high = evaluation.log_loss_interval
    console.print(f"  log-loss  {evaluation.log_loss:.4f}  [{low:.4f}, {high:.4f}]")
    console.print(f"  ECE       {evaluation.calibration.error:.4f}  (expected calibration error)")
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("class", "precision", "recall", "95 %", "F1", "images"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for figures in evaluation.per_class[:20]:
        interval = figures.recall_interval
        table.add_row(
            figures.name, _share(figures.precision), _share(figures.recall),
            "-" if interval is None else f"{interval[0]:.1%} to {interval[1]:.1%}",
            _share(figures.f1), f"{figures.n:,}",
        )  # fmt: skip
    console.print(table)
    if len(evaluation.per_class) > 20:
        console.print(f"... all {len(evaluation.per_class)} classes: {folder / 'per_class.csv'}")
    pairs = evaluation.confused_pairs()[:3]
    if pairs:
        console.print("worst confusions:")
    for pair in pairs:
        console.print(f"  {pair['count']:>5,} x {pair['label']} taken for {pair['predicted']}")
    console.print(f"figures, tables and pictures: {folder}\n\nnext:")
    picture = "mistakes.png" if (folder / "mistakes.png").exists() else "confusion.png"
    for command in (
        f"convscope predict {run} IMAGE...",
        f"convscope evaluate {run} --data OTHER_IMAGES",
        f"xdg-open {folder / picture}",
    ):
        console.print(f"  {command}")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
