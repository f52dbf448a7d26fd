"""The run folder: what is in it, written from training's events, read back as a Classifier.

run.json          format, status (running, interrupted, failed, finished)
recipe.json       the resolved recipe         environment.json  code, libraries, machine
classes.json      class names in order        preprocess.json   the network's view of an image
split.csv         path, label, split, sha256 of every image
sample.png        a real augmented training batch
metrics.csv       a line per epoch            plan.jsonl        how a time budget was planned
events/           TensorBoard, where it is installed
checkpoints/      last.safetensors (complete state), best.safetensors (weights)
evaluation/       one folder per evaluation
"""

import contextlib
import csv
import io
import json
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from convscope.base.errors import ConvscopeError
from convscope.base.storage import make_folder, read_json, write_bytes, write_json, write_text
from convscope.images.draw import contact_sheet
from convscope.nets.classifier import Classifier
from convscope.runs.checkpoint import Stored, load_checkpoint, save_checkpoint
from convscope.runs.environment import environment
from convscope.runs.tensorboard import Scalars
from convscope.training.events import (
    Checkpoint,
    EpochEnded,
    Event,
    Finished,
    Interrupted,
    Planned,
    Prepared,
    Resumed,
    StageStarted,
    Stepped,
)
from convscope.training.recipe import Recipe

FORMAT = 1
_SHOWN = 24


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


def last_checkpoint(run: Path) -> Stored:
    """The state to resume from.

    Raises:
        ConvscopeError: it is no run folder, is finished, or was stopped before its first step.
    """
    status = read_status(run)
    if status["status"] == "finished":
        raise ConvscopeError(f"{run} is finished; there is nothing to resume")
    path = run / "checkpoints" / "last.safetensors"
    if not path.exists():
        raise ConvscopeError(
            f"{run} was stopped before its first checkpoint; delete it and train again"
        )
    return load_checkpoint(path)


def read_status(run: Path) -> dict[str, Any]:
    """`run.json`.

    Raises:
        ConvscopeError: `run` is not a folder that convscope wrote, or of another format.
    """
    if not (run / "run.json").is_file():
        what = "is no run folder (it has no run.json)" if run.is_dir() else "does not exist"
        raise ConvscopeError(f"{run} {what}; give a folder that `convscope train` wrote")
    status = read_json(run / "run.json")
    if status.get("format") != FORMAT:
        raise ConvscopeError(
            f"{run} has format {status.get('format')}; this version of convscope reads {FORMAT}"
        )
    return status


def read_recipe(run: Path) -> Recipe:
    """The recipe that the run was trained by."""
    read_status(run)
    return Recipe.parse(read_json(run / "recipe.json"), str(run / "recipe.json"))


class RunWriter(AbstractContextManager["RunWriter"]):
    """Writes a run folder, event by event. Whatever happens, what stands in it is whole."""

    def __init__(self, folder: Path, *, resume: bool) -> None:
        """`folder` must be new, or with `resume` hold a run.

        Raises:
            ConvscopeError: it exists already, or cannot be made.
        """
        self._folder = folder
        self._resume = resume
        self._made = False
        self._rows: list[dict[str, Any]] = []
        self._scalars: Scalars | None = None
        if resume:
            read_status(folder)
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConvscopeError(
                f"{folder} exists already; choose another --out, "
                f"or continue it with: convscope train --resume {folder}"
            )

    def __enter__(self) -> "RunWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        checkpoints = self._folder / "checkpoints"
        try:
            if self._scalars is not None:
                self._scalars.close()
        finally:
            if self._made and not list(checkpoints.glob("*.safetensors")):
                # Nothing was trained: a folder that can be neither used nor resumed is in the way.
                shutil.rmtree(self._folder, ignore_errors=True)
            elif kind is not None and (self._made or self._resume):
                with contextlib.suppress(ConvscopeError):
                    self._status("failed")

    def write(self, event: Event) -> None:
        """Stores what `event` tells.

        Raises:
            ConvscopeError: the disk is full, or on resuming the data are not those of the run.
        """
        match event:
            case Resumed():
                self._rows = _rows_until(self._folder / "metrics.csv", event.stage, event.step)
            case Prepared():
                self._prepared(event)
            case StageStarted():
                self._scalars = Scalars(self._folder / "events")
            case Planned():
                line = json.dumps({"step": event.step, "total": event.total})
                _append(self._folder / "plan.jsonl", line + "\n")
            case Stepped() if self._scalars is not None:
                self._scalars.step(event)
            case EpochEnded():
                self._epoch(event)
            case Checkpoint():
                checkpoints = self._folder / "checkpoints"
                if event.best:
                    save_checkpoint(checkpoints / "best.safetensors", event, weights_only=True)
                    preprocess = event.classifier.preprocess.model_dump(mode="json")
                    write_json(self._folder / "preprocess.json", preprocess)
                save_checkpoint(checkpoints / "last.safetensors", event, weights_only=False)
            case Interrupted():
                self._status("interrupted")
            case Finished():
                self._status("finished", best_epoch=event.best_epoch, seconds=event.seconds,
                             val=event.val, reason=event.reason)  # fmt: skip
            case _:
                pass

    def _prepared(self, event: Prepared) -> None:
        table = self._folder / "split.csv"
        if self._resume:
            if table.read_bytes().decode() != event.split_table:
                raise ConvscopeError(
                    f"the images, classes or splits are not those that {self._folder} was trained "
                    f"on (compare {table}); put them back, or train anew"
                )
            self._status("running")
            return
        make_folder(self._folder)
        self._made = True
        write_json(self._folder / "recipe.json", event.recipe.model_dump(mode="json"))
        write_json(self._folder / "environment.json", environment())
        write_json(self._folder / "classes.json", list(event.class_names))
        write_json(self._folder / "preprocess.json", event.preprocess.model_dump(mode="json"))
        write_text(table, event.split_table)
        write_bytes(self._folder / "sample.png", sample_picture(event))
        self._status("running")

    def _epoch(self, event: EpochEnded) -> None:
        self._rows.append(asdict(event))
        text = io.StringIO()
        writer = csv.DictWriter(text, list(asdict(event)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_text(self._folder / "metrics.csv", text.getvalue())
        if self._scalars is not None:
            self._scalars.epoch(event)

    def _status(self, status: str, **more: Any) -> None:
        if self._made or self._resume:
            write_json(self._folder / "run.json", {"format": FORMAT, "status": status, **more})


def sample_picture(event: Prepared) -> bytes:
    """The augmented batch of a `Prepared` event as a PNG, each image with its class."""
    names = [event.class_names[label] for label in event.sample_labels.tolist()]
    title = f"{event.dataset}: training images as the network sees them (augmented)"
    sheet = contact_sheet(list(event.sample[:_SHOWN]), names[:_SHOWN], title=title)
    content = io.BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()


def new_folder(stem: str) -> Path:
    """`runs/STEM`, or the first of `runs/STEM-2`, `-3`, ... that does not exist."""
    return next(path for path in _candidates(stem) if not path.exists())


def _candidates(stem: str) -> Iterator[Path]:
    yield Path("runs", stem)
    number = 2
    while True:
        yield Path("runs", f"{stem}-{number}")
        number += 1


def _rows_until(path: Path, stage: int, step: int) -> list[dict[str, Any]]:
    """The epochs in a `metrics.csv` that ended before a checkpoint was made."""
    if not path.exists():
        return []
    rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode(errors="replace"))))
    try:
        return [row for row in rows if (int(row["stage"]), int(row["step"])) <= (stage, step)]
    except (KeyError, TypeError, ValueError):
        raise ConvscopeError(f"{path} is damaged; delete it to go on without its epochs") from None


def _append(path: Path, line: str) -> None:
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        raise ConvscopeError(f"cannot write {path}: {error.strerror or error}") from error
