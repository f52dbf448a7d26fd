"""`convscope filters`: what was learned, beside exactly what training began with."""

import shutil

import numpy as np
import pytest
import torch

import convscope as api
from convscope.base.errors import ConvscopeError
from convscope.base.storage import read_json, write_json
from convscope.lenses.filters.initial import load_initial


@pytest.fixture(scope="module")
def unmoved(convscope, tmp_path_factory):
    """A run whose steps are too small for single precision: its weights are where they began."""
    folder = tmp_path_factory.mktemp("runs") / "unmoved"
    done = convscope(
        "train", "digits", "--epochs", 1, "--seed", 7, "--out", folder,
        "--set", "optim.learning_rate=1e-30", "--set", "optim.weight_decay=0",
        "--set", "model.options.head=[16]", "--set", "precision=float32",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_the_initial_weights_are_those_that_training_began_with(unmoved):
    before = torch.get_rng_state()
    initial, stored = load_initial(unmoved), api.load(unmoved).module
    assert torch.equal(torch.get_rng_state(), before)
    parameters = dict(stored.named_parameters())
    assert len(parameters) > 10
    for name, parameter in initial.named_parameters():
        moved = parameters[name]  # zeros can move by 1e-30
        assert torch.equal(parameter, moved.where(moved.abs() > 1e-20, 0)), name


def test_a_picture_and_two_arrays_for_every_convolution(convscope, trained, tmp_path):
    done = convscope("filters", trained, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    now, before = api.load(trained).module, load_initial(trained)
    names = [name for name, part in now.named_modules() if isinstance(part, torch.nn.Conv2d)]
    with np.load(tmp_path / "out" / "filters.npz") as arrays:
        assert len(arrays) == 2 * len(names)
        for name in names:
            for what, module in (("learned", now), ("at initialisation", before)):
                weight = module.get_submodule(name).weight.detach().numpy()
                assert np.array_equal(arrays[f"{name} {what}"], weight)
        assert not np.array_equal(
            arrays[f"{names[0]} learned"], arrays[f"{names[0]} at initialisation"]
        )
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files > {"filters.npz", "filters.json"}
    assert len(files) == len(names) + 2
    assert "01-features.0.png" in files


def test_a_stage_that_went_on_from_another_one_has_no_start_of_its_own(
    convscope, trained, tmp_path
):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    recipe = read_json(run / "recipe.json")
    recipe["model"]["name"] = "vgg-small"
    stage = recipe["stages"][0]
    recipe["stages"] = [stage, {**stage, "name": "second", "start": "previous"}]
    write_json(run / "recipe.json", recipe)
    load_initial(run)  # its best weights are still of the first stage

    import convscope.lenses.filters.initial as initial

    class Second:
        def __init__(self, stored):
            self.position = type("Position", (), {"stage": 1})
            self.model = stored.model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(initial, "load_checkpoint", lambda path, f=initial.load_checkpoint:
                      Second(f(path)))  # fmt: skip
        with pytest.raises(ConvscopeError, match="'second' started from weights of the stage"):
            load_initial(run)
        done = convscope("filters", run, "--layer", "features.0", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "without the filters at initialisation: " in done.stdout
    with np.load(tmp_path / "out" / "filters.npz") as arrays:
        assert list(arrays) == ["features.0 learned"]


def test_an_untrained_network_has_only_initial_filters(convscope, tmp_path):
    done = convscope("filters", "vgg-small", "--layer", "features.0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "vgg-small is untrained" in done.stderr
    with np.load(tmp_path / "filters" / "vgg-small" / "filters.npz") as arrays:
        assert list(arrays) == ["features.0 at initialisation"]


def test_wrong_input_leaves_nothing(convscope, trained, tmp_path):
    (tmp_path / "file").write_text("x")
    out = tmp_path / "out"
    for arguments, message in [
        (
            [trained, "--layer", "features.2", "--out", out],
            "is not a convolution (relu)",
        ),
        ([trained, "--layer", "features.00", "--out", out], "did you mean features.0"),
        ([trained, "--out", tmp_path / "file"], "is a file; give a folder"),
        (["mlp", "--out", out], "has no convolutions, and so no filters"),
        (["vgg99", "--out", out], "unknown model"),
    ]:
        done = convscope("filters", *arguments)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
