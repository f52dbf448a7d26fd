"""Windows of convolutions and pools: beside which pixels torch's own gradient reaches."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convscope.base.errors import ConvscopeError
from convscope.graph.capture import capture
from convscope.graph.windows import adaptive_bounds

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

SIDES = 11, 12
CONVOLUTIONS = [
    nn.Conv2d(1, 1, kernel, stride, padding, dilation)
    for kernel, stride, padding, dilation in itertools.product(
        (1, 2, (3, 4)), (1, (2, 3)), (0, (1, 0), "same", "valid"), (1, (2, 1), 3)
    )
    if padding != "same" or stride == 1
]
POOLS = [
    nn.MaxPool2d(2), nn.MaxPool2d((3, 2), (2, 1), (1, 0)), nn.MaxPool2d(3, 3, 1, (2, 1)),
    nn.MaxPool2d(3, 2, ceil_mode=True), nn.AvgPool2d(2), nn.AvgPool2d((2, 3), 2, 1),
    nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
]  # fmt: skip


def window(layer, sides=SIDES):
    return capture(layer, torch.zeros(1, 1, *sides)).nodes[-1].window


def seen(layer, axis, sides=SIDES):
    """For each row (column) of units the rows (columns) that any value of its depends on."""
    layer = layer.double()
    if isinstance(layer, nn.Conv2d):
        nn.init.ones_(layer.weight)
    image = torch.ones(1, 1, *sides, dtype=torch.float64, requires_grad=True)
    found = []
    for unit in range(layer(image).shape[2 + axis]):
        used = set()
        # What wins a max pool depends on the values: every place of the image wins once.
        for place in range(sides[axis]) if isinstance(layer, nn.MaxPool2d) else [None]:
            pixels = image.detach().clone()
            if place is not None:
                pixels.select(2 + axis, place).fill_(2)
            row = layer(pixels.requires_grad_()).select(2 + axis, unit)
            (gradient,) = torch.autograd.grad(row.sum(), pixels)
            used |= set(gradient[0, 0].sum(1 - axis).nonzero().flatten().tolist())
        found.append(used)
    return found


@pytest.mark.parametrize("layer", CONVOLUTIONS + POOLS, ids=str)
@pytest.mark.parametrize("axis", [0, 1])
def test_the_places_of_every_unit_are_those_that_its_values_depend_on(layer, axis):
    expected = seen(layer, axis)
    places = window(layer.float()).places(axis, np.arange(len(expected)))
    inside = [{p for p in row if 0 <= p < SIDES[axis]} for row in places.tolist()]
    assert inside == expected


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=str)
def test_other_inputs_give_as_many_units_as_torchs(layer):
    found = window(layer.float())
    for height, width in ((12, 13), (17, 30)):
        expected = tuple(layer(torch.zeros(1, 1, height, width)).shape[2:])
        assert (found.units(0, height), found.units(1, width)) == expected


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=str)
def test_padding_by_hand_gives_the_same_maps(layer):
    found, images = window(layer.float()), torch.randn(2, 1, *SIDES)
    (top, left), (bottom, right) = found.before, found.after
    padded = F.pad(images, (left, right, top, bottom))
    by_hand = F.conv2d(padded, layer.weight, layer.bias, found.stride, 0, found.dilation)
    with torch.no_grad():
        assert torch.allclose(by_hand, layer(images), atol=1e-6)


def test_an_even_kernel_that_keeps_the_size_has_one_more_below_and_right():
    found = window(nn.Conv2d(1, 1, (4, 3), padding="same"))
    assert (found.before, found.after) == ((1, 1), (2, 1))
    found = window(nn.Conv2d(1, 1, (2, 4), padding="same", dilation=(2, 3)))
    assert (found.before, found.after) == ((1, 4), (1, 5))


def test_the_extent_of_neighbouring_units_is_the_span_of_their_places():
    found = window(nn.Conv2d(1, 1, (3, 2), (2, 1), dilation=(2, 3)))
    for axis, units in itertools.product((0, 1), (1, 2, 4)):
        places = found.places(axis, np.arange(units))
        assert found.extent(axis, units) == places.max() - places.min() + 1


@pytest.mark.parametrize(("inputs", "outputs"), [(7, 3), (3, 7), (5, 5), (1, 4), (9, 1)])
def test_the_bounds_of_adaptive_pools_are_torchs(inputs, outputs):
    rows = torch.eye(inputs)[:, None, :, None]  # image i is one at row i
    pooled = F.adaptive_avg_pool2d(rows, (outputs, 1))[:, 0, :, 0]
    starts, ends = adaptive_bounds(inputs, outputs)
    for unit in range(outputs):
        assert pooled[:, unit].nonzero().flatten().tolist() == [*range(starts[unit], ends[unit])]


def test_other_nodes_have_no_window():
    node = capture(nn.ReLU(), torch.zeros(1, 1, 4, 4)).nodes[-1]
    with pytest.raises(ConvscopeError, match="has no window"):
        node.window  # noqa: B018
