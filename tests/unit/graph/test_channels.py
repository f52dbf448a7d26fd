"""What channels are like, beside plain torch."""

import math

import pytest
import torch

from convscope.graph.channels import channels, spread


@pytest.mark.parametrize("shape", [(6, 4, 5), (7,), (), (3, 4), (2, 3, 2, 2)])
def test_channels_are_those_of_torch(shape):
    values = torch.relu(torch.randn(shape))
    found = channels(values)
    rows = values.reshape(len(values) if values.ndim else 1, -1)
    assert found.means.tolist() == pytest.approx(rows.double().mean(1).tolist(), rel=1e-6)
    assert found.lows.tolist() == rows.amin(1).tolist()
    assert found.highs.tolist() == rows.amax(1).tolist()
    assert (found.low, found.high) == (float(values.min()), float(values.max()))
    assert found.mean == pytest.approx(float(values.double().mean()), rel=1e-6)
    assert found.dead == int((rows == 0).all(1).sum())
    expected = rows.mean(1).argsort(descending=True, stable=True)[:3]
    assert found.strongest(3) == expected.tolist()


def test_what_is_no_number_comes_last_and_is_said():
    values = torch.tensor([[[math.nan]], [[1.0]], [[math.inf]], [[-5.0]]])
    found = channels(values)
    assert found.strongest(2) == [1, 3]
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_truth_values_and_whole_numbers_are_numbers():
    assert channels(torch.tensor([True, False])).means.tolist() == [1, 0]
    assert spread(torch.tensor([1, 2, 3])).mean == 2


def test_the_spread_is_that_of_torch():
    values = torch.randn(5, 4)
    found = spread(values)
    assert found.count == 20
    assert found.std == pytest.approx(float(values.double().std(correction=0)), rel=1e-6)
    assert (found.low, found.high) == (float(values.min()), float(values.max()))
