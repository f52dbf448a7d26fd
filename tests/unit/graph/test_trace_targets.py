"""The same pass for another class."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convscope.base.errors import ConvscopeError
from convscope.graph.capture import capture
from convscope.graph.trace import appended_nodes, trace, with_targets


@pytest.fixture
def record():
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    images = torch.randn(2, 1, 2, 2)
    return trace(capture(module, images), images, torch.tensor([0, 1]))


def test_records_are_shared_and_the_loss_is_the_new_targets(record):
    again = with_targets(record, torch.tensor([2, 2]))
    expected = F.cross_entropy(record.logits, torch.tensor([2, 2]), reduction="none")
    assert torch.equal(again["cross_entropy"].output, expected)
    assert again["1"].output is record["1"].output
    assert all(one.gradient is None for one in again.layers)
    assert [one.node.name for one in again.layers] == [one.node.name for one in record.layers]
    assert again.targets.tolist() == [2, 2]


def test_without_targets_there_is_no_loss(record):
    assert "cross_entropy" not in with_targets(record, None)
    assert "softmax" in with_targets(record, None)


def test_targets_that_do_not_fit_are_refused(record):
    with pytest.raises(ConvscopeError, match="must be in"):
        with_targets(record, torch.tensor([0, 3]))


def test_the_nodes_that_are_appended_are_those_of_a_trace(record):
    names = [node.name for node in appended_nodes(record.graph)]
    assert names == [one.node.name for one in record.layers[-2:]]
    trunk = capture(nn.Conv2d(1, 2, 3), torch.zeros(1, 1, 4, 4))
    assert appended_nodes(trunk) == ()
