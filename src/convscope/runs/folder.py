"""Read a run folder: its status, recipe, splits and checkpoints, and the classifier.

run.json          format, status (running, interrupted, failed, finished, imported)
recipe.json       the resolved recipe         environment.json  code, libraries, machine
classes.json      class names in order        preprocess.json   preprocessing of the best weights
split.csv         path, label, split, sha256 of each image
sample.png        an augmented training batch
metrics.csv       a line per epoch            plan.jsonl        plans of a time budget
events/           for TensorBoard, if it is installed
checkpoints/      last.safetensors (complete state), best.safetensors (weights)
evaluation/       one folder per evaluation
atlas/            one folder per atlas
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convscope.base.errors import ConvscopeError
from convscope.base.storage import read_json, read_lines, sha256_of
from convscope.data.split import read_split_table
from convscope.nets.classifier import Classifier
from convscope.runs.checkpoint import StoredCheckpoint, load_checkpoint
from convscope.training.recipe import Recipe
from convscope.training.schedule import Replay

FORMAT = 1


def load(run: str | Path) -> Classifier:
    """The classifier of a run folder, with its best weights, in eval mode.

    Raises:
        ConvscopeError: `run` is not a run folder, or has no complete epoch yet.
        WeightsError: the weights are damaged.
    """
    path = best_path(Path(run))
    return load_checkpoint(path).classifier(str(path))


def best_path(run: Path) -> Path:
    """The file of the run's best weights.

    Raises:
        ConvscopeError: `run` is not a run folder, or has no complete epoch yet.
    """
    read_status(run)
    path = run / "checkpoints" / "best.safetensors"
    if not path.exists():
        raise ConvscopeError(
            f"{run} has no complete epoch yet; continue it with: convscope train --resume {run}"
        )
    return path


def last_checkpoint(run: Path) -> StoredCheckpoint | None:
    """The state to resume from; None if the run was stopped before its first checkpoint.

    Raises:
        ConvscopeError: `run` is not a run folder.
        WeightsError: the checkpoint is damaged.
    """
    read_status(run)
    path = run / "checkpoints" / "last.safetensors"
    return load_checkpoint(path) if path.exists() else None


def read_status(run: Path) -> dict[str, Any]:
    """The content of `run.json`.

    Raises:
        ConvscopeError: `run` is not a run folder, or of another format.
    """
    if not (run / "run.json").is_file():
        what = "is not a run folder (it has no run.json)" if run.is_dir() else "does not exist"
        raise ConvscopeError(f"{run} {what}; give a folder that `convscope train` wrote")
    status = read_json(run / "run.json")
    if not isinstance(status, dict) or not isinstance(status.get("status"), str):
        raise ConvscopeError(
            f"{run / 'run.json'} is damaged: it does not have the run's status; "
            "restore it from a copy"
        )
    if status.get("format") != FORMAT:
        raise ConvscopeError(
            f"{run} has format {status.get('format')}, but this version of convscope reads "
            f"{FORMAT}; use the version that wrote it"
        )
    return status


def read_recipe(run: Path) -> Recipe:
    """The recipe of the run.

    Raises:
        ConvscopeError: `run` is not a run folder, has imported weights, or its file is damaged.
    """
    if read_status(run)["status"] == "imported":
        raise ConvscopeError(
            f"{run} has imported weights, without a recipe or a data set; "
            "give the images with --data"
        )
    path = run / "recipe.json"
    try:
        return Recipe.parse(read_json(path), "it is not a recipe")
    except ConvscopeError as error:
        if str(path) in str(error):
            raise
        raise ConvscopeError(f"{path} is damaged: {error}; restore it from a copy") from None


def recorded_splits(run: Path) -> dict[str, str]:
    """The split of each image of a run by path, from its `split.csv`; see `recorded_split`."""
    table = read_split_table(recorded_split(run).encode(), str(run / "split.csv"))
    return {path: record.split for path, record in table.items()}


def recorded_split(run: Path) -> str:
    """The content of the run's `split.csv`, verified by its SHA-256 in `run.json`.

    Raises:
        ConvscopeError: the file is missing, truncated or changed.
    """
    table, status = run / "split.csv", read_status(run)
    try:
        content = table.read_bytes()
    except OSError as error:
        raise ConvscopeError(f"cannot read {table}: {error.strerror or error}") from error
    if status.get("split_sha256", sha256_of(content)) != sha256_of(content):
        raise ConvscopeError(
            f"{table} is damaged: its SHA-256 is not the one in run.json, so the training images "
            "are unknown; restore it from a copy"
        )
    return content.decode(errors="replace")


def read_replay(run: Path) -> Replay:
    """The plans of the run's time budget (`plan.jsonl`).

    Raises:
        ConvscopeError: the file cannot be read or is damaged.
    """
    path = run / "plan.jsonl"
    plans, ended = [], None
    try:
        for line in read_lines(path):
            entry = json.loads(line)
            if "ended" in entry:
                ended = int(entry["ended"])
            else:
                plans.append((int(entry["step"]), int(entry["total"])))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise ConvscopeError(
            f"{path} is damaged: a line is not a plan of a time budget; restore it from a copy"
        ) from None
    return Replay(tuple(plans), ended)


def new_folder(stem: str) -> Path:
    """The first of `runs/STEM`, `runs/STEM-2`, `runs/STEM-3`, ... that does not exist."""
    return next(path for path in _candidates(stem) if not path.exists())


def _candidates(stem: str) -> Iterator[Path]:
    yield Path("runs", stem)
    number = 2
    while True:
        yield Path("runs", f"{stem}-{number}")
        number += 1
