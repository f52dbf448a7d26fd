"""`convscope import`: from a file to a run that the other commands take."""

import json

import numpy as np
import pytest
import torch

from convscope import load
from convscope.nets.catalog import build_module


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    torch.manual_seed(3)
    module = build_module("vgg-small", num_classes=10, input_shape=(1, 32, 32))
    torch.save(module.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def run(convscope, weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported") / "run"
    done = convscope("import", weights, "--model", "vgg-small", "--out", folder)
    assert done.returncode == 0, done.stderr
    for text in (
        str(weights), "torch.save", "vgg-small · input 1 x 32 x 32",
        "(assumed; set it by --preprocess)", "10 classes: 0, 1, 2, ...",
        f"run folder: {folder}", f"convscope summary {folder}",
    ):  # fmt: skip
        assert text in done.stdout
    return folder


@pytest.mark.parametrize(
    "command",
    [
        ("summary", "RUN"),
        ("predict", "RUN", "IMAGE"),
        ("filters", "RUN", "--layer", "features.0", "--out", "OUT"),
        ("activations", "RUN", "IMAGE", "--out", "OUT"),
        ("arithmetic", "RUN", "IMAGE", "--layer", "features.0"),
        ("evaluate", "RUN", "--data", "digits"),
    ],
    ids=lambda command: command[0],
)
def test_the_other_commands_take_the_run(convscope, run, images, tmp_path, command):
    words = {"RUN": run, "IMAGE": next(images.iterdir()), "OUT": tmp_path / "out"}
    done = convscope(*(words.get(word, word) for word in command), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_json_tells_what_fits(convscope, weights, tmp_path):
    out = tmp_path / "run"
    arguments = ("--model", "vgg-small", "--headless", "--preprocess", "unit", "--json")
    done = convscope("import", weights, *arguments, "--out", out)
    found = json.loads(done.stdout)
    assert found["run"] == str(out)
    assert found["missing"] == []
    assert "features.0.weight" in found["matched"]
    assert found["unexpected"] == [f"classifier.{i}.{p}" for i in (0, 3, 6)
                                   for p in ("weight", "bias")]  # fmt: skip
    assert not found["preprocessing_assumed"]
    stored = json.loads((out / "import.json").read_text())
    assert stored == {key: value for key, value in found.items() if key != "run"}
    assert json.loads((out / "run.json").read_text())["status"] == "imported"


def test_the_size_can_be_given_where_several_fit(convscope, tmp_path):
    module = build_module("vgg-small", num_classes=4, input_shape=(1, 28, 28)).eval()
    torch.save(module.state_dict(), tmp_path / "grey.pth")
    words = ("import", tmp_path / "grey.pth", "--model", "vgg-small", "--preprocess", "unit")
    assumed = convscope(*words, "--out", tmp_path / "assumed")
    assert "input 1 x 24 x 24 (the smallest that fits; set it by --size" in assumed.stdout
    given = convscope(*words, "--size", 28, "--out", tmp_path / "given")
    assert "input 1 x 28 x 28\n" in given.stdout
    images = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(load(tmp_path / "given").module(images), module(images))
    wrong = convscope(*words, "--size", 32, "--out", tmp_path / "wrong")
    assert wrong.returncode == 2
    assert "classifier.0.weight" in wrong.stderr
    assert not (tmp_path / "wrong").exists()


def test_class_names_come_from_a_file(convscope, weights, images, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"digit {index}" for index in range(10)))
    out = tmp_path / "run"
    convscope("import", weights, "--model", "vgg-small", "--class-names", names, "--out", out)
    done = convscope("predict", out, next(images.iterdir()), "--json")
    assert json.loads(done.stdout)[0]["topk"][0]["class"].startswith("digit ")


def test_nothing_is_written_where_something_does_not_fit(convscope, weights, tmp_path):
    done = convscope("import", weights, "--model", "vgg16", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "does not match vgg16" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(convscope, weights, tmp_path):
    (tmp_path / "mine").write_text("x")
    done = convscope("import", weights, "--model", "vgg-small", "--out", tmp_path)
    assert done.returncode == 2
    assert "exists already; choose another --out" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("missing.pth", "--model", "vgg16"), "missing.pth does not exist; give a weights file"),
        ((".", "--model", "vgg16"), "is not a file"),
        (("imagenet", "--model", "mlp"), "no official ImageNet weights of 'mlp'"),
        (("WEIGHTS", "--model", "vgg99"), "unknown model 'vgg99'"),
        (("WEIGHTS", "--model", "vgg-small", "--preprocess", "x"), "unknown preprocessing 'x'"),
        (("WEIGHTS", "--model", "vgg-small", "--set", "heads=[1]"), "its options are"),
    ],
)
def test_wrong_inputs_are_told(convscope, weights, tmp_path, arguments, reason):
    given = [weights if word == "WEIGHTS" else word for word in arguments]
    done = convscope("import", *given, "--out", tmp_path / "run", cwd=tmp_path)
    assert done.returncode == 2
    assert reason in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_trunk_with_keras_names_is_turned_to_rgb(convscope, tmp_path):
    trunk = build_module("vgg11", num_classes=None, input_shape=(3, 64, 64))
    pairs = zip(
        [name for name in trunk.state_dict() if name.endswith("weight")],
        ["block1_conv1", "block2_conv1", "block3_conv1", "block3_conv2", "block4_conv1",
         "block4_conv2", "block5_conv1", "block5_conv2"], strict=True,
    )  # fmt: skip
    arrays = {}
    for name, layer in pairs:
        for part in ("weight", "bias"):
            key = name.replace("weight", part)
            arrays[f"{layer}.{part}"] = trunk.state_dict()[key].numpy()
    np.savez(tmp_path / "trunk.npz", **arrays)
    out = tmp_path / "run"
    done = convscope(
        "import", tmp_path / "trunk.npz", "--model", "vgg11", "--headless", "--out", out
    )
    assert "preprocessing: caffe-bgr (assumed" in done.stdout
    assert "converted from BGR to RGB" in done.stdout
    from convscope.runs.folder import load

    found = load(out).module.state_dict()["features.0.weight"]
    assert torch.equal(found, trunk.state_dict()["features.0.weight"].flip(1))
