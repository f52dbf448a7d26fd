"""`convscope evaluate`: the same figures in print, in files and recomputed from the table."""

import csv
import io
import json
import shutil

from PIL import Image

from convscope.evaluation.evaluate import measure
from convscope.evaluation.predictions import Predictions


def test_json_and_files(convscope, trained):
    done = convscope("evaluate", trained, "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures.keys() >= {
        "top1", "top5", "n", "classes", "log_loss", "ece", "top1_interval", "split", "protocol",
    }  # fmt: skip
    assert figures["split"] == "test"
    assert figures["top1"] > 0.5
    folder = trained / "evaluation" / "test-centre"
    assert json.loads((folder / "metrics.json").read_text()) == figures
    table = Predictions.from_parquet((folder / "predictions.parquet").read_bytes())
    assert json.loads(json.dumps(measure(table, split="test").as_json())) == figures
    rows = list(csv.reader(io.StringIO((folder / "confusion.csv").read_text())))
    right = sum(int(rows[i][i]) for i in range(1, 11))
    assert right / figures["n"] == figures["top1"]
    for name in ("confusion.png", "reliability.png", "mistakes.png"):
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 200


def test_the_end_card(convscope, trained):
    done = convscope("evaluate", trained)
    for part in ("top-1", "95 %", "most frequent confusions", "next:", "test-centre"):
        assert part in done.stdout


def test_training_images_are_noticed(convscope, trained):
    done = convscope("evaluate", trained, "--split", "all")
    assert "warning:" in done.stderr
    assert "trained on" in done.stderr


def test_own_images_by_class_name(convscope, trained, images, tmp_path):
    for name in ("4", "0"):
        (tmp_path / "mine" / name).mkdir(parents=True)
    shutil.copy(images / "00.png", tmp_path / "mine" / "0")
    shutil.copy(images / "04.png", tmp_path / "mine" / "4")
    done = convscope("evaluate", trained, "--data", tmp_path / "mine", "--json")
    figures = json.loads(done.stdout)
    assert figures["n"] == 2
    assert figures["split"] == "all"
    assert [row["n"] for row in figures["per_class"]] == [1, 0, 0, 0, 1, 0, 0, 0, 0, 0]


def test_moved_data_keep_the_runs_splits_and_other_data_do_not(convscope, tmp_path):
    from .test_train import class_folders

    data = class_folders(tmp_path / "data", ["a", "b"], 20)
    run = tmp_path / "run"
    done = convscope("train", data, "--epochs", 1, "--out", run, "--model", "mlp")
    assert done.returncode == 0, done.stderr
    data.rename(tmp_path / "moved")
    moved = json.loads(convscope("evaluate", run, "--data", tmp_path / "moved", "--json").stdout)
    assert (moved["split"], moved["n"]) == ("test", 6)
    class_folders(tmp_path / "other", ["a", "b"], 20, seed=1)
    other = json.loads(convscope("evaluate", run, "--data", tmp_path / "other", "--json").stdout)
    assert (other["split"], other["n"]) == ("all", 40)


def test_wrong_input(convscope, trained, tmp_path):
    (tmp_path / "run").mkdir()
    for arguments, message in [
        ([tmp_path / "gone"], "does not exist"),
        ([tmp_path / "run"], "is no run folder"),
        ([trained, "--split", "holdout"], "unknown split 'holdout'"),
        ([trained, "--data", "imagenet"], "no known data set of that name"),
        ([trained, "--data", "fashion-mnist-of-my-own"], "no folder"),
    ]:
        done = convscope("evaluate", *arguments)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_damaged_weights_are_refused(convscope, trained, tmp_path):
    run = tmp_path / "copy"
    shutil.copytree(trained, run)
    path = run / "checkpoints" / "best.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    done = convscope("evaluate", run)
    assert done.returncode == 2
    assert "best.safetensors is damaged" in done.stderr


def test_images_that_changed_their_class_are_noticed(convscope, tmp_path):
    from .test_train import class_folders

    data = class_folders(tmp_path / "data", ["a", "b"], 20)
    table = tmp_path / "data" / "labels.csv"
    rows = [f"{name}/{i}.png,{name}" for name in ("a", "b") for i in range(20)]
    table.write_text("path,label\n" + "\n".join(rows) + "\n")
    run = tmp_path / "run"
    done = convscope("train", table, "--epochs", 1, "--out", run, "--model", "mlp")
    assert done.returncode == 0, done.stderr
    assert "another class" not in convscope("evaluate", run, "--split", "all").stderr
    rows[3:5] = ["a/3.png,b", "a/4.png,b"]
    table.write_text("path,label\n" + "\n".join(rows) + "\n")
    done = convscope("evaluate", run, "--split", "all")
    assert "2 of the 40 images had another class when the run was trained" in done.stderr
    (data / "a" / "7.png").rename(data / "b" / "x.png")
    done = convscope("evaluate", run, "--data", data)
    assert "1 of the 40 images had another class" in done.stderr


def test_junk_in_a_runs_files_names_the_file_and_the_remedy(convscope, trained, images, tmp_path):
    run = tmp_path / "copy"
    shutil.copytree(trained, run)
    image = next(images.iterdir())
    for name, commands in (
        ("recipe.json", [("evaluate", run)]),
        ("run.json", [("evaluate", run), ("predict", run, image)]),
        ("split.csv", [("evaluate", run)]),
    ):
        kept = (run / name).read_bytes()
        for junk in (b"", b"[]", b"3", b"{}", b"\xff\x00", b"[" * 100_000, kept[: len(kept) // 2]):
            (run / name).write_bytes(junk)
            for command in commands:
                done = convscope(*command)
                assert done.returncode == 2
                assert f"{run / name} is damaged" in done.stderr, done.stderr
                assert "a copy" in done.stderr
        (run / name).write_bytes(kept)
