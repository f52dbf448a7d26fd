"""`convscope pathways`: sheet and JSON of one and two images, the table, and refusals."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import convscope as api
from convscope.base.errors import ConvscopeError
from convscope.contract.lens import InputImage, Inputs
from convscope.explorer.subject import subject
from convscope.lenses.pathways.lens import LENS, PathwaysParams


@pytest.fixture(scope="module")
def shown(convscope, trained, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pathways") / "new"
    done = convscope("pathways", trained, images / "00.png", "--out", folder)
    assert done.returncode == 0, done.stderr
    return done, folder


def test_a_sheet_and_its_numbers(shown, trained, images):
    done, folder = shown
    assert {path.name for path in folder.iterdir()} == {"pathways.png", "pathways.json"}
    with Image.open(folder / "pathways.png") as picture:
        picture.load()
    found = json.loads((folder / "pathways.json").read_text())
    (name, share), (second, _) = api.load(trained).predict(images / "00.png")[0][:2]
    assert (found["target"], found["contrast"], found["predicted"]) == (name, second, name)
    assert f"target {name} {share:.1%}" in done.stdout
    for layer in found["layers"]:
        total = sum(u["contribution"] for u in found["units"] if u["layer"] == layer["layer"])
        assert total + layer["bias_share"] == pytest.approx(found["logit"], abs=1e-4)
        assert layer["identity_holds"]
    assert {"ablated_drop", "random_drop_mean", "random_drop_std", "activation_drop",
            "contrast_drop", "bias_share"} < set(found)  # fmt: skip
    for proof in found["proofs"]:
        assert proof["verdict"] in done.stdout


def test_json_is_what_the_file_holds(convscope, trained, images, tmp_path):
    done = convscope("pathways", trained, images / "04.png", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    stored = json.loads((tmp_path / "pathways" / "04" / "pathways.json").read_text())
    assert json.loads(done.stdout) == stored


def test_two_images_give_a_list_and_one_sheet(convscope, trained, images, shown, tmp_path):
    done = convscope("pathways", trained, images / "00.png", images / "08.png", "--json",
                     "--out", tmp_path / "two")  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["image"] for one in found] == ["00.png", "08.png"]
    assert found[0] == json.loads((shown[1] / "pathways.json").read_text())
    paths = tmp_path / "two" / "pathways.png", shown[1] / "pathways.png"
    with Image.open(paths[0]) as both, Image.open(paths[1]) as alone:
        assert both.width > 1.9 * alone.width


def test_classes_by_name_and_by_number_are_the_same(convscope, trained, images, tmp_path):
    names = api.load(trained).class_names
    answers = []
    for target, contrast in ((names[3], names[5]), (3, 5)):
        done = convscope("pathways", trained, images / "04.png", "--target", target,
                         "--contrast", contrast, "--json", "--out", tmp_path)  # fmt: skip
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout))
    assert answers[0] == answers[1]
    assert (answers[0]["target"], answers[0]["contrast"]) == (names[3], names[5])


def test_the_table_over_a_split(convscope, trained, tmp_path):
    arguments = ("pathways", trained, "--split", "test", "--images", 12, "--sets", 4)
    done = convscope(*arguments, "--json", "--out", tmp_path / "a")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == json.loads((tmp_path / "a" / "pathways.json").read_text())
    assert found["images"] == 12
    with (tmp_path / "a" / "pathways.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert max(row["images"] for row in found["rows"]) <= len({x["image"] for x in lines}) <= 12
    for row in found["rows"]:
        own = [x for x in lines if (x["layer"], x["by"]) == (row["layer"], row["by"])]
        assert len(own) == row["images"] > 0
        mean = sum(float(line["drop"]) for line in own) / len(own)
        assert row["drop"] == pytest.approx(mean)
        assert row["beat_random"] == sum(line["beats_random"] == "True" for line in own)
    again = convscope(*arguments, "--out", tmp_path / "b")
    assert again.returncode == 0, again.stderr
    first, second = ((tmp_path / name / "pathways.csv").read_bytes() for name in "ab")
    assert first == second
    assert f"of {found['rows'][0]['images']}" in again.stdout


def test_an_untrained_network_is_named_as_such(convscope, images, tmp_path):
    done = convscope("pathways", "mlp", images / "00.png", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "untrained" in done.stderr
    assert "no convolution" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give one or two image files, or --split test; got 0"),
        (("00.png", "04.png", "08.png"), "got 3"),
        (("00.png", "--target", "cat"), "--target 'cat' is not a class; there are"),
        (("00.png", "--contrast", "10"), "--contrast '10' is not a class"),
        (("00.png", "--target", "3", "--contrast", "3"), "two classes"),
        (("00.png", "--sets", "0"), "greater than or equal to 2"),
        (("00.png", "--share", "0"), "--share: Input should be greater than 0, got 0.0"),
        (("00.png", "--images", "3"), "--images and --data are for --split"),
        (("00.png", "--split", "test"), "leave image files"),
        (("--split", "test", "--target", "3"), "leave image files"),
        (("--split", "tset"), "unknown split 'tset'"),
        (("none.png",), "none.png"),
        (("damaged.png",), "damaged.png"),
        (("00.png", "--out", "damaged.png"), "is a file"),
    ],
)
def test_wrong_input_gives_a_message_and_writes_nothing(
    convscope, trained, images, tmp_path, arguments, message
):
    for name in ("00", "04", "08"):
        (tmp_path / f"{name}.png").write_bytes((images / f"{name}.png").read_bytes())
    (tmp_path / "damaged.png").write_bytes(b"no image")
    before = sorted(tmp_path.rglob("*"))
    done = convscope("pathways", trained, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_a_network_by_name_has_no_split(convscope, tmp_path):
    done = convscope("pathways", "mlp", "--split", "test", cwd=tmp_path)
    assert done.returncode == 2
    assert "needs a run folder" in done.stderr


def test_a_trunk_has_no_classes():
    trunk = api.build_model("vgg11", num_classes=None, input_shape=(3, 32, 32), seed=0)
    image = InputImage("x.png", np.zeros((32, 32, 3), np.uint8))
    inputs = Inputs(subject(trunk, title="runs/mine"), (image,), None, lambda keep: None)
    with pytest.raises(ConvscopeError, match="runs/mine is a trunk"):
        LENS.compute(inputs, PathwaysParams())
