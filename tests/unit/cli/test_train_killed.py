"""Trainings that are killed, stopped and resumed come to the very numbers of unbroken ones.

Short by default; CONVSCOPE_KILLS=70 makes the long version (a quarter of an hour).
"""

import json
import os
import signal
import subprocess

import pytest

import survival
from convscope.runs.folder import read_replay
from convscope.runs.reproduce import compare_runs
from survival import QUICK, begin, end, kill_in_save, strike, unbroken, until_finished

KILLS = int(os.environ.get("CONVSCOPE_KILLS", "0"))
EPOCHS = ("--epochs", "6", "--set", "save_seconds=0.3")
WORKERS = {
    0: (),
    2: ("--set", "data.cache=stream", "--set", "data.workers=2"),
}

pytestmark = pytest.mark.slow


def differing(first, second):
    return [part.part for part in compare_runs(first, second) if not part.same]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An unbroken run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    unbroken(folder, *EPOCHS)
    return folder


# Without workers the short version is killed while it saves, below.
@pytest.mark.parametrize("workers", WORKERS if KILLS else [2])
def test_killed_at_any_moment(tmp_path, whole, workers):
    killed, number = 0, 0
    while killed < (25 if KILLS else 1):
        run = tmp_path / f"run{number}"

        def stop(process, count, run=run, number=number):
            nonlocal killed
            killed += strike(process, run, 1000 * workers + 100 * number + count)

        attempts = until_finished(run, stop, *EPOCHS, *WORKERS[workers], kills=5 if KILLS else 2)
        survival.assert_little_repeated(attempts)
        assert differing(whole, run) == []
        assert not list(run.rglob("*.tmp"))
        number += 1
    print(f"{killed} kills with {workers} workers")


@pytest.mark.parametrize("name", ["last.safetensors", "best.safetensors"])
def test_killed_in_the_middle_of_saving(tmp_path, whole, name):
    killed, number = 0, 0
    while killed < (10 if KILLS else 1):
        run = tmp_path / f"run{number}"

        def stop(process, count, run=run):
            nonlocal killed
            killed += kill_in_save(process, run, 1 + count % 3, name)

        attempts = until_finished(run, stop, *EPOCHS, kills=5 if KILLS else 1)
        survival.assert_little_repeated(attempts)
        assert differing(whole, run) == []
        assert not list(run.rglob("*.tmp"))
        number += 1
        assert killed or number < 5, "no kill came while the file was written"
    print(f"{killed} kills while writing {name}")


@pytest.mark.parametrize(
    ("number", "workers"),
    [(signal.SIGTERM, 2), (signal.SIGINT, 0)]
    + ([(signal.SIGTERM, 0), (signal.SIGINT, 2)] if KILLS else []),
)
def test_stopped_by_a_signal(tmp_path, whole, workers, number):
    run, late = tmp_path / "run", []

    def stop(process, count):
        if strike(process, run, 10 * workers + count, number):
            taken, _ = survival.seconds_of(process.wait, 60)
            late.append(taken)

    wanted = 10 if KILLS else 1
    while len(late) < wanted:
        survival.remove(run)
        attempts = until_finished(run, stop, *EPOCHS, *WORKERS[workers], kills=wanted)
        survival.assert_little_repeated(attempts)
        assert differing(whole, run) == []
        for attempt in attempts[:-1]:
            if attempt.returncode == 128 + number and attempt.steps("step"):
                assert attempt.steps("checkpoint")[-1] >= attempt.steps("step")[-1]
    print(f"{len(late)} stops, the longest took {max(late):.1f} s")
    assert max(late) < 20


def test_a_time_budget_is_replayed(tmp_path):
    options = ("--time", "8s", "--set", "save_seconds=1")
    run, again = tmp_path / "run", tmp_path / "again"

    struck = []

    def stop(process, count):
        struck.append(strike(process, run, count))

    until_finished(run, stop, *options, kills=8 if KILLS else 2)
    assert any(struck)
    replay = read_replay(run)
    assert replay.ended is not None
    assert len({step for step, _ in replay.plans}) == len(replay.plans)
    command = [*survival.COMMAND, "reproduce", str(run), "--out", str(again), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(part["same"] for part in json.loads(done.stdout)["parts"])
    assert differing(run, again) == []


def test_two_trainings_in_one_folder(tmp_path, convscope):
    run = tmp_path / "run"
    process = begin(run, *EPOCHS)
    try:
        while not (run / "run.json").exists():
            assert process.poll() is None
        for arguments in (["digits", *QUICK, "--epochs", "1", "--out", run], ["--resume", run]):
            done = convscope("train", *arguments)
            assert done.returncode == 2
            assert str(run) in done.stderr
        assert f"in use by another training (process {process.pid})" in done.stderr
    finally:
        attempt = end(process, run)
    assert attempt.returncode == 0, attempt.stderr
