"""What torch does not document: the same results as its documented ways."""

import tomllib
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

from convscope.base.torch_private import without_compiler

ROOT = Path(__file__).parents[3]


def trained(kind, **settings):
    """The weights and the optimiser's state after three steps, with a reload in between."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    make = lambda: kind(module.parameters(), 0.1, weight_decay=1e-2, **settings)  # noqa: E731
    optimiser = make()
    for step in range(3):
        optimiser.zero_grad(set_to_none=True)
        module(torch.randn(8, 5)).square().sum().backward()
        optimiser.step()
        if step == 1:
            state = optimiser.state_dict()
            optimiser = make()
            optimiser.load_state_dict(state)
    return [*module.parameters()], optimiser.state_dict()["state"]


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "fused": True}),
        (torch.optim.SGD, {"momentum": 0.0}),
        (torch.optim.AdamW, {"fused": True}),
    ],
)
def test_an_optimiser_without_the_compiler_takes_the_same_steps(kind, settings):
    weights, state = trained(kind, **settings)
    own_weights, own_state = trained(without_compiler(kind), **settings)
    assert all(map(torch.equal, weights, own_weights))
    assert state.keys() == own_state.keys()
    for number, values in state.items():
        for name, value in values.items():
            same = own_state[number][name]
            assert torch.equal(value, same) if isinstance(value, torch.Tensor) else value == same


def test_torch_is_bounded_by_the_version_that_was_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (bound,) = [Requirement(one) for one in project["dependencies"] if one.startswith("torch")]
    major, minor = map(int, torch.__version__.split(".")[:2])
    assert bound.specifier.contains(f"{major}.{minor}.0")
    assert not bound.specifier.contains(f"{major}.{minor + 1}.0")
