"""Write a run folder from the events of a training, with atomic writes."""

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
from convscope.runs.checkpoint import StoredCheckpoint, load_checkpoint, save_checkpoint
from convscope.runs.environment import changes_since, environment
from convscope.runs.folder import (
    FORMAT,
    last_checkpoint,
    read_recipe,
    read_replay,
    read_status,
    recorded_split,
    recorded_splits,
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

_SAMPLE = 24


class RunWriter(AbstractContextManager["RunWriter"]):
    """Writes a run folder, event by event. A lock keeps other trainings out of the folder.

    Attributes:
        recipe: of the run.
        resume: the state to continue from; None if there is no checkpoint yet.
        replay: the plans of a time budget to replay.
        changes_since_start: what has changed in the environment since the run started. Such
            changes may affect the last bits of the results.
        splits: the split of each image of the run to continue, by path; None without a checkpoint.
        missing_rows: a sentence about epochs that `metrics.csv` lacks; "" if it has them all.
    """

    def __init__(
        self, folder: Path, recipe: Recipe | None = None, *, replay: Replay | None = None
    ) -> None:
        """Starts a new run in `folder` with `recipe`; without a recipe, continues the run there.

        Args:
            folder: the run folder.
            recipe: of a new run.
            replay: plans of a time budget that a new run replays.

        Raises:
            ConvscopeError: the folder of a new run exists already or cannot be created; or the run
                to continue is finished, in use or has been changed.
            WeightsError: the checkpoint to continue from is damaged.
        """
        self._folder = folder
        self._new = recipe is not None
        self._rows: list[dict[str, Any]] = []
        self._split = ""  # SHA-256 of split.csv
        self._scalars: Scalars | None = None
        self._was_there = folder.exists()
        self.missing_rows = ""
        self.splits: dict[str, str] | None = None
        self._lock = _lock_new_folder(folder) if self._new else _lock_run(folder)
        try:
            if recipe is not None:
                self.recipe, self.replay = recipe, replay or Replay()
                self.resume: State | None = None
                self.changes_since_start: list[str] = []
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
        self._status("running")  # from here on, the folder is a run that can be resumed

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
                f"{self._folder / 'recipe.json'} has changed since the run started:\n"
                f"{listing(stored.recipe.differences(self.recipe))}\n"
                "restore it, or start a new run with these settings"
            )
        self.changes_since_start = changes_since(self._folder / "environment.json")
        if stored is not None:
            self.splits = recorded_splits(self._folder)
            self._rows = _rows_until(self._folder / "metrics.csv", stored.position)
            path = self._folder / "metrics.csv"
            self.missing_rows = _describe_missing_rows(path, self._rows, stored.position)
            self._repair_best(stored)

    def _repair_best(self, last: StoredCheckpoint) -> None:
        """Writes the best weights again, if the process was killed after writing the last state."""
        path, at = self._folder / "checkpoints" / "best.safetensors", last.position
        if not at.epoch or at.batch or at.best_epoch != at.epoch:
            return  # the last weights are not the best ones
        with contextlib.suppress(ConvscopeError):
            best = load_checkpoint(path).position
            if (best.stage, best.epoch, best.step) == (at.stage, at.epoch, at.step):
                return
        classifier = last.classifier(str(self._folder / "checkpoints" / "last.safetensors"))
        self._write_best(Checkpoint(last.state(), classifier, last.recipe, last.model, best=True))

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
        """Stores the content of `event`.

        Raises:
            ConvscopeError: the disk is full, or the images of a resumed run have changed.
        """
        match event:
            case Resumed():
                self._write_rows()
            case Prepared():
                self._write_prepared(event)
            case StageStarted():
                self._scalars = self._scalars or Scalars(self._folder / "events", self._step())
            case Planned():
                self._write_plan(event)
            case Stepped() if self._scalars is not None:
                self._scalars.step(event)
            case EpochEnded():
                self._write_epoch(event)
            case Checkpoint():
                self._write_checkpoint(event)
            case Interrupted():
                self._status("interrupted")
            case Finished():
                self._write_finished(event)
            case _:
                pass

    def _step(self) -> int:
        return 0 if self.resume is None else self.resume.position.step

    def _write_prepared(self, event: Prepared) -> None:
        table = self._folder / "split.csv"
        if self.resume is not None:
            recorded = recorded_split(self._folder)
            if recorded != event.split_table:
                raise ConvscopeError(
                    f"the images have changed since {self._folder} was trained on them:\n"
                    f"{listing(differences(recorded, event.split_table)) or '  another order'}\n"
                    f"restore the images that {table} lists, or start a new run"
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

    def _write_plan(self, event: Planned) -> None:
        if self.replay.at(event.step) is None:
            line = json.dumps({"step": event.step, "total": event.total})
            append_line(self._folder / "plan.jsonl", line)

    def _write_epoch(self, event: EpochEnded) -> None:
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

    def _write_checkpoint(self, event: Checkpoint) -> None:
        path = self._folder / "checkpoints" / "last.safetensors"
        save_checkpoint(path, event, weights_only=False)
        # The best weights come second: after a crash in between, `_repair_best` writes them from
        # the first file. In the other order, the resumed run would train this epoch again, with
        # another plan of its time budget, and might not reach these weights.
        if event.best:
            self._write_best(event)

    def _write_best(self, event: Checkpoint) -> None:
        path = self._folder / "checkpoints" / "best.safetensors"
        save_checkpoint(path, event, weights_only=True)
        preprocess = event.classifier.preprocess.model_dump(mode="json")
        write_json(self._folder / "preprocess.json", preprocess)

    def _write_finished(self, event: Finished) -> None:
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


def _lock_new_folder(folder: Path) -> IO[str]:
    """Creates and locks the folder of a new run. It may have files that a killed process left."""
    if folder.exists() and not folder.is_dir():
        raise ConvscopeError(f"{folder} is a file; choose another --out")
    if folder.exists() and not _is_unused(folder):
        raise ConvscopeError(
            f"{folder} exists already; choose another --out, "
            f"or continue it with: convscope train --resume {folder}"
        )
    make_folder(folder)
    return lock(folder)


def _is_unused(folder: Path) -> bool:
    """Whether a folder is empty, or has only files of a run that was killed before it began."""
    early, names = {LOCK, "recipe.json", "plan.jsonl"}, {p.name for p in folder.iterdir()}
    only_early = all(name in early or name.endswith(".tmp") for name in names)
    return not names or (LOCK in names and only_early)


def _lock_run(folder: Path) -> IO[str]:
    read_status(folder)
    return lock(folder)


def sample_picture(event: Prepared) -> bytes:
    """A PNG of the augmented batch of a `Prepared` event, with the class below each image."""
    names = [event.class_names[label] for label in event.sample_labels.tolist()]
    title = f"{event.dataset}: training images after augmentation"
    sheet = contact_sheet(list(event.sample[:_SAMPLE]), names[:_SAMPLE], title=title)
    content = io.BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()


def _rows_until(path: Path, position: Position) -> list[dict[str, Any]]:
    """The complete rows of `metrics.csv`, up to the last epoch before a checkpoint."""
    if not path.exists():
        return []
    text = path.read_bytes().decode(errors="replace")
    rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))
    until = position.stage, position.epoch
    try:
        return [row for row in rows if (int(row["stage"]), int(row["epoch"])) <= until]
    except (KeyError, TypeError, ValueError):
        raise ConvscopeError(
            f"{path} is damaged; delete it to continue without the metrics of these epochs"
        ) from None


def _describe_missing_rows(path: Path, rows: list[dict[str, Any]], position: Position) -> str:
    """How many epochs before a checkpoint `metrics.csv` lacks, as a sentence; "" if none."""
    known = {(int(row["stage"]), int(row["epoch"])) for row in rows}
    expected = [(position.stage, epoch) for epoch in range(1, position.epoch + 1)]
    missing = sum(row not in known for row in expected)
    missing += len(set(range(position.stage)) - {stage for stage, _ in known})
    if not missing:
        return ""
    return (
        f"{path} lacks at least {missing:,} of the epochs that are complete; their metrics are "
        "lost, but the weights are complete"
    )
