"""`convscope activations`: sheets, numbers equal to the trace to the last bit, and refusals."""

import numpy as np
import pytest
import torch
from PIL import Image

import convscope as api
from convscope.base.storage import safe_name
from convscope.graph.capture import capture
from convscope.graph.trace import trace
from convscope.images.files import read_image


@pytest.fixture(scope="module")
def written(convscope, trained, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("activations") / "new" / "deeper"
    done = convscope("activations", trained, images / "00.png", "--out", folder)
    assert done.returncode == 0, done.stderr
    return done, folder


def test_a_sheet_for_every_layer_and_their_numbers(written, trained, images):
    done, folder = written
    model = api.load(trained)
    batch = model.preprocess.batch([read_image(images / "00.png", model.preprocess.channels)])
    graph = capture(model.module, torch.zeros_like(batch))
    recorded = trace(graph, batch)
    with np.load(folder / "activations.npz") as arrays:
        assert "features.0" in arrays
        assert "softmax" in arrays
        assert graph.logits in arrays
        assert "features.1" not in arrays  # batch norm
        for name in arrays:
            assert arrays[name].dtype == np.float32
            assert np.array_equal(arrays[name], recorded[name].output[0].numpy())
            assert name in done.stdout
        sheets = sorted(path.name for path in folder.glob("[0-9]*.png"))
        assert len(sheets) == len(arrays)
    assert sheets[0] == "01-features.0.png"
    everything = {path.name for path in folder.iterdir()}
    assert everything == {*sheets, "strongest.png", "activations.npz", "activations.json"}
    for path in folder.glob("*.png"):
        with Image.open(path) as picture:
            picture.load()
    assert "untrained" not in done.stderr


def test_the_classes_are_those_of_predict(written, trained, images):
    name, share = api.load(trained).predict(images / "00.png")[0][0]
    assert f"classes: {name} {share:.1%}" in written[0].stdout


def test_chosen_layers_on_one_scale(convscope, trained, images, tmp_path):
    done = convscope("activations", trained, images / "04.png", "--layer", "features.2", "--layer",
                     "softmax", "--layer", "input", "--scale", "network", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "activations" / "04"
    names = {path.name for path in folder.iterdir()}
    assert {"00-input.png", "03-features.2.png", "strongest.png", "activations.npz"} < names
    with np.load(folder / "activations.npz") as arrays:
        assert list(arrays) == ["input", "features.2", "softmax"]


@pytest.mark.parametrize("model", ["mlp", "vgg-small"])
def test_a_name_is_an_untrained_network_and_that_is_said(convscope, images, tmp_path, model):
    done = convscope("activations", model, images / "00.png", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert f"{model} is untrained" in done.stderr
    assert (tmp_path / "out" / "strongest.png").exists() == (model != "mlp")


def test_file_names_are_safe():
    assert safe_name("a/b c:d#2") == "a-b-c-d-2"
    assert safe_name("../..") == "unnamed"
    assert len(safe_name("x" * 500)) == 100


def test_wrong_input_leaves_nothing(convscope, trained, images, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "bad.png").write_bytes((images / "00.png").read_bytes()[:60])
    good, out = images / "00.png", tmp_path / "out"
    for arguments, message in [
        ([trained, good, "--layer", "features.00", "--out", out], "did you mean features.0"),
        ([trained, tmp_path / "bad.png", "--out", out], "bad.png: "),
        ([trained, tmp_path / "gone.png", "--out", out], "No such file"),
        ([trained, good, "--out", tmp_path / "file"], "is a file; give a folder"),
        ([trained, good, "--out", tmp_path / "file" / "deeper"], "is a file; give a folder"),
        ([trained, good, "--scale", "pixel", "--out", out], "'pixel' is not one of"),
        (["vgg99", good, "--out", out], "unknown model 'vgg99'"),
        ([tmp_path / "gone", good, "--out", out], "does not exist"),
    ]:
        before = sorted(tmp_path.rglob("*"))
        done = convscope("activations", *arguments)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
        assert "Traceback" not in done.stderr
        assert sorted(tmp_path.rglob("*")) == before
