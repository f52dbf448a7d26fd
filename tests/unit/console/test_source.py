"""MODEL_OR_RUN: which texts are runs, which networks, and what is said of the others."""

import pytest
import torch

import convscope as api
from convscope.base.errors import ConvscopeError
from convscope.console.source import classifier_of


def test_a_run_is_its_best_weights(trained):
    model, same = classifier_of(str(trained)), api.load(trained)
    for one, two in zip(model.module.parameters(), same.module.parameters(), strict=True):
        assert torch.equal(one, two)
    assert model.class_names == same.class_names


def test_a_name_is_an_untrained_network_of_seed_0(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vgg-small").mkdir()  # no run: does not hide the network
    model = classifier_of("vgg-small")
    again = api.build_model("vgg-small", seed=0)
    for one, two in zip(model.module.parameters(), again.module.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vgg99", "unknown model 'vgg99'; choose one of vgg11"),
        ("runs/gone", "runs/gone does not exist"),
        (".", "is not a run folder"),
        ("no.such.module:build", "cannot import"),
    ],
)
def test_neither_run_nor_network(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConvscopeError, match=message):
        classifier_of(text)
