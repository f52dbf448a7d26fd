"""`convscope evaluate`: a run's metrics on images that it was not trained on."""

import json
from pathlib import Path
from typing import Annotated

import typer

from convscope.console.output import Json


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    data: Annotated[
        str | None, typer.Option(help="Other labelled images; by default the run's own.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, val, test or all; by default test, else val.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 64,
    as_json: Json = False,
) -> None:
    """Evaluate RUN's best weights; writes RUN/evaluation/[DATA-]SPLIT-PROTOCOL."""
    from rich.console import Console
    from rich.progress import Progress

    from convscope.base.device import default_device
    from convscope.base.storage import safe_name
    from convscope.cli.results import evaluation_card
    from convscope.console.output import warn, warn_trained_on
    from convscope.evaluation.evaluate import evaluate as run_evaluation
    from convscope.evaluation.evaluate import indices_of, note_on
    from convscope.evaluation.files import write_evaluation
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
        stem = safe_name(f"{dataset.name}-{stem}")
    folder = run / "evaluation" / stem
    about = f"{run.name} on {dataset.name}, {evaluation.split} split"
    write_evaluation(folder, evaluation, dataset, about)
    if evaluation.split != "train":
        warn_trained_on(same.trained_on, evaluation.n)
    note = note_on(evaluation.split)
    if note is not None and data is None:
        warn(note)
    if same.changed:
        warn(f"{same.changed:,} images have changed since the run was trained")
    if same.relabelled:
        warn(
            f"{same.relabelled:,} of the {evaluation.n:,} images had another class when the run "
            "was trained; it learned their old class"
        )
    if as_json:
        print(json.dumps(evaluation.as_json(), allow_nan=False))
    else:
        evaluation_card(run, evaluation, folder)
