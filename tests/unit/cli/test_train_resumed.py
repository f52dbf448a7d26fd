"""What a run may meet when it is continued: changed data, a changed recipe, damage, other code."""

import contextlib
import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from convscope.base.storage import read_json, write_json
from convscope.data.catalog import open_dataset
from convscope.data.split import assign_splits
from convscope.runs import writer as writer_module
from convscope.runs.checkpoint import load_checkpoint, save_checkpoint
from convscope.runs.writer import RunWriter
from convscope.training.catalog import scratch
from convscope.training.events import Prepared, Stepped
from convscope.training.loop import train
from convscope.training.recipe import Recipe
from convscope.training.work import Start

SETTINGS = {"epochs": 3, "batch_size": 8, "model.options.head": [8], "precision": "float32"}


def class_folders(root, names=("cat", "dog"), count=16):
    for label, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = np.random.default_rng([label, i]).integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def stopped_run(folder, recipe: Recipe, steps=4):
    """A run that was asked to stop after so many steps."""
    done = 0

    def stop():
        return done >= steps

    with RunWriter(folder, recipe) as writer:
        for event in train(writer.recipe, stop=stop):
            writer.write(event)
            done += isinstance(event, Stepped)
    return folder


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Data of two classes and a run on them that was stopped after four steps."""
    root = tmp_path_factory.mktemp("stopped")
    data = class_folders(root / "data")
    run = stopped_run(root / "run", scratch(str(data)).with_settings(SETTINGS))
    return data, run


def refused(convscope, run, *parts):
    before = {path: path.read_bytes() for path in (run / "checkpoints").iterdir()}
    done = convscope("train", "--resume", run)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr
    assert {path: path.read_bytes() for path in (run / "checkpoints").iterdir()} == before
    return done.stderr


def test_changed_data_are_refused_with_the_difference(stopped, convscope, tmp_path):
    original, run = stopped
    kept = shutil.copytree(original, tmp_path / "kept")
    try:
        (original / "cat" / "0.png").unlink()
        Image.new("RGB", (32, 32), "red").save(original / "cat" / "1.png")
        shutil.copy(original / "dog" / "3.png", original / "dog" / "x.png")
        refused(
            convscope, run, "1 missing (cat/0.png)", "1 new (dog/x.png)",
            "1 changed in content (cat/1.png)",
            f"restore the images that {run / 'split.csv'} lists",
        )  # fmt: skip
    finally:
        shutil.rmtree(original)
        shutil.copytree(kept, original)


def test_changed_classes_are_refused_with_the_difference(stopped, convscope):
    data, run = stopped
    (data / "cat").rename(data / "zebra")
    try:
        refused(convscope, run, "16 missing (cat/0.png, ", "16 new (zebra/0.png, ")
    finally:
        (data / "zebra").rename(data / "cat")


def test_a_run_keeps_the_splits_that_an_earlier_version_drew(
    stopped, convscope, tmp_path, monkeypatch
):
    data, _ = stopped
    drawn = []

    def other(dataset, *settings):
        drawn.append(assign_splits(dataset, 77, *settings[1:]))
        return drawn[-1]

    with monkeypatch.context() as patch:
        patch.setattr("convscope.training.prepare.assign_splits", other)
        run = stopped_run(tmp_path / "run", scratch(str(data)).with_settings(SETTINGS))
    table = (run / "split.csv").read_text()
    dataset = open_dataset(str(data))
    assert drawn[0].tolist() != assign_splits(dataset, 0, None, None).tolist()
    done = convscope("train", "--resume", run)
    assert done.returncode == 0, done.stderr
    assert (run / "split.csv").read_text() == table
    again = convscope("reproduce", run, "--json")
    assert again.returncode == 0, again.stdout + again.stderr
    assert (tmp_path / "run-reproduced/split.csv").read_text() == table


def test_a_changed_recipe_is_refused_with_the_difference(stopped, convscope):
    _, run = stopped
    text = (run / "recipe.json").read_text()
    recipe = json.loads(text)
    recipe["optim"]["learning_rate"] = 0.5
    recipe["seed"] = 3
    write_json(run / "recipe.json", recipe)
    try:
        refused(
            convscope, run, "recipe.json has changed since the run started:",
            "optim.learning_rate: 0.5 instead of 0.1", "seed: 3 instead of 0",
        )  # fmt: skip
    finally:
        (run / "recipe.json").write_text(text)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_checkpoint_is_refused_and_stays(stopped, convscope, damage):
    _, run = stopped
    path = run / "checkpoints" / "last.safetensors"
    whole = path.read_bytes()
    wrong = bytearray(whole)
    wrong[len(wrong) // 2] ^= 1
    path.write_bytes({"flip": bytes(wrong), "cut": whole[:-1], "empty": b""}[damage])
    try:
        refused(convscope, run, f"{path} is damaged")
    finally:
        path.write_bytes(whole)


def test_another_environment_is_told(stopped, convscope, tmp_path):
    run = shutil.copytree(stopped[1], tmp_path / "run")
    made = read_json(run / "environment.json")
    made["libraries"]["torch"], made["torch_threads"] = "2.0.0", 64
    write_json(run / "environment.json", made)
    done = convscope("train", "--resume", run)
    assert done.returncode == 0, done.stderr
    assert "torch_threads: 1 instead of 64" in done.stderr
    assert "instead of 2.0.0" in done.stderr
    assert "the last bits may differ" in done.stderr


def test_a_run_killed_before_its_first_checkpoint_begins_anew(stopped, convscope, tmp_path):
    run = shutil.copytree(stopped[1], tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    done = convscope("train", "--resume", run)
    assert done.returncode == 0, done.stderr
    assert read_json(run / "run.json")["status"] == "finished"


def test_what_a_killed_run_left_before_it_was_one_is_no_obstacle(stopped, convscope, tmp_path):
    data, _ = stopped
    run = tmp_path / "run"
    run.mkdir()
    for name in (".lock", "recipe.json", ".run.json.77.tmp"):
        (run / name).write_text("")
    done = convscope(
        "train", data, "--epochs", 1, "--batch", 8, "--out", run, "--set", "precision=float32"
    )
    assert done.returncode == 0, done.stderr


def test_bad_images_stop_before_the_first_step_all_listed(tmp_path, convscope):
    data = class_folders(tmp_path / "data")
    bad = [data / "cat" / f"{i}.png" for i in range(12)]
    for path in bad:
        path.write_bytes(path.read_bytes()[:50])
    command = ("train", data, "--epochs", 1, "--batch", 8, "--set", "precision=float32")
    done = convscope(*command, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "12 of 32 files in data cannot be read:" in done.stderr
    assert all(str(path) in done.stderr for path in bad)
    assert "--skip-bad" in done.stderr
    assert not (tmp_path / "run").exists()
    done = convscope(*command, "--skip-bad", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "12 images cannot be read and were skipped" in done.stdout
    table = (tmp_path / "run" / "split.csv").read_text()
    assert table.count(",skipped,") == 12
    done = convscope("evaluate", tmp_path / "run", "--split", "all", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n"] == 20


def test_a_resumed_run_that_skips_images_measures_the_same_mean(tmp_path, monkeypatch):
    monkeypatch.setattr("convscope.training.prepare._STATISTICS_IMAGES", 5)  # every fourth image
    data = class_folders(tmp_path / "data")
    for i in (0, 3, 4):
        (data / "cat" / f"{i}.png").write_bytes(b"none")
    run = stopped_run(
        tmp_path / "run",
        scratch(str(data)).with_settings({**SETTINGS, "data.skip_bad": True}),
        steps=2,
    )
    with RunWriter(run) as writer:
        assert "skipped" in writer.splits.values()
        start = Start(writer.resume, writer.replay, splits=writer.splits)
        events = train(writer.recipe, start=start)
        prepared = next(event for event in events if isinstance(event, Prepared))
        writer.write(prepared)  # refuses another split table
    assert len(prepared.skipped) == 3
    stored = read_json(run / "preprocess.json")
    assert prepared.preprocess.model_dump(mode="json") == stored


def test_too_many_bad_images_cannot_be_skipped(tmp_path, convscope):
    data = class_folders(tmp_path / "data")
    for path in (data / "cat").iterdir():
        path.write_bytes(b"none")
    done = convscope("train", data, "--skip-bad", "--epochs", 1, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "no training image left for cat" in done.stderr


def test_leaks_between_the_splits_are_told(tmp_path, convscope):
    data = tmp_path / "data"
    for split, count in (("train", 16), ("test", 4)):
        class_folders(data / split, count=count)
    done = convscope("train", data, "--dry-run", "--epochs", 1, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d test images are training images too", done.stdout)


def test_a_run_is_reproduced_and_a_changed_one_is_not(stopped, convscope, tmp_path):
    run = shutil.copytree(stopped[1], tmp_path / "run")
    done = convscope("reproduce", run)
    assert done.returncode == 2
    assert "is not finished" in done.stderr
    assert convscope("train", "--resume", run).returncode == 0
    again = convscope("train", "--resume", run)
    assert again.returncode == 2
    assert "is finished; there is nothing to resume" in again.stderr
    done = convscope("reproduce", run, "--json")
    assert done.returncode == 0, done.stderr
    assert all(part["same"] for part in json.loads(done.stdout)["parts"])
    metrics = (run / "metrics.csv").read_text()
    (run / "metrics.csv").write_text(metrics.replace("0,1,", "0,7,", 1))
    done = convscope("reproduce", run)
    assert done.returncode == 1
    assert "figures of every epoch" in done.stdout
    assert "differs" in done.stdout
    assert "not reproduced" in done.stdout


def test_a_folder_with_files_of_ones_own_is_left_alone(stopped, convscope, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "recipe.json").write_text("{}")
    done = convscope("train", stopped[0], "--epochs", 1, "--out", mine)
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert (mine / "recipe.json").read_text() == "{}"
    (tmp_path / "empty").mkdir()
    done = convscope("train", stopped[0], "--freeze", "none", "--out", tmp_path / "empty")
    assert done.returncode == 2
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_run_is_not_compared_with_itself(stopped, convscope, tmp_path):
    run = shutil.copytree(stopped[1], tmp_path / "run")
    write_json(run / "run.json", {"format": 1, "status": "finished"})
    done = convscope("reproduce", run, "--out", run)
    assert done.returncode == 2
    assert "is the run itself" in done.stderr


@pytest.mark.parametrize("content", ["[]", "{}", '{"format": 1}', '{"format": 1, "status": 3}'])
def test_a_damaged_status_is_told(stopped, convscope, tmp_path, content):
    run = shutil.copytree(stopped[1], tmp_path / "run")
    (run / "run.json").write_text(content)
    for command in (("train", "--resume", run), ("evaluate", run), ("reproduce", run)):
        done = convscope(*command)
        assert done.returncode == 2
        assert "run.json is damaged" in done.stderr


@pytest.mark.parametrize("content", ["[1]", "{", ""])
def test_a_damaged_environment_is_told_and_no_obstacle(stopped, convscope, tmp_path, content):
    run = shutil.copytree(stopped[1], tmp_path / "run")
    (run / "environment.json").write_text(content)
    done = convscope("train", "--resume", run)
    assert done.returncode == 0, done.stderr
    assert "environment.json cannot be read" in done.stderr


def test_a_cut_split_table_is_noticed(stopped, convscope, tmp_path):
    run = shutil.copytree(stopped[1], tmp_path / "run")
    lines = (run / "split.csv").read_text().splitlines(keepends=True)
    (run / "split.csv").write_text("".join(lines[:20]))
    for command in (("train", "--resume", run), ("evaluate", run)):
        done = convscope(*command)
        assert done.returncode == 2
        assert "split.csv is damaged" in done.stderr or "no complete epoch" in done.stderr


@pytest.mark.parametrize("left", [None, 0, 1, -30])
def test_lost_figures_are_told(convscope, tmp_path, left):
    data = class_folders(tmp_path / "data")
    recipe = scratch(str(data)).with_settings(SETTINGS)
    run = stopped_run(tmp_path / "run", recipe, steps=8)  # two epochs of three steps, and two
    whole = (run / "metrics.csv").read_text()
    assert whole.count("\n") == 3
    if left is None:
        (run / "metrics.csv").unlink()
    else:
        lines = whole.splitlines(keepends=True)
        (run / "metrics.csv").write_text(whole[:left] if left < 0 else "".join(lines[: left + 1]))
    done = convscope("train", "--resume", run)
    assert done.returncode == 0, done.stderr
    gone = {None: 2, 0: 2, 1: 1, -30: 1}[left]
    assert f"{run / 'metrics.csv'} lacks at least {gone} of the epochs" in done.stderr
    assert (run / "metrics.csv").read_text().count("\n") == 4 - gone


def test_whole_figures_are_not_told_of(stopped, convscope, tmp_path):
    run = shutil.copytree(stopped[1], tmp_path / "run")
    assert "metrics.csv" not in convscope("train", "--resume", run).stderr


@pytest.mark.parametrize("saves", [1, 2, 3, 4])
def test_wherever_a_run_is_killed_its_best_weights_are_of_an_epoch_it_knows(
    tmp_path, monkeypatch, saves
):
    class Killed(BaseException):
        pass

    done = []

    def save(path, checkpoint, *, weights_only):
        save_checkpoint(path, checkpoint, weights_only=weights_only)
        done.append(path.name)
        if len(done) == saves:
            raise Killed

    settings = {"epochs": 2, "batch_size": 32, "precision": "float32"}
    recipe = scratch("digits", "mlp").with_settings(settings)
    monkeypatch.setattr(writer_module, "save_checkpoint", save)
    with contextlib.suppress(Killed), RunWriter(tmp_path / "run", recipe) as writer:
        for event in train(writer.recipe):
            writer.write(event)
    assert len(done) == saves
    with RunWriter(tmp_path / "run"):
        best, last = (load_checkpoint(tmp_path / "run" / "checkpoints" / f"{name}.safetensors")
                      for name in ("best", "last"))  # fmt: skip
    assert best.position.epoch == last.position.best_epoch == (saves + 1) // 2
    if last.position.epoch == last.position.best_epoch:
        weights = last.state().weights()
        assert all(torch.equal(v, weights[k]) for k, v in best.state().weights().items())
