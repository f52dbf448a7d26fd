"""Writes a run folder from training's events. Whatever happens, what stands in it is whole."""

import contextlib
import csv
import io
import json
import shutil
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from convscope.base.errors import ConvscopeError, listing
from convscope.base.storage import (
    LOCK,
    append_line,
    lock,
    make_folder,
    remove_temporary_files,
    sha256_of,
    write_bytes,
    write_json,
    write_text,
)
from convscope.data.split import differences
from convscope.drawing.contact import contact_sheet
from convscope.runs.checkpoint import Stored, load_checkpoint, save_checkpoint
from convscope.runs.environment import changes_since, environment
from convscope.runs.folder import (
    FORMAT,
    last_checkpoint,
    read_recipe,
    read_replay,
    read_status,
    recorded_split,
)
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
from convscope.training.schedule import Replay
from convscope.training.state import Position, State

_SHOWN = 24


class RunWriter(AbstractContextManager["RunWriter"]):
    """Writes a run folder, event by event; no other training writes into it meanwhile.

    Attributes:
        recipe: what to train by.
        resume: the state to go on from; None at the beginning.
        replay: the plans of a time budget to follow again.
        careful: what is not as it was when the run began, so that its last bits may differ.
        lost: which figures of the run to continue are gone; "" where all are there.
    """

    def __init__(
        self, folder: Path, recipe: Recipe | None = None, *, replay: Replay | None = None
    ) -> None:
        """A new run in `folder` by `recipe`; without a recipe, the run in `folder` is continued.

        Raises:
            ConvscopeError: a new run's folder exists already or cannot be made; one to continue is
                finished, in use, or was changed.
            WeightsError: the checkpoint to continue from is damaged.
        """
        self._folder = folder
        self._new = recipe is not None
        self._rows: list[dict[str, Any]] = []
        self._split = ""  # SHA-256 of split.csv
        self._scalars: Scalars | None = None
        self._was_there = folder.exists()
        self.lost = ""
        self._lock = _claimed(folder) if self._new else _lock_of_run(folder)
        try:
            if recipe is not None:
                self.recipe, self.replay = recipe, replay or Replay()
                self.resume: State | None = None
                self.careful: list[str] = []
                self._begin()
            else:
                self._continue()
        except BaseException:
            self.__exit__(None)
            raise

    def _begin(self) -> None:
        self._write_recipe(self.recipe)
        (self._folder / "plan.jsonl").unlink(missing_ok=True)
        for step, total in self.replay.plans:
            append_line(self._folder / "plan.jsonl", json.dumps({"step": step, "total": total}))
        if self.replay.ended is not None:
            append_line(self._folder / "plan.jsonl", json.dumps({"ended": self.replay.ended}))
        self._status("running")  # from here on it is a run, and can be resumed

    def _continue(self) -> None:
        remove_temporary_files(self._folder)
        status = read_status(self._folder)
        self._split = status.get("split_sha256", "")
        if status["status"] == "finished":
            raise ConvscopeError(f"{self._folder} is finished; there is nothing to resume")
        self.recipe, self.replay = read_recipe(self._folder), read_replay(self._folder)
        stored = last_checkpoint(self._folder)
        self.resume = None if stored is None else stored.state()
        if stored is not None and stored.recipe is not None and stored.recipe != self.recipe:
            raise ConvscopeError(
                f"{self._folder / 'recipe.json'} is not the recipe that the run was trained by:\n"
                f"{listing(stored.recipe.differences(self.recipe))}\n"
                "put it back, or train anew with these settings"
            )
        self.careful = changes_since(self._folder / "environment.json")
        if stored is not None:
            self._rows = _rows_until(self._folder / "metrics.csv", stored.position)
            self.lost = _lost(self._folder / "metrics.csv", self._rows, stored.position)
            self._bring_best_up_to(stored)

    def _bring_best_up_to(self, last: Stored) -> None:
        """A process that was killed between two files may have left the best weights behind."""
        path, at = self._folder / "checkpoints" / "best.safetensors", last.position
        if not at.epoch or at.batch or at.best_epoch != at.epoch:
            return  # the last weights are not the best ones
        with contextlib.suppress(ConvscopeError):
            best = load_checkpoint(path).position
            if (best.stage, best.epoch, best.step) == (at.stage, at.epoch, at.step):
                return
        classifier = last.classifier(str(self._folder / "checkpoints" / "last.safetensors"))
        self._best(Checkpoint(last.state(), classifier, last.recipe, last.model, best=True))

    def __enter__(self) -> "RunWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if self._scalars is not None:
                self._scalars.close()
        finally:
            with self._lock:
                if self._new and not list((self._folder / "checkpoints").glob("*.safetensors")):
                    # Nothing was trained: a folder that cannot be used is in the way.
                    shutil.rmtree(self._folder, ignore_errors=True)
                    if self._was_there:
                        make_folder(self._folder)
                elif kind is not None:
                    with contextlib.suppress(ConvscopeError):
                        stopped = kind is not None and not issubclass(kind, Exception)
                        self._status("interrupted" if stopped else "failed")

    def write(self, event: Event) -> None:
        """Stores what `event` tells.

        Raises:
            ConvscopeError: the disk is full, or on resuming the data are not those of the run.
        """
        match event:
            case Resumed():
                self._write_rows()
            case Prepared():
                self._prepared(event)
            case StageStarted():
                self._scalars = self._scalars or Scalars(self._folder / "events", self._step())
            case Planned():
                self._plan(event)
            case Stepped() if self._scalars is not None:
                self._scalars.step(event)
            case EpochEnded():
                self._epoch(event)
            case Checkpoint():
                self._checkpoint(event)
            case Interrupted():
                self._status("interrupted")
            case Finished():
                self._finished(event)
            case _:
                pass

    def _step(self) -> int:
        return 0 if self.resume is None else self.resume.position.step

    def _prepared(self, event: Prepared) -> None:
        table = self._folder / "split.csv"
        if self.resume is not None:
            recorded = recorded_split(self._folder)
            if recorded != event.split_table:
                raise ConvscopeError(
                    f"the data are not those that {self._folder} was trained on:\n"
                    f"{listing(differences(recorded, event.split_table)) or '  another order'}\n"
                    f"({table} has the images as they were) put them back, or train anew"
                )
            self._status("running")
            return
        self._split = sha256_of(event.split_table.encode())
        self._status("running")
        self._write_recipe(event.recipe)
        write_json(self._folder / "environment.json", environment())
        write_json(self._folder / "classes.json", list(event.class_names))
        write_json(self._folder / "preprocess.json", event.preprocess.model_dump(mode="json"))
        write_text(table, event.split_table)
        write_bytes(self._folder / "sample.png", sample_picture(event))

    def _write_recipe(self, recipe: Recipe) -> None:
        write_json(self._folder / "recipe.json", recipe.model_dump(mode="json"))

    def _plan(self, event: Planned) -> None:
        if self.replay.at(event.step) is None:
            line = json.dumps({"step": event.step, "total": event.total})
            append_line(self._folder / "plan.jsonl", line)

    def _epoch(self, event: EpochEnded) -> None:
        self._rows.append(asdict(event))
        self._write_rows()
        if self._scalars is not None:
            self._scalars.epoch(event)

    def _write_rows(self) -> None:
        if not self._rows:
            (self._folder / "metrics.csv").unlink(missing_ok=True)
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self._rows[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_text(self._folder / "metrics.csv", text.getvalue())

    def _checkpoint(self, event: Checkpoint) -> None:
        path = self._folder / "checkpoints" / "last.safetensors"
        save_checkpoint(path, event, weights_only=False)
        # Last: after a crash in between the best weights are written from the other file. The other
        # way round, a time budget that is planned anew might never come to that epoch again.
        if event.best:
            self._best(event)

    def _best(self, event: Checkpoint) -> None:
        path = self._folder / "checkpoints" / "best.safetensors"
        save_checkpoint(path, event, weights_only=True)
        preprocess = event.classifier.preprocess.model_dump(mode="json")
        write_json(self._folder / "preprocess.json", preprocess)

    def _finished(self, event: Finished) -> None:
        if self.recipe.time_budget is not None and self.replay.ended is None:
            append_line(self._folder / "plan.jsonl", json.dumps({"ended": event.step}))
        self._status(
            "finished", best_epoch=event.best_epoch, seconds=event.seconds, val=event.val,
            reason=event.reason,
        )  # fmt: skip

    def _status(self, status: str, **more: Any) -> None:
        if self._split:
            more["split_sha256"] = self._split
        write_json(self._folder / "run.json", {"format": FORMAT, "status": status, **more})


def _claimed(folder: Path) -> IO[str]:
    """The lock of a folder for a new run, which is made; it may hold what a killed one left."""
    if folder.exists() and not folder.is_dir():
        raise ConvscopeError(f"{folder} is a file; choose another --out")
    if folder.exists() and not _holds_nothing(folder):
        raise ConvscopeError(
            f"{folder} exists already; choose another --out, "
            f"or continue it with: convscope train --resume {folder}"
        )
    make_folder(folder)
    return lock(folder)


def _holds_nothing(folder: Path) -> bool:
    early, there = {LOCK, "recipe.json", "plan.jsonl"}, {p.name for p in folder.iterdir()}
    ours = all(name in early or name.endswith(".tmp") for name in there)
    return not there or (LOCK in there and ours)


def _lock_of_run(folder: Path) -> IO[str]:
    read_status(folder)
    return lock(folder)


def sample_picture(event: Prepared) -> bytes:
    """The augmented batch of a `Prepared` event as a PNG, each image with its class."""
    names = [event.class_names[label] for label in event.sample_labels.tolist()]
    title = f"{event.dataset}: training images as the network sees them (augmented)"
    sheet = contact_sheet(list(event.sample[:_SHOWN]), names[:_SHOWN], title=title)
    content = io.BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()


def _rows_until(path: Path, position: Position) -> list[dict[str, Any]]:
    """The whole rows of a `metrics.csv` for epochs that a checkpoint knows to have ended."""
    if not path.exists():
        return []
    text = path.read_bytes().decode(errors="replace")
    rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))
    until = position.stage, position.epoch
    try:
        return [row for row in rows if (int(row["stage"]), int(row["epoch"])) <= until]
    except (KeyError, TypeError, ValueError):
        raise ConvscopeError(f"{path} is damaged; delete it to go on without its epochs") from None


def _lost(path: Path, rows: list[dict[str, Any]], position: Position) -> str:
    """What a `metrics.csv` lacks of the epochs before a checkpoint; "" where it has them all."""
    known = {(int(row["stage"]), int(row["epoch"])) for row in rows}
    expected = [(position.stage, epoch) for epoch in range(1, position.epoch + 1)]
    gone = sum(place not in known for place in expected)
    gone += len(set(range(position.stage)) - {stage for stage, _ in known})
    if not gone:
        return ""
    return (
        f"{path} lacks at least {gone:,} of the epochs that the run has behind it; their figures "
        "are lost, the weights are whole"
    )
