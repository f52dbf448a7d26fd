"""`convscope predict`: every way to name images, every format, and the same bits everywhere."""

import csv
import io
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import convscope as api
from convscope.evaluation.predictions import Predictions


def test_files_folders_globs_and_standard_input_agree(convscope, trained, images):
    by_folder = convscope("predict", trained, images, "--json").stdout
    files = sorted(images.iterdir())
    by_file = convscope("predict", trained, *files, "--json").stdout
    by_glob = convscope("predict", trained, f"{images}/*.png", "--json").stdout
    text = "\n".join(map(str, files))
    by_input = convscope("predict", trained, "-", "--json", stdin=text).stdout
    assert by_folder == by_file == by_glob == by_input
    rows = json.loads(by_folder)
    assert [row["path"] for row in rows] == [str(path) for path in files]
    for row in rows:
        values = [answer["probability"] for answer in row["topk"]]
        assert len(values) == 5
        assert values == sorted(values, reverse=True)


def test_a_bad_image_is_a_row_and_the_exit_code_is_3(convscope, trained, images, tmp_path):
    shutil.copy(images / "00.png", tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes((images / "00.png").read_bytes()[:60])
    done = convscope("predict", trained, tmp_path, tmp_path / "gone.png", "--json")
    rows = json.loads(done.stdout)
    assert done.returncode == 3
    assert [sorted(row) for row in rows] == [["error", "path"], ["path", "topk"], ["error", "path"]]
    assert "Traceback" not in done.stderr
    table = convscope("predict", trained, tmp_path)
    assert table.returncode == 3
    assert "error" in table.stdout


def test_what_is_no_image_in_a_folder_is_counted(convscope, trained, images, tmp_path):
    shutil.copy(images / "00.png", tmp_path / "a.png")
    (tmp_path / "inner").mkdir()
    for name in ("notes.txt", "inner/more.TXT", "README", ".hidden.png"):
        (tmp_path / name).write_text("text")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing.png")
    done = convscope("predict", trained, tmp_path, "--json")
    assert done.returncode == 3
    rows = json.loads(done.stdout)
    assert [Path(row["path"]).name for row in rows] == ["a.png", "gone.png"]
    assert "No such file" in rows[1]["error"]
    assert (
        "4 files in folders are hidden or do not have the ending of an image, and were left out "
        "(2 .txt, 1 hidden, 1 without an ending)" in done.stderr
    )


def test_a_glob_without_a_match_does_not_stop_the_others(convscope, trained, images, tmp_path):
    done = convscope("predict", trained, f"{tmp_path}/*.gif", images / "00.png", "--json")
    assert done.returncode == 3
    assert len(json.loads(done.stdout)) == 1
    assert f"no file matches {tmp_path}/*.gif" in done.stderr


def test_csv_and_parquet(convscope, trained, images):
    done = convscope("predict", trained, images, "--format", "csv", "--topk", 2)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert list(rows[0]) == [
        "path", "error", "class_1", "probability_1", "class_2", "probability_2",
    ]  # fmt: skip
    done = convscope("predict", trained, images, "--format", "parquet", "--topk", 2)
    table = pq.read_table(io.BytesIO(done.output)).to_pylist()
    assert [row["class_1"] for row in table] == [row["class_1"] for row in rows]


def test_predict_evaluate_and_api_give_the_same_bits(convscope, trained, images, tmp_path):
    data = tmp_path / "data"
    for path in images.iterdir():
        folder = data / str(int(path.stem) % 10)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    convscope("evaluate", trained, "--data", data, "--batch", 4)
    table = Predictions.from_parquet(
        (trained / "evaluation" / "data-all-centre" / "predictions.parquet").read_bytes()
    )
    files = [str(data / path) for path in table.paths]
    done = convscope("predict", trained, *files, "--logit", "--topk", 10, "--json", "--batch", 4)
    model = api.load(trained)
    by_api = list(model.predictions(files, batch_size=4))
    for row, logits, prediction in zip(json.loads(done.stdout), table.logits, by_api, strict=True):
        by_name = {answer["class"]: answer["logit"] for answer in row["topk"]}
        assert [by_name[name] for name in table.class_names] == logits.tolist()
        assert prediction.logits.tolist() == logits.tolist()
    single = convscope("predict", trained, *files, "--logit", "--topk", 1, "--json",
                       "--batch", 1)  # fmt: skip
    for row, logits in zip(json.loads(single.stdout), table.logits, strict=True):
        assert row["topk"][0]["logit"] == pytest.approx(
            logits.max(), abs=1e-5 * float(abs(logits).max())
        )


def test_wrong_input(convscope, trained, tmp_path):
    (tmp_path / "none").mkdir()
    for arguments, message in [
        ([trained, f"{tmp_path}/*.gif"], "no file matches"),
        ([trained, tmp_path / "none"], "no images in"),
        ([tmp_path / "gone", "x.png"], "does not exist"),
        ([trained, "x.png", "--format", "xml"], "'xml' is not one of"),
    ]:
        done = convscope("predict", *arguments)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
