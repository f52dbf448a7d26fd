"""Checkpoints: the stored content is read back, and every wrong bit is detected."""

import numpy as np
import pytest
import torch
from safetensors import safe_open

from convscope import build_model
from convscope.base.errors import ConvscopeError, WeightsError
from convscope.runs.checkpoint import load_checkpoint, save_checkpoint
from convscope.training.events import Checkpoint
from convscope.training.recipe import DataSpec, ModelSpec, Recipe
from convscope.training.state import Position, capture_state

OPTIONS = {"hidden": [4]}


@pytest.fixture
def checkpoint():
    model = build_model("mlp", num_classes=3, input_shape=(1, 4, 4), seed=0, **OPTIONS)
    optimiser = torch.optim.SGD(model.module.parameters(), 0.1, momentum=0.9)
    model.module(torch.rand(2, 1, 4, 4)).sum().backward()
    optimiser.step()
    position = Position(epoch=3, step=17, segments=((0, 0.0, 50),), best_top1=0.5)
    state = capture_state(position, model.module, optimiser)
    spec = ModelSpec(name="mlp", options=OPTIONS)
    recipe = Recipe(name="scratch", data=DataSpec(source="digits"), model=spec, epochs=5)
    return Checkpoint(state, model, recipe, spec, best=True)


@pytest.fixture
def path(checkpoint, tmp_path):
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, checkpoint, weights_only=False)
    return path


def test_everything_comes_back(checkpoint, path):
    stored = load_checkpoint(path)
    assert stored.position == checkpoint.state.position
    assert stored.tensors.keys() == checkpoint.state.tensors.keys()
    assert all(torch.equal(v, checkpoint.state.tensors[k]) for k, v in stored.tensors.items())
    model = stored.classifier(str(path))
    assert model.class_names == checkpoint.classifier.class_names
    assert model.preprocess == checkpoint.classifier.preprocess
    images = torch.rand(2, 1, 4, 4)
    assert torch.equal(model.logits(images), checkpoint.classifier.logits(images))


def test_any_safetensors_reader_opens_it(path):
    with safe_open(path, "pt") as file:
        assert "module.layers.0.weight" in list(file.keys())


def test_best_holds_weights_alone(checkpoint, tmp_path):
    save_checkpoint(tmp_path / "best.safetensors", checkpoint, weights_only=True)
    stored = load_checkpoint(tmp_path / "best.safetensors")
    assert all(name.startswith("module.") for name in stored.tensors)


def test_every_flipped_bit_is_noticed(path):
    content = path.read_bytes()
    generator = np.random.default_rng(0)
    for bit in generator.choice(len(content) * 8, 1000, replace=False).tolist():
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match="is damaged"):
            load_checkpoint(path)


def test_every_cut_is_noticed(path):
    content = path.read_bytes()
    generator = np.random.default_rng(1)
    for length in generator.choice(len(content), 1000, replace=False).tolist():
        path.write_bytes(content[:length])
        with pytest.raises(WeightsError, match="is damaged"):
            load_checkpoint(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConvscopeError, match=r"cannot read .*gone.safetensors"):
        load_checkpoint(tmp_path / "gone.safetensors")


def test_weights_that_do_not_fit_are_all_listed(path):
    stored = load_checkpoint(path)
    stored.tensors.pop("module.layers.0.bias")
    stored.tensors["module.layers.2.weight"] = torch.zeros(1)
    stored.tensors["module.more"] = torch.zeros(1)
    with pytest.raises(WeightsError) as error:
        stored.classifier("here")
    for part in ("layers.0.bias: missing", "layers.2.weight: shape (1,)", "more: not in the"):
        assert part in str(error.value)
