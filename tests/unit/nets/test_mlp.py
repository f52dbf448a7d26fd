"""The multilayer perceptron's parameter counts, as in the guide."""

import pytest
import torch

from convscope import build_model
from convscope.base.errors import ConvscopeError
from convscope.nets.mlp import MLP


def test_the_guides_count_before_the_output_layer():
    with torch.device("meta"):
        module = MLP((3, 224, 224), hidden=(128, 128, 128), num_classes=None)
    assert sum(p.numel() for p in module.parameters()) == 19_300_736


@pytest.mark.parametrize("hidden", [(), (5,), (16, 8, 4)])
def test_any_hidden_layers(hidden):
    model = build_model("mlp", num_classes=3, input_shape=(1, 8, 8), hidden=hidden)
    assert model.logits(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def test_a_trunk_needs_a_layer():
    with pytest.raises(ConvscopeError, match="at least one hidden layer"):
        MLP((1, 8, 8), hidden=(), num_classes=None)
