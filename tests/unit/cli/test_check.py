"""`convscope check`: what it prints, writes and exits with."""

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def pets(tmp_path):
    root = tmp_path / "pets"
    for number, (name, split) in enumerate(
        (c, s) for c in ("cat", "dog") for s in ("train", "val")
    ):
        folder = root / split / name
        folder.mkdir(parents=True)
        for i in range(6):
            pixels = np.random.default_rng([number, i]).integers(0, 256, (8, 12, 3), np.uint8)
            Image.fromarray(pixels.repeat(2, 0).repeat(2, 1)).save(folder / f"{i}.png")
    return root


def test_the_card_and_its_files(convscope, pets, tmp_path):
    done = convscope("check", pets, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "pets · 2 classes · 24 images" in done.stdout
    assert "the data bring" not in done.stdout
    assert "unreadable  0 files" in done.stdout
    assert "a central square cuts off 33.3% of the pixels" in done.stdout
    assert (tmp_path / "checks" / "pets" / "check.json").exists()
    with Image.open(tmp_path / "checks" / "pets" / "check.png") as picture:
        assert picture.width >= 1280


def test_json_is_one_object_and_nothing_else(convscope, pets, tmp_path):
    done = convscope("check", pets, "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert {"classes", "splits", "bad_files", "duplicates", "near_duplicates"} <= found.keys()
    assert found["splits"] == {"train": 12, "val": 12, "test": 0, "none": 0}
    stored = json.loads((tmp_path / "checks" / "pets" / "check.json").read_text(encoding="utf-8"))
    assert stored == found


def test_leaks_and_unreadable_files_are_named_and_the_exit_code_is_3(convscope, pets, tmp_path):
    (pets / "val" / "dog" / "leak.png").write_bytes((pets / "train/dog/1.png").read_bytes())
    with Image.open(pets / "train" / "cat" / "2.png") as image:
        image.resize((36, 24), Image.Resampling.BICUBIC).save(pets / "val" / "cat" / "like.png")
    (pets / "val" / "cat" / "3.png").write_bytes(b"")
    done = convscope("check", pets, "--out", tmp_path / "out")
    assert done.returncode == 3
    assert "  val/cat/3.png: the file is empty" in done.stdout
    assert "  train/dog/1.png = val/dog/leak.png" in done.stdout
    assert "val/cat/like.png ~ train/cat/2.png" in done.stdout
    assert (tmp_path / "out" / "check.png").exists()


def test_splits_that_were_drawn_are_said_to_be(convscope, pets, tmp_path):
    done = convscope("check", pets / "train", cwd=tmp_path)
    assert "the data set has no train and no val and no test split" in done.stdout


def test_a_known_data_set_of_arrays(convscope, tmp_path):
    done = convscope("check", "digits", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert (found["images"], len(found["classes"])) == (1797, 10)
    assert len(found["near_duplicates"]) < 60


def test_nothing_is_written_into_the_data_folder(convscope, pets):
    done = convscope("check", pets, "--out", pets / "check")
    assert done.returncode == 2
    assert "inside the data folder" in done.stderr
    assert not (pets / "check").exists()
    assert convscope("check", pets, cwd=pets).returncode == 2


def test_wrong_input_is_refused_without_a_traceback(convscope, tmp_path):
    done = convscope("check", tmp_path / "none", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "checks").exists()


def test_a_folder_in_which_nothing_can_be_read_still_gives_a_picture(convscope, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "bad" / name).mkdir(parents=True)
        (tmp_path / "bad" / name / "1.png").write_bytes(b"no image")
    done = convscope("check", tmp_path / "bad", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "note: bad: too few images to hold any out" in done.stdout
    assert (tmp_path / "checks" / "bad" / "check.png").exists()


def test_nothing_is_written_beside_the_images_of_a_table(convscope, pets, tmp_path):
    table = tmp_path / "lists" / "labels.csv"
    table.parent.mkdir()
    rows = [f"../pets/train/{name}/{i}.png,{name}" for name in ("cat", "dog") for i in range(6)]
    table.write_text("path,label\n" + "\n".join(rows) + "\n")
    inside = pets / "train" / "cat" / "out"
    for command in ("check", "train"):
        done = convscope(command, table, "--out", inside)
        assert done.returncode == 2
        assert f"{inside} is inside the data folder" in done.stderr
        assert not inside.exists()
    done = convscope("check", table, "--out", table.parent / "out")
    assert done.returncode == 0, done.stderr


def test_one_bad_name_is_listed_and_can_be_left_out(convscope, pets, tmp_path):
    (pets / "train" / "cat" / "0.png").rename(pets / "train" / "cat" / "a\nb.png")
    done = convscope("check", pets, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "  train/cat/a\\nb.png: control characters" in done.stdout
    command = ("train", pets, "--epochs", 1, "--batch", 4, "--model", "mlp")
    done = convscope(*command, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "1 of 24 files in pets cannot be read:" in done.stderr
    assert "a\\nb.png: control characters" in done.stderr
    done = convscope(*command, "--skip-bad", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "train/cat/a\\nb.png,cat,skipped," in (tmp_path / "run" / "split.csv").read_text()


def test_an_archive_of_one_class_is_named_itself(convscope, pets, tmp_path):
    import zipfile

    path = tmp_path / "one.zip"
    with zipfile.ZipFile(path, "w") as file:
        for i in range(3):
            file.write(pets / "train" / "cat" / f"{i}.png", f"{i}.png")
    for command in ("check", "train"):
        done = convscope(command, path, "--out", tmp_path / "out")
        assert done.returncode == 2
        assert f"{path} has no class folders" in done.stderr
        assert f"such as {path}/cat/1.jpg" in done.stderr
