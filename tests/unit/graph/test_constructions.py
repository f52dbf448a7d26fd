"""Capture, one construction after the other: kinds, names and values of odd spellings."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from captures import Net, captured, conv, into_a_view, kinds, names, tied


class Preactivation(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = conv(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.conv(self.relu(x)) + x


class Standardised(nn.Conv2d):
    def forward(self, x):
        mean, std = self.weight.mean((1, 2, 3), keepdim=True), self.weight.std((1, 2, 3))
        return F.conv2d(x, (self.weight - mean) / std[:, None, None, None], self.bias)


class Constants(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = conv()
        self.factor = torch.tensor(2.0)
        self.register_buffer("shift", torch.randn(4, 1, 1), persistent=False)

    def forward(self, x):
        return self.conv(x) * self.factor + self.shift - torch.tensor(0.5)


class Normalising(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.rand(3, 1, 1))
        self.register_buffer("std", torch.rand(3, 1, 1) + 0.5)
        self.conv = conv()

    def forward(self, x):
        return self.conv((x - self.mean) / self.std)


class TrainingOnly(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.aux = conv(), conv()

    def forward(self, x):
        y = self.conv(x)
        return (y, self.aux(x)) if self.training else y


def shuffle(x):
    count, channels, height, width = x.shape
    x = x.view(count, 2, channels // 2, height, width).transpose(1, 2).contiguous()
    return x.view(count, -1, height, width)


def twice(x):
    return x + x


def switched(x):
    return x * (x > 0)


def assigned_add(net, x):
    y = net.a(x)
    y += x[:, :1, 1:-1, 1:-1]
    return y


def into_the_input(net, x):
    y = net.a(x.mul_(2))
    return y + net.a(x)


def into_an_alias_by_dropout(net, x):
    y = net.a(x)
    return net.relu(F.dropout(y, 0.5, net.training)) * 2 + y


def into_an_alias_by_flatten(net, x):
    y = net.a(x)
    y.flatten(1).relu_()
    return y * 2


CASES = {
    "residual add": (lambda n, x: n.a(x) + n.b(x), "convolution convolution add"),
    "assigned add": (assigned_add, "convolution slice slice slice add"),
    "add with alpha": (
        lambda n, x: torch.add(n.a(x), n.b(x), alpha=-2),
        "convolution convolution add",
    ),
    "sum with itself": (lambda n, x: twice(n.a(x)), "convolution add"),
    "subtraction from a number": (lambda n, x: 1 - n.a(x), "convolution subtract"),
    "division by activations": (
        lambda n, x: n.a(x) / (n.b(x).sigmoid() + 1),
        "convolution convolution sigmoid add divide",
    ),
    "floor division": (lambda n, x: n.a(x) // 2, "convolution other"),
    "concatenation": (
        lambda n, x: torch.cat([n.a(x), n.b(x)], 1),
        "convolution convolution concatenate",
    ),
    "stack": (lambda n, x: torch.stack([n.a(x), n.b(x)], 1), "convolution convolution concatenate"),
    "functional relu": (lambda n, x: F.relu(n.a(x)), "convolution relu"),
    "in place relu": (lambda n, x: n.a(x).relu_(), "convolution relu"),
    "one module three times": (
        lambda n, x: n.relu(n.relu(n.relu(n.a(x)) - 1) - 1),
        "convolution relu subtract relu subtract relu",
    ),
    "chunk": (
        lambda n, x: torch.cat(n.a(x).chunk(2, 1)[::-1], 1),
        "convolution slice slice concatenate",
    ),
    "split": (lambda n, x: n.a(x).split([1, 3], 1)[1], "convolution slice"),
    "unbind": (
        lambda n, x: sum(n.a(x).unbind(1)),
        "convolution slice slice slice slice add add add add",
    ),
    "slices": (lambda n, x: n.a(x)[:, 1:3, ::2, -3:], "convolution slice slice slice"),
    "every image": (lambda n, x: n.a(x)[:].relu(), "convolution relu"),
    "view with -1 last": (
        lambda n, x: n.fc(n.a(x).view(x.size(0), -1)),
        "convolution flatten linear",
    ),
    "view with -1 first": (lambda n, x: n.fc(n.a(x).view(-1, 144)), "convolution flatten linear"),
    "reshape": (lambda n, x: n.fc(n.a(x).reshape(x.shape[0], 144)), "convolution flatten linear"),
    "flatten": (lambda n, x: n.fc(torch.flatten(n.a(x), 1)), "convolution flatten linear"),
    "channel shuffle": (
        lambda n, x: shuffle(n.a(x)),
        "convolution reshape permute identity reshape",
    ),
    "pixel shuffle": (lambda n, x: F.pixel_shuffle(n.a(x), 2), "convolution permute"),
    "channels last": (lambda n, x: n.a(x).permute(0, 2, 3, 1), "convolution permute"),
    "softmax at the end": (
        lambda n, x: F.softmax(n.fc(n.a(x).flatten(1)), 1),
        "convolution flatten linear softmax",
    ),
    "into a view": (into_a_view, "convolution slice multiply slice slice relu"),
    "into the input": (into_the_input, "multiply convolution convolution add"),
    "into an alias by dropout": (into_an_alias_by_dropout, "convolution relu multiply add"),
    "into an alias by flatten": (into_an_alias_by_flatten, None),
    "switches": (lambda n, x: switched(n.a(x)), "convolution other multiply"),
    "mean over everything": (lambda n, x: n.a(x) - n.a(x).mean(), "convolution convolution other"),
    "computed with the batch aside": (
        lambda n, x: n.a(x).transpose(0, 1).relu().transpose(0, 1),
        "convolution other",
    ),
    "weights from the images": (
        lambda n, x: F.linear(n.a(x).flatten(1), n.b(x).flatten(1).mean(0)[None]),
        "convolution flatten convolution flatten other",
    ),
    "constants made on the way": (
        lambda n, x: n.a(x) * torch.full((4, 1, 1), 3.0),
        "convolution multiply",
    ),
    "the output as a tuple": (lambda n, x: (n.a(x), n.b(x)), "convolution"),
    "the output as a dict": (lambda n, x: {"logits": n.a(x), "other": 3}, "convolution"),
    "max pool with indices": (
        lambda n, x: F.max_pool2d(n.a(x), 2, return_indices=True)[0],
        "convolution max_pool",
    ),
    "pooled by modules with indices": (lambda n, x: n.indices(n.a(x))[0], "convolution max_pool"),
    "no computation": (lambda n, x: x, ""),
}


def parts():
    return {
        "a": conv(), "b": conv(), "fc": nn.Linear(144, 5), "relu": nn.ReLU(inplace=True),
        "indices": nn.MaxPool2d(3, 2, return_indices=True),
    }  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_construction(case):
    function, expected = CASES[case]
    graph = captured(Net(function, **parts()))
    if expected is not None:
        assert kinds(graph)[1:] == expected.split()


MODULES = {
    "grouped": (lambda: conv(3, 6, 3, groups=3), "convolution"),
    "depthwise": (lambda: conv(3, 3, 3, groups=3, bias=False), "convolution"),
    "dilated and strided": (lambda: conv(3, 4, 3, stride=2, dilation=2, padding=1), "convolution"),
    "same, odd": (lambda: conv(3, 4, 3, padding="same", dilation=2), "convolution"),
    "same, even": (lambda: conv(3, 4, (2, 4), padding="same"), "convolution"),
    "valid": (lambda: conv(3, 4, 3, padding="valid"), "convolution"),
    "circular": (lambda: conv(3, 4, 3, padding=1, padding_mode="circular"), "pad convolution"),
    "reflect": (lambda: conv(3, 4, 3, padding=1, padding_mode="reflect"), "pad convolution"),
    "global pool, module": (lambda: nn.AdaptiveAvgPool2d(1), "adaptive_average_pool"),
    "global pool, functional": (
        lambda: Net(lambda n, x: F.adaptive_avg_pool2d(x, (1, 1))),
        "adaptive_average_pool",
    ),
    "global pool, mean": (lambda: Net(lambda n, x: x.mean((2, 3))), "adaptive_average_pool"),
    "global pool, mean kept": (
        lambda: Net(lambda n, x: x.mean([-1, -2], keepdim=True)),
        "adaptive_average_pool",
    ),
    "global pool, window": (lambda: Net(lambda n, x: F.avg_pool2d(x, x.shape[2:])), "average_pool"),
    "global max": (lambda: Net(lambda n, x: x.amax((2, 3))), "adaptive_max_pool"),
    "batch norm without affine": (lambda: nn.BatchNorm2d(3, affine=False), "batch_norm"),
    "batch norm without statistics": (
        lambda: nn.BatchNorm2d(3, track_running_stats=False),
        "other",
    ),
    "batch norm of vectors": (
        lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192)),
        "flatten batch_norm",
    ),
    "instance norm": (lambda: nn.InstanceNorm2d(3), "other"),
    "response norm, module": (lambda: nn.LocalResponseNorm(2), "local_response_norm"),
    "response norm, even size": (
        lambda: nn.LocalResponseNorm(4, 1e-2, 0.5, 2.0),
        "local_response_norm",
    ),
    "response norm, functional": (
        lambda: Net(lambda n, x: F.local_response_norm(x, 3)),
        "local_response_norm",
    ),
    "standardised weights": (lambda: Standardised(3, 4, 3), "convolution"),
    "weight norm": (lambda: nn.utils.parametrizations.weight_norm(conv()), "convolution"),
    "spectral norm": (lambda: nn.utils.parametrizations.spectral_norm(conv()), "convolution"),
    "tied weights": (tied, "convolution relu convolution"),
    "constants": (Constants, "convolution multiply add subtract"),
    "normalising": (Normalising, "subtract divide convolution"),
    "identity": (nn.Identity, ""),
    "dropout": (
        lambda: nn.Sequential(conv(), nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout()),
        "convolution dropout dropout dropout",
    ),
    "training only": (TrainingOnly, "convolution"),
    "softmax": (lambda: nn.Sequential(nn.Flatten(), nn.Softmax(1)), "flatten softmax"),
    "no parameters": (lambda: nn.Sequential(nn.MaxPool2d(2), nn.ReLU()), "max_pool relu"),
    "relu6 by hardtanh": (lambda: nn.Hardtanh(0, 6), "relu6"),
    "shared preactivation": (
        lambda: nn.Sequential(conv(), Preactivation()),
        "convolution relu convolution add",
    ),
    "unknown": (
        lambda: nn.Sequential(conv(), nn.PReLU(), nn.GroupNorm(2, 4), nn.Upsample(scale_factor=2)),
        "convolution other other other",
    ),
}


@pytest.mark.parametrize("case", MODULES)
def test_module(case):
    build, expected = MODULES[case]
    assert kinds(captured(build()))[1:] == expected.split()


def test_a_double_precision_module():
    captured(nn.Sequential(conv(), nn.BatchNorm2d(4), nn.ReLU()).double(), dtype=torch.float64)


def test_weights_that_are_computed_can_be_read():
    module = Standardised(3, 4, 3)
    graph = captured(module)
    node = graph.nodes[1]
    weight = graph.parameter(node, "weight")
    torch.testing.assert_close(weight.mean((1, 2, 3)), torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(weight.std((1, 2, 3)), torch.ones(4))
    assert graph.parameter(node, "running_mean") is None
    assert node.settings["kernel_size"] == [3, 3]


@pytest.mark.parametrize(
    ("kernel", "dilation", "expected"), [(3, 1, [1, 1]), (3, 2, [2, 2]), ((2, 4), 1, [0, 1])]
)
def test_padding_by_name_becomes_the_number_above_and_left(kernel, dilation, expected):
    graph = captured(conv(3, 4, kernel, padding="same", dilation=dilation))
    assert list(graph.nodes[1].settings["padding"]) == expected
    assert graph.nodes[1].output_shape == (4, 8, 8)


def test_a_padded_convolution_keeps_its_name():
    graph = captured(nn.Sequential(conv(3, 4, 3, padding=1, padding_mode="circular")))
    assert names(graph) == ["input", "0 pad", "0"]
