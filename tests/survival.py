"""Trainings in separate processes that are stopped in all ways, and the files that remain."""

import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from convscope import open_dataset

COMMAND = [sys.executable, "-m", "convscope"]
# Small enough to end in seconds; dropout, so that torch's generator counts; a save every moment.
QUICK = (
    "--batch", "32", "--set", "precision=float32", "--set", "model.options.head=[16]",
    "--set", "model.options.dropout=0.2", "--set", "model.options.widths=[4,4,8]",
)  # fmt: skip
_TIMEOUT = 240


@dataclass
class Attempt:
    """One process: its exit code, what it said, and the events of its JSON log."""

    returncode: int
    stderr: str
    events: list[dict] = field(default_factory=list)

    def steps(self, kind):
        return [event["step"] for event in self.events if event["event"] == kind]


@cache
def _digits() -> TemporaryDirectory:
    """The digits as the MNIST family's files: scikit-learn, which has them, is slow to import."""
    digits, folder = open_dataset("digits"), TemporaryDirectory()
    pixels = np.stack([digits.image(i, 1)[:, :, 0] for i in range(len(digits))])
    labels = digits.labels.astype(np.uint8)
    for name, part in (("train", slice(200, None)), ("t10k", slice(200))):
        for kind, values in (("images-idx3", pixels[part]), ("labels-idx1", labels[part])):
            head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
            Path(folder.name, f"{name}-{kind}-ubyte").write_bytes(head + values.tobytes())
    return folder


def begin(folder: Path, *options: str) -> subprocess.Popen:
    """Training in `folder` from its beginning, or resumed where it holds a run."""
    known = (folder / "run.json").exists()
    arguments = (
        ["--resume", folder] if known else [_digits().name, *QUICK, *options, "--out", folder]
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (
        open(folder.with_suffix(".log"), "wb") as log,
        open(folder.with_suffix(".err"), "wb") as errors,
    ):
        return subprocess.Popen(
            [*COMMAND, "train", *map(str, arguments), "--json-log"],
            stdout=log, stderr=errors, env=environment, start_new_session=True,
        )  # fmt: skip


def end(process: subprocess.Popen, folder: Path) -> Attempt:
    """Waits for the process; what it printed, a last line cut off by a kill left out."""
    code = process.wait(_TIMEOUT)
    lines = folder.with_suffix(".log").read_bytes().split(b"\n")[:-1]
    events = [json.loads(line) for line in lines]
    return Attempt(code, folder.with_suffix(".err").read_text(), events)


def unbroken(folder: Path, *options: str) -> Attempt:
    attempt = end(begin(folder, *options), folder)
    assert attempt.returncode == 0, attempt.stderr
    return attempt


def strike(process: subprocess.Popen, folder: Path, seed: int, number=signal.SIGKILL) -> bool:
    """Sends the signal at a moment that `seed` chooses; false where the process had ended before.

    The moment is a line of the log and up to a second after it, whatever the machine's speed: in
    one of eight cases while it is starting, in the others soon after the training's beginning.
    """
    chance = random.Random(seed)
    lines = chance.randrange(8)
    log = folder.with_suffix(".log")
    while log.read_bytes().count(b"\n") < lines:
        if process.poll() is not None:
            return False
        time.sleep(0.01)
    try:
        process.wait(chance.uniform(0, 1 if lines else 4))
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        return True
    return False


def kill_in_save(process: subprocess.Popen, folder: Path, save: int, name: str) -> bool:
    """Kills the process while it writes the checkpoint `name` for the `save`-th time."""
    checkpoints, seen, there = folder / "checkpoints", 0, False
    pattern = f".{name}.{process.pid}.tmp"
    while process.poll() is None:
        was, there = there, (checkpoints / pattern).exists()
        seen += there and not was
        if there and seen == save:
            process.kill()
            return True
    return False


def until_finished(folder: Path, stop, *options: str, kills: int) -> list[Attempt]:
    """Trains in `folder`, stopped by `stop(process, n)` up to `kills` times and always resumed."""
    attempts = []
    for number in range(10 * kills + 10):
        process = begin(folder, *options)
        if number < kills:
            stop(process, number)
        attempts.append(end(process, folder))
        if attempts[-1].returncode == 0 or is_finished(folder):
            return attempts
        # -15: before the first line of ours was run
        assert attempts[-1].returncode in (-9, -15, 128 + 2, 128 + 15), attempts[-1].stderr
        if attempts[-1].returncode != -signal.SIGKILL:  # else its workers may complain
            assert "Traceback" not in attempts[-1].stderr
    raise AssertionError("the run never ended")


def is_finished(folder: Path) -> bool:
    """Whether the run is over: a kill may come after its last write, before the process ends."""
    path = folder / "run.json"
    return path.exists() and json.loads(path.read_text())["status"] == "finished"


def assert_little_repeated(attempts: list[Attempt]) -> None:
    """Each attempt goes on from the last checkpoint that the one before told of, or a later one."""
    saved = None
    for attempt in attempts:
        resumed = attempt.steps("resumed")
        if saved is not None and attempt.events:  # not killed while it still was starting
            assert resumed, "a checkpoint was there, and the run began anew"
            assert resumed[0] >= saved, f"resumed from {resumed[0]}, {saved} had been stored"
        saved = max(attempt.steps("checkpoint"), default=saved)


def remove(folder: Path) -> None:
    """A run that is over, to begin it again."""
    shutil.rmtree(folder, ignore_errors=True)


def seconds_of(function, *arguments) -> tuple[float, object]:
    began = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - began, result
