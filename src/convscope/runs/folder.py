"""The run folder: what is in it, and how it is read back as a Classifier.

run.json          format, status (running, interrupted, failed, finished, imported)
recipe.json       the resolved recipe         environment.json  code, libraries, machine
classes.json      class names in order        preprocess.json   the network's view of an image
split.csv         path, label, split, sha256 of every image
sample.png        a real augmented training batch
metrics.csv       a line per epoch            plan.jsonl        how a time budget was planned
events/           TensorBoard, where it is installed
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
from convscope.nets.classifier import Classifier
from convscope.runs.checkpoint import Stored, load_checkpoint
from convscope.training.recipe import Recipe
from convscope.training.schedule import Replay

FORMAT = 1


def load(run: str | Path) -> Classifier:
    """The classifier of a run folder, with its best weights, in eval mode.

    Raises:
        ConvscopeError: it is no run folder, or has no finished epoch yet.
        WeightsError: the weights are damaged.
    """
    path = best_path(Path(run))
    return load_checkpoint(path).classifier(str(path))


def best_path(run: Path) -> Path:
    """The run's best weights.

    Raises:
        ConvscopeError: it is no run folder, or has no finished epoch yet.
    """
    read_status(run)
    path = run / "checkpoints" / "best.safetensors"
    if not path.exists():
        raise ConvscopeError(
            f"{run} has no finished epoch yet; continue it with: convscope train --resume {run}"
        )
    return path


def last_checkpoint(run: Path) -> Stored | None:
    """The state to resume from; None where the run was stopped before its first checkpoint.

    Raises:
        ConvscopeError: it is no run folder.
        WeightsError: the checkpoint is damaged.
    """
    read_status(run)
    path = run / "checkpoints" / "last.safetensors"
    return load_checkpoint(path) if path.exists() else None


def read_status(run: Path) -> dict[str, Any]:
    """`run.json`.

    Raises:
        ConvscopeError: `run` is not a folder that convscope wrote, or of another format.
    """
    if not (run / "run.json").is_file():
        what = "is no run folder (it has no run.json)" if run.is_dir() else "does not exist"
        raise ConvscopeError(f"{run} {what}; give a folder that `convscope train` wrote")
    status = read_json(run / "run.json")
    if not isinstance(status, dict) or not isinstance(status.get("status"), str):
        raise ConvscopeError(
            f"{run / 'run.json'} is damaged, it does not tell the run's status; "
            "put back a copy of it"
        )
    if status.get("format") != FORMAT:
        raise ConvscopeError(
            f"{run} has format {status.get('format')}; this version of convscope reads {FORMAT}"
        )
    return status


def read_recipe(run: Path) -> Recipe:
    """The recipe that the run was trained by.

    Raises:
        ConvscopeError: it is no run folder, was not trained but imported, or the file is damaged.
    """
    if read_status(run)["status"] == "imported":
        raise ConvscopeError(
            f"{run} holds imported weights: no recipe, and no data of its own; "
            "evaluate and the like take --data"
        )
    path = run / "recipe.json"
    try:
        return Recipe.parse(read_json(path), "it is no recipe")
    except ConvscopeError as error:
        if str(path) in str(error):
            raise
        raise ConvscopeError(f"{path} is damaged, {error}; put back a copy of it") from None


def recorded_split(run: Path) -> str:
    """The run's `split.csv` as it was written.

    Raises:
        ConvscopeError: it is missing, cut off or changed.
    """
    table, status = run / "split.csv", read_status(run)
    try:
        content = table.read_bytes()
    except OSError as error:
        raise ConvscopeError(f"cannot read {table}: {error.strerror or error}") from error
    if status.get("split_sha256", sha256_of(content)) != sha256_of(content):
        raise ConvscopeError(
            f"{table} is damaged: its SHA-256 is not the one in run.json; without it nobody can "
            "tell which images were trained on; put back a copy of it"
        )
    return content.decode(errors="replace")


def read_replay(run: Path) -> Replay:
    """How the run's time budget was planned (`plan.jsonl`).

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
            f"{path} is damaged, a line of it is no plan of a time budget; put back a copy of it"
        ) from None
    return Replay(tuple(plans), ended)


def new_folder(stem: str) -> Path:
    """`runs/STEM`, or the first of `runs/STEM-2`, `-3`, ... that does not exist."""
    return next(path for path in _candidates(stem) if not path.exists())


def _candidates(stem: str) -> Iterator[Path]:
    yield Path("runs", stem)
    number = 2
    while True:
        yield Path("runs", f"{stem}-{number}")
        number += 1
