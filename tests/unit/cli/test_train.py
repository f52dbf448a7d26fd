"""`convscope train` end to end on real images, and what it says to wrong input."""

import csv
import io
import json
import os
import subprocess
import time

import pytest

from command import COMMAND, QUICK
from folders import class_folders

FILES = {
    "run.json", "recipe.json", "environment.json", "classes.json", "preprocess.json", "split.csv",
    "sample.png", "metrics.csv", "checkpoints", "events",
}  # fmt: skip


def table(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_run_folder(trained):
    assert {path.name for path in trained.iterdir()} >= FILES
    rows = table(trained / "split.csv")
    assert len(rows) == 1797
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    assert all(len(row["sha256"]) == 64 for row in rows)
    assert len(table(trained / "metrics.csv")) == 5
    assert not list(trained.rglob("*.tmp"))


def test_the_json_log(convscope, tmp_path):
    done = convscope(
        "train", "digits", "--epochs", 1, "--out", tmp_path / "r", *QUICK, "--json-log"
    )
    events = lines(done)
    last = events[-1]
    assert last["event"] == "finished"
    assert last["run"] == str(tmp_path / "r")
    assert last["best_epoch"] == 1
    assert last["seconds"] > 0
    assert 0 <= last["val"]["top1"] <= 1
    assert [e["event"] for e in events if e["event"] not in ("reading", "step")] == [
        "prepared", "stage", "epoch", "checkpoint", "finished",
    ]  # fmt: skip


def test_classes_without_images_to_validate_or_test_are_named(convscope, tmp_path):
    class_folders(tmp_path / "data", ["cat", "dog", "emu"], 20)
    for path in sorted((tmp_path / "data/dog").iterdir())[2:]:
        path.unlink()
    for path in sorted((tmp_path / "data/emu").iterdir())[1:]:
        path.unlink()
    done = convscope("train", "data", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 of 3 classes have no val images: dog, emu; metrics on val say" in done.stdout
    assert "2 of 3 classes have no test images: dog, emu; metrics on test say" in done.stdout


def test_an_existing_run_is_not_overwritten(convscope, trained):
    before = (trained / "run.json").read_text()
    done = convscope("train", "digits", "--epochs", 1, "--out", trained)
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert (trained / "run.json").read_text() == before


def test_dry_run_shows_everything_and_writes_only_the_picture(tmp_path, convscope):
    done = convscope("train", "digits", "--dry-run", "--out", tmp_path / "r", "--epochs", 2)
    assert done.returncode == 0, done.stderr
    assert "nothing was trained" in done.stdout
    assert "learning rate" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["r.dry-run.png"]


def test_a_model_of_ones_own(tmp_path, convscope, images):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def net(num_classes, input_shape, width=8):\n"
        "    c, h, w = input_shape\n"
        "    return nn.Sequential(nn.Conv2d(c, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2),\n"
        "                         nn.Flatten(), nn.Linear(4 * width, num_classes))\n"
    )
    done = convscope(
        "train", "digits", "--model", "mine:net", "--set", "model.options.width=6",
        "--epochs", 1, "--out", "run", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = convscope("predict", "run", images, "--json", cwd=tmp_path)
    assert len(json.loads(answer.stdout)) == 10


def wrong_inputs(tmp_path):
    good = class_folders(tmp_path / "good", ["a", "b"], 12)
    empty = class_folders(tmp_path / "empty", ["a", "b"], 12)
    (empty / "c").mkdir()
    one = class_folders(tmp_path / "one", ["a"], 12)
    text = class_folders(tmp_path / "text", ["a", "b"], 12)
    (text / "a" / "page.jpg").write_text("<html>")
    (tmp_path / "file.jpg").write_text("x")
    return [
        ([tmp_path / "nowhere"], "no folder"),
        ([tmp_path / "file.jpg"], "is a file in an unsupported format"),
        ([empty], "classes without images"),
        ([one], "only one class"),
        ([text], "page.jpg: not an image"),
        ([], "give the data: convscope train DATA"),
        ([good, "--model", "vgg99"], "unknown model 'vgg99'; choose one of vgg11"),
        ([good, "--recipe", "best"], "unknown recipe 'best'"),
        ([good, "--time", "soon"], "such as 90s, 3m or 1h"),
        ([good, "--time", "1m", "--epochs", "3"], "not both"),
        ([good, "--set", "optim.lr=1"], "no such setting; choose one of"),
        ([good, "--set", "nonsense"], "write it as name=value"),
        ([good, "--fraction", "7"], "data.fraction"),
        ([good, "--epochs", "0"], "greater than or equal to 1"),
        ([good, "--colour"], "No such option"),
        (["--resume", tmp_path / "norun"], "does not exist"),
        (["--resume", good], "is not a run folder"),
        ([good, "--resume", good], "give no other options"),
        (["--resume", good, "--seed", "3"], "give no other options"),
        ([good, "--recipe", "vgg-paper", "--model", "mlp"], "trains vgg11 to vgg19"),
        ([good, "--set", "model.options.dropout=2"], "dropout probability"),
        ([good, "--out", good / "run"], "is inside the data folder"),
        ([""], "give the data: convscope train DATA"),
        ([good, "--epochs", "1", "--set", "epochs=3"], "an option sets this too"),
        ([good, "--set", "epochs=null"], "settings: a recipe needs either epochs or a time"),
        ([good, "--set", "optim=3"], "optim is a group of settings"),
        ([good, "--set", "optim.learning_rate=1e400"], "should be a finite number"),
        ([good, "--set", "data.size=100000"], "data.size: Input should be less than"),
        ([good, "--set", "model.options.num_classes=3"], "options.num_classes cannot be set"),
        ([good, "--set", "model.options.nope=3"], "its options are batch_norm, dropout, head"),
    ]


def test_wrong_input_gets_a_message_and_exit_code_2(tmp_path, convscope):
    for number, (arguments, message) in enumerate(wrong_inputs(tmp_path)):
        out = tmp_path / f"out{number}"
        where = [] if {"--resume", "--out"} & set(arguments) else ["--out", out]
        done = convscope("train", *arguments, *where)
        assert (done.returncode, message in done.stderr) == (2, True), (arguments, done.stderr)
        assert "Traceback" not in done.stderr
        assert not out.exists()


def test_a_folder_that_cannot_be_written(tmp_path, convscope):
    (tmp_path / "blocked").write_text("a file in the way")
    done = convscope("train", "digits", "--epochs", 1, "--out", tmp_path / "blocked" / "run")
    assert done.returncode == 2
    assert f"cannot create the folder {tmp_path / 'blocked' / 'run'}" in done.stderr


def test_the_help_needs_no_torch():
    script = "import sys, convscope.cli.app; sys.exit('torch' in sys.modules)"
    python = COMMAND.with_name("python")
    assert subprocess.run([python, "-c", script], check=False, env=os.environ).returncode == 0


@pytest.mark.slow
def test_time_is_kept_within_a_tenth(tmp_path, convscope):
    began = time.monotonic()
    done = convscope("train", "digits", "--time", "8s", "--out", tmp_path / "r", "--json-log")
    assert lines(done)[-1]["seconds"] == pytest.approx(8, rel=0.1)
    assert time.monotonic() - began > 7


def test_a_write_that_fails_leaves_nothing_half_done(tmp_path):
    """As on a full disk: no file of this process may grow over 30 kB, and the split table does."""
    import resource

    command = [COMMAND, "train", "digits", "--epochs", "1", "--out", tmp_path / "run"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)),
    )  # fmt: skip
    assert done.returncode == 2
    assert f"cannot write {tmp_path / 'run'}" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_square_brackets_in_names_are_shown_as_they_are(tmp_path, convscope):
    data = class_folders(tmp_path / "data", ["[old]", "[bold]"], 12)
    run = tmp_path / "run"
    done = convscope("train", data, "--epochs", 1, "--out", run, *QUICK)
    assert done.returncode == 0, done.stderr
    assert "[old]" in done.stdout
    card = convscope("evaluate", run)
    assert card.returncode == 0, card.stderr
    assert "[bold]" in card.stdout


def test_demo_falls_back_to_digits_and_says_so(tmp_path, convscope, monkeypatch):
    import dataclasses

    from convscope.data import catalog

    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("CONVSCOPE_CACHE", str(tmp_path / "taken"))
    entry = dataclasses.replace(catalog.DATASETS["fashion-mnist"], system=None)
    monkeypatch.setitem(catalog.DATASETS, "fashion-mnist", entry)
    done = convscope("train", "demo", "--epochs", 1, "--out", tmp_path / "run", "--dry-run")
    assert "training on scikit-learn's digits instead" in done.stderr
    assert "digits · 10 classes" in done.stdout
