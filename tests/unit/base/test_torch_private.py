"""What torch does not document: the same results as its documented ways."""

import operator
import sys
import tomllib
import traceback
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

from convscope.base.torch_private import (
    guards_watched,
    is_operation,
    is_region,
    operation_name,
    out_of_place,
    quiet_export,
    schema_of,
    storage_of,
    without_compiler,
)

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


def test_operations_and_regions_are_told_from_other_calls():
    relu = torch.ops.aten.relu.default
    assert is_operation(relu)
    assert operation_name(torch.ops.aten.relu_.default) == "relu_"
    assert [argument.name for argument in schema_of(relu).arguments] == ["self"]
    assert is_region(torch.ops.higher_order.cond)
    for other in (operator.add, torch.relu, torch.ops.higher_order.cond):
        assert not is_operation(other)
        assert schema_of(other) is None
    assert not is_region(relu)


def test_the_variant_of_an_in_place_operation():
    assert out_of_place(torch.ops.aten.relu_.default) is torch.ops.aten.relu.default
    assert out_of_place(torch.ops.aten.add_.Tensor) is torch.ops.aten.add.Tensor
    assert out_of_place(torch.ops.aten.pow_.Tensor) is None


def test_views_share_their_storage():
    tensor = torch.zeros(4, device="meta")
    assert storage_of(tensor[1:]) == storage_of(tensor)
    assert storage_of(tensor) != storage_of(torch.zeros(4, device="meta"))


class Loud(torch.nn.Module):
    """Prints, and fails for any other batch size."""

    def forward(self, images):
        print("of the module", file=sys.stderr)
        return images.reshape(2, -1)


def test_what_torch_export_reports_is_hidden_and_what_others_print_is_not(capsys):
    images = torch.zeros(2, 3)
    dynamic = ({0: torch.export.Dim("batch")},)
    lines = []
    with (
        quiet_export(),
        guards_watched(lambda: lines.append(traceback.extract_stack())),
        pytest.raises(Exception, match="batch"),
    ):
        torch.export.export(Loud(), (images,), dynamic_shapes=dynamic)
    assert set(capsys.readouterr().err.splitlines()) == {"of the module"}
    assert any(frame.line == "return images.reshape(2, -1)" for stack in lines for frame in stack)
