"""Which terms of a number are listed, beside sorting by hand, and what the others add up to."""

import numpy as np
import pytest
import torch
from torch import nn

from convscope.graph.capture import capture
from convscope.graph.ledger.arithmetic import arithmetic
from convscope.graph.ledger.largest import largest_channels, listed_terms
from convscope.graph.trace import trace
from ledgers import Function


def ledger_of(module, images, index, name=None, targets=None):
    record = trace(capture(module.eval(), images), images, targets)
    return arithmetic(record, name or record.graph.output, index)


def listed(found):
    return [
        [(terms.node, tuple(terms.indices[at].tolist())) for at in positions]
        for terms, positions in found.sources
    ]


def test_the_weaker_input_channels_of_a_convolution_are_added_up():
    torch.manual_seed(3)
    module, images = nn.Conv2d(9, 1, 3), torch.randn(1, 9, 3, 3)
    ledger = ledger_of(module, images, (0, 0, 0))
    sums = (images[0].double() * module.weight[0].double()).sum((1, 2)).detach()
    order = sums.abs().argsort(descending=True).tolist()
    found = largest_channels(ledger)
    assert [channel.channel for channel in found.channels] == order[:4]
    assert found.other_count == 5
    assert found.other_sum == pytest.approx(float(sums[order[4:]].sum()))
    terms = listed_terms(ledger, 1)  # a patch is listed whole
    assert (terms.count, terms.other_count, terms.other_sum) == (81, 0, 0)
    assert listed(terms)[0] == [("input", term.index) for term in ledger.terms]


@pytest.mark.parametrize("inputs", [1, 6])
def test_up_to_six_input_channels_are_all_named(inputs):
    found = largest_channels(
        ledger_of(nn.Conv2d(inputs, 1, 2), torch.randn(1, inputs, 2, 2), (0, 0, 0))
    )
    assert (len(found.channels), found.other_count, found.other_sum) == (inputs, 0, 0)


def test_a_channel_whose_sum_is_nan_comes_last():
    images = torch.ones(1, 8, 1, 1)
    images[0, 2] = torch.nan
    module = nn.Conv2d(8, 1, 1, bias=False)
    with torch.no_grad():
        module.weight[0, :, 0, 0] = torch.arange(8.0)
    found = largest_channels(ledger_of(module, images, (0, 0, 0)))
    assert [channel.channel for channel in found.channels] == [7, 6, 5, 4]
    assert np.isnan(found.other_sum)
    few = largest_channels(ledger_of(nn.Conv2d(3, 1, 1), images[:, :3], (0, 0, 0)))
    assert few.channels[-1].channel == 2


def test_a_dense_layer_lists_its_largest_products():
    torch.manual_seed(0)
    module, images = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), torch.randn(1, 3, 2, 2)
    found = listed_terms(ledger_of(module, images, 1), 5)
    products = images.flatten().double() * module[1].weight[1].detach().double()
    order = products.abs().argsort(descending=True, stable=True).tolist()
    assert listed(found) == [[("0", (place,)) for place in order[:5]]]
    assert (found.count, found.other_count) == (12, 7)
    assert found.other_sum == pytest.approx(float(products[order[5:]].sum()))


def test_a_sum_lists_the_largest_of_both_branches():
    module = Function(lambda m, x: x.relu() + 3 * x)
    found = listed_terms(ledger_of(module, torch.ones(1, 1, 1, 1), (0, 0, 0)), 1)
    assert [len(positions) for _, positions in found.sources] == [0, 1]  # 3 is more than 1
    assert (found.other_count, found.other_sum) == (1, 1)


def test_a_quotient_keeps_the_order_of_its_formula_and_has_no_sum_of_others():
    module = Function(lambda m, x: x.abs() / (x.relu() + 3))
    ledger = ledger_of(module, torch.ones(1, 1, 1, 1), (0, 0, 0))
    found = listed_terms(ledger, 2)
    assert [terms.node for terms, _ in found.sources] == [term.node for term in ledger.terms]
    assert (found.count, found.other_count, found.other_sum) == (2, 0, None)
    larger = listed_terms(ledger, 1)  # the divisor is 4
    assert [len(positions) for _, positions in larger.sources] == [0, 1]


@pytest.mark.parametrize("layer", ["softmax", "cross_entropy"])
def test_the_class_in_question_is_always_listed(layer):
    module, images = nn.Flatten(), torch.tensor([[[[2.0]], [[1.0]], [[0.0]], [[-1.0]]]])
    index = (3,) if layer == "softmax" else ()
    ledger = ledger_of(module, images, index, layer, torch.tensor([3]))
    found = listed_terms(ledger, 2)
    assert listed(found) == [[("flatten", (0,)), ("flatten", (1,)), ("flatten", (3,))]]
    assert (found.count, found.other_count) == (4, 1)
    assert found.other_sum == pytest.approx(np.exp(0 - 2))
