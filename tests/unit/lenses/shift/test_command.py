"""`convscope shift`: its JSON, files and errors, on runs trained on the digits."""

import csv
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from convscope import load
from convscope.base.storage import write_json
from convscope.contract.files import as_json
from convscope.lenses.shift import study as shift_studies
from convscope.lenses.shift.result import read_result
from convscope.lenses.shift.study import stratified
from convscope.runs.data import run_dataset
from folders import class_folders

FILES = {"metrics.json", "accuracy.csv", "path.csv", "layers.csv", "shift.png"}


FEW = ("--images", 30)


@pytest.fixture(scope="module")
def mlp(convscope, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits-mlp"
    done = convscope("train", "digits", "--model", "mlp", "--epochs", 1, "--out", folder,
                     "--set", "precision=float32")  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(("split", "told"), [("train", True), ("val", False)])
def test_images_that_a_run_was_trained_on_are_told(
    convscope, trained, tmp_path, monkeypatch, split, told
):
    def those_of_the_split(dataset, _):
        return np.flatnonzero(dataset.splits == split), "test"

    monkeypatch.setattr(shift_studies, "indices_of", those_of_the_split)
    done = convscope("shift", trained, *FEW, "--max-shift", 1, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert ("30 of the 30 images are identical to an image that" in done.stderr) == told
    assert ("warning:" in done.stderr) == told


def table(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_two_runs_side_by_side_in_json_and_files(convscope, trained, mlp, tmp_path):
    out = tmp_path / "out"
    done = convscope("shift", trained, mlp, *FEW, "--max-shift", 2, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    for entry in (first, second):
        assert entry.keys() >= {"run", "consistency", "accuracy_grid", "border", "max_shift", "n"}
        assert (entry["n"], entry["max_shift"], entry["border"]) == (30, 2, "zero")
        assert np.array(entry["accuracy_grid"]).shape == (5, 5)
        low, high = entry["consistency_interval"]
        assert 0 <= low <= entry["consistency"] <= high <= 1
    assert (first["run"], second["run"]) == ("digits", "digits-mlp")
    assert second["difference"]["than"] == "digits"
    difference = second["consistency"] - first["consistency"]
    assert second["difference"]["consistency"] == pytest.approx(difference)
    assert {path.name for path in out.iterdir()} == FILES
    assert json.loads((out / "metrics.json").read_text()) == [first, second]
    assert as_json(read_result(out)) == [first, second]
    assert "difference" not in first
    rows = table(out / "accuracy.csv")
    assert len(rows) == 50
    for row in rows[:25]:
        cell = first["accuracy_grid"][int(row["dy"]) + 2][int(row["dx"]) + 2]
        assert float(row["accuracy"]) == cell
    assert [row["dx"] for row in table(out / "path.csv")[:5]] == ["-2", "-1", "0", "1", "2"]
    with Image.open(out / "shift.png") as picture:
        assert picture.format == "PNG"


def test_the_middle_of_the_grid_is_the_accuracy_of_the_same_images(convscope, trained, tmp_path):
    done = convscope("shift", trained, *FEW, "--max-shift", 1, "--out", tmp_path / "out", "--json")
    (entry,) = json.loads(done.stdout)
    classifier = load(trained)
    data = run_dataset(trained).aligned_to(classifier.class_names)
    chosen = stratified(data.labels, np.flatnonzero(data.splits == "test"), 30)
    images = [data.image(i, 1) for i in chosen.tolist()]
    (logits,) = classifier.logits_of(images, 64)
    right = (logits.argmax(1).numpy() == data.labels[chosen]).mean()
    assert entry["accuracy_grid"][1][1] == entry["accuracy_unshifted"] == right


def test_the_text_and_the_folder_in_the_run(convscope, trained, tmp_path):
    run = tmp_path / "copy"
    shutil.copytree(trained, run)
    done = convscope("shift", run, *FEW, "--max-shift", 1, "--border", "edge")
    assert done.returncode == 0, done.stderr
    for part in ("consistency", "95 %", "30 of", "gap in points", "dense twin", "next:"):
        assert part in done.stdout
    folder = run / "shift" / "test-edge-1-30-images"
    assert {path.name for path in folder.iterdir()} == FILES
    (entry,) = read_result(folder).root
    assert f"{entry.consistency:.1%} [{100 * entry.consistency_interval[0]:.1f}, " in done.stdout
    assert f"{entry.fit.gap * 100:+.1f} [" in done.stdout


def test_each_study_has_a_folder_of_its_own(convscope, trained, mlp, tmp_path):
    run = tmp_path / "copy"
    shutil.copytree(trained, run)
    for more in [("--images", 5), ("--full",), (mlp, "--images", 5), ("--border", "wrap", *FEW)]:
        done = convscope("shift", run, *more, "--max-shift", 1)
        assert done.returncode == 0, done.stderr
    assert {path.name for path in (run / "shift").iterdir()} == {
        "test-zero-1-5-images", "test-zero-1-full", "test-zero-1-5-images-digits-mlp",
        "test-wrap-1-30-images",
    }  # fmt: skip


def test_circular_is_the_old_spelling_of_wrap(convscope, trained, tmp_path):
    found = []
    for border in ("wrap", "circular"):
        out = tmp_path / border
        done = convscope("shift", trained, "--border", border, "--images", 5, "--max-shift", 1,
                         "--out", out, "--json")  # fmt: skip
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]
    assert found[0][0]["border"] == "wrap"
    assert "circular" not in convscope("shift", "--help").stdout
    found[0][0]["border"] = "circular"  # as studies of old versions have it
    write_json(tmp_path / "wrap" / "metrics.json", found[0])
    assert as_json(read_result(tmp_path / "wrap")) == found[1]


def test_other_images_by_class_name(convscope, trained, images, tmp_path):
    (tmp_path / "mine" / "0").mkdir(parents=True)
    shutil.copy(images / "00.png", tmp_path / "mine" / "0")
    done = convscope("shift", trained, "--data", tmp_path / "mine", "--max-shift", 1, "--json",
                     "--out", tmp_path / "out")  # fmt: skip
    (entry,) = json.loads(done.stdout)
    assert (entry["n"], entry["data"]) == (1, "mine")
    assert entry["consistency_interval"] == [0.0, 1.0]  # one image tells nothing of others
    assert "gap" not in entry["fit"]


def test_a_stratified_sample_has_each_class_in_proportion_and_is_always_the_same():
    labels = np.repeat([0, 1, 2], [500, 300, 200])
    indices = np.arange(1000)
    chosen = stratified(labels, indices, 100)
    assert np.bincount(labels[chosen]).tolist() == [50, 30, 20]
    assert np.array_equal(chosen, stratified(labels, indices, 100))
    assert np.array_equal(stratified(labels, indices, 1000), indices)


def test_wrong_input_is_refused_and_leaves_nothing(convscope, trained, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for arguments, message in [
        ([trained, "--max-shift", 0], "must be 1 to 27 pixels"),
        ([trained, "--max-shift", -3], "must be 1 to 27 pixels"),
        ([trained, "--max-shift", 28], "must be 1 to 27 pixels for an input of 28 x 28, got 28"),
        ([trained, "--border", "moon"], "'zero', 'edge', 'reflect' or 'wrap', got 'moon'"),
        ([trained, "--images", 0], "--images"),
        ([trained, trained], "given twice"),
        ([tmp_path / "gone"], "does not exist"),
        ([trained, "--out", file], "give a folder"),
        ([trained, "--data", "imagenet"], "no known data set of that name"),
    ]:
        done = convscope("shift", *arguments)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
        assert "Traceback" not in done.stderr
    assert not (trained / "shift").exists()


def test_runs_on_other_data_or_with_other_inputs_are_refused(convscope, trained, tmp_path):
    small = tmp_path / "small"
    done = convscope("train", "digits", "--model", "mlp", "--epochs", 1, "--out", small,
                     "--set", "data.size=32", "--set", "data.resize=32")  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = convscope("shift", trained, small)
    assert done.returncode == 2
    assert "size (28, 28) and (32, 32)" in done.stderr
    runs = []
    for seed in (0, 1):
        data = class_folders(tmp_path / f"data{seed}", ["a", "b"], 20, seed=seed)
        runs.append(tmp_path / f"run{seed}")
        done = convscope("train", data, "--epochs", 1, "--out", runs[-1], "--model", "mlp")
        assert done.returncode == 0, done.stderr
    done = convscope("shift", *runs)
    assert done.returncode == 2
    assert "were not trained and tested on the same images: 40 images of the first" in done.stderr


def test_a_run_without_test_images_is_measured_on_its_validation_images(convscope, tmp_path):
    class_folders(tmp_path / "data" / "train", ["a", "b"], 20)
    class_folders(tmp_path / "data" / "val", ["a", "b"], 5, seed=1)
    run = tmp_path / "run"
    done = convscope("train", tmp_path / "data", "--epochs", 1, "--out", run, "--model", "mlp")
    assert done.returncode == 0, done.stderr
    done = convscope("shift", run, "--max-shift", 1)
    assert done.returncode == 0, done.stderr
    assert "val split, 10 of 10 images" in done.stdout
    assert "val accuracy" in done.stdout
    assert "test accuracy" not in done.stdout
    assert "chosen on the validation images" in done.stderr


def test_what_stops_it_leaves_no_file(convscope, trained, tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("convscope.lenses.shift.study.layer_shifts", stopped)
    out = tmp_path / "out"
    done = convscope("shift", trained, *FEW, "--max-shift", 1, "--out", out)
    assert done.returncode == 130
    assert not out.exists()
