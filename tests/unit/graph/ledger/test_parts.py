"""A convolution's map taken apart, beside torch's own convolution of each channel."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convscope.base.errors import ConvscopeError
from convscope.graph.capture import capture
from convscope.graph.ledger.parts import kernels, parts
from convscope.graph.trace import trace

GRID = list(
    itertools.product(
        ((3, 3), (1, 1), (2, 4), (5, 3)),  # kernel
        ((1, 1), (2, 3)),  # stride
        (0, 1, (2, 1), "same"),  # padding
        (1, (2, 1)),  # dilation
        (1, 2, 6),  # groups
    )
)


class Side(nn.Module):
    """Many convolutions of the same images, side by side: one capture for all."""

    def __init__(self, convolutions):
        super().__init__()
        self.each = nn.ModuleList(convolutions)

    def forward(self, x):
        return torch.cat([one(x).flatten(1) for one in self.each], 1)


def test_the_grid_of_settings_gives_parts_that_are_torchs_and_add_up():
    fitting = [one for one in GRID if one[2] != "same" or one[1] == (1, 1)]
    module = Side(
        nn.Conv2d(6, 12, kernel, stride, padding, dilation, groups, bias=number % 2 == 0)
        for number, (kernel, stride, padding, dilation, groups) in enumerate(fitting)
    )
    images = torch.randn(2, 6, 11, 13)
    record = trace(capture(module, images), images)
    for number, layer in enumerate(module.each):
        name, depth = f"each.{number}", 6 // layer.groups
        for channel in (0, 7):
            found = parts(record, name, channel, range(depth), image=1)
            first = channel // (12 // layer.groups) * depth
            with torch.no_grad():
                for place in range(depth):
                    alone = F.conv2d(
                        images[1:, first + place : first + place + 1],
                        layer.weight[channel : channel + 1, place : place + 1],
                        None, layer.stride, layer.padding, layer.dilation,
                    )  # fmt: skip
                    assert torch.allclose(found[place], alone[0, 0], atol=1e-5)
                bias = 0 if layer.bias is None else layer.bias[channel]
            whole = record[name].output[1, channel]
            assert torch.allclose(found.sum(0) + bias, whole, atol=1e-4)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_other_padding_modes_add_up(mode):
    layer = nn.Conv2d(2, 3, 3, padding=1, padding_mode=mode)
    images = torch.randn(1, 2, 5, 6)
    record = trace(capture(layer, images), images)
    name = next(node.name for node in record.graph.nodes if node.kind == "convolution")
    found = parts(record, name, 1, [0, 1])
    with torch.no_grad():
        assert torch.allclose(found.sum(0) + layer.bias[1], record[name].output[0, 1], atol=1e-5)


def test_kernels_are_the_filters_own_in_the_order_asked_for():
    layer = nn.Conv2d(4, 6, 3, groups=2)
    graph = capture(layer, torch.zeros(1, 4, 5, 5))
    with torch.no_grad():
        assert torch.equal(kernels(graph, "convolution", 5, [1, 0]), layer.weight[5][[1, 0]])


@pytest.mark.parametrize(
    ("channel", "inputs", "words"),
    [(6, [0], r"channel: there is no 6.*0\.\.5"), (0, [2], r"inputs: there is no 2.*0\.\.1"),
     (0, [-1], "there is no -1"), (-1, [0], "there is no -1"), (0, [], "none was given")],
)  # fmt: skip
def test_channels_that_there_are_not_are_refused(channel, inputs, words):
    graph = capture(nn.Conv2d(4, 6, 3, groups=2), torch.zeros(1, 4, 5, 5))
    with pytest.raises(ConvscopeError, match=words):
        kernels(graph, "convolution", channel, inputs)


def test_other_layers_have_no_kernels():
    graph = capture(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.zeros(1, 1, 2, 2))
    with pytest.raises(ConvscopeError, match="not a convolution"):
        kernels(graph, "1", 0, [0])
