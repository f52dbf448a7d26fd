"""The ledger of one number beside its definition, written a second time in plain Python floats."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convscope.graph.kinds import Kind
from ledgers import SHAPE, Function, checked, traced

C, H, W = SHAPE


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def places(spot, kernel, stride, padding, dilation):
    """(row in the kernel, column in the kernel, row of the input, column of the input)."""
    for i, j in itertools.product(range(kernel[0]), range(kernel[1])):
        row = spot[0] * stride[0] - padding[0] + i * dilation[0]
        column = spot[1] * stride[1] - padding[1] + j * dilation[1]
        yield i, j, row, column


def inside(row, column):
    return 0 <= row < H and 0 <= column < W


def convolved(layer):
    kernel, stride, dilation = (pair(x) for x in (layer.kernel_size, layer.stride, layer.dilation))
    padding = layer.padding
    if padding == "same":  # an odd total leaves one more below and right
        padding = tuple((k - 1) * d // 2 for k, d in zip(kernel, dilation, strict=True))
    padding = (0, 0) if padding == "valid" else pair(padding)

    def twin(image, index):
        channel, *spot = index
        depth = C // layer.groups
        first = channel // (layer.out_channels // layer.groups) * depth
        total = 0.0 if layer.bias is None else float(layer.bias[channel])
        for c in range(depth):
            for i, j, row, column in places(spot, kernel, stride, padding, dilation):
                if inside(row, column):
                    weight = float(layer.weight[channel, c, i, j])
                    total += weight * image[first + c][row][column]
        return total

    return twin


CONVOLUTIONS = {
    "plain": {"kernel_size": 3},
    "strided": {"kernel_size": 3, "stride": 2, "padding": 1},
    "oblong": {"kernel_size": (3, 2), "stride": (2, 1), "padding": (0, 2), "dilation": (2, 1)},
    "grouped": {"kernel_size": 3, "padding": 1, "groups": 2},
    "depthwise": {"kernel_size": 3, "padding": 2, "groups": 4, "dilation": 2, "bias": False},
    "even, same size": {"kernel_size": (4, 2), "padding": "same"},
    "even, dilated, same size": {"kernel_size": (2, 4), "padding": "same", "dilation": (3, 1)},
    "valid": {"kernel_size": 2, "padding": "valid", "stride": 3},
    "single": {"kernel_size": 1, "bias": False},
    "mostly padding": {"kernel_size": 2, "padding": 5, "stride": 4},
}


@pytest.mark.parametrize("options", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolution(options):
    layer = nn.Conv2d(C, 8, **options)
    record = traced(layer)
    for ledger in checked(record, "convolution", convolved(layer)):
        channel = ledger.index[0]
        weights = torch.tensor([term.weight for term in ledger.terms], dtype=torch.float64)
        assert torch.equal(weights, layer.weight[channel].detach().reshape(-1))
        assert sum(part.sum for part in ledger.channels) == pytest.approx(
            ledger.sum - (ledger.bias or 0.0), abs=1e-12
        )
        assert len(ledger.channels) == C // layer.groups
        first = channel // (8 // layer.groups) * len(ledger.channels)
        assert [part.channel for part in ledger.channels] == [
            first + i for i in range(len(ledger.channels))
        ]
        for term in ledger.terms:
            assert term.padding == (not inside(*term.index[1:]))


def test_linear_on_a_vector_and_over_the_last_axis():
    weight = torch.randn(5, C * H * W)
    record = traced(Function(lambda m, x: F.linear(x.flatten(1), m.w), w=weight))

    def dense(image, index):
        values = [value for rows in image for row in rows for value in row]
        return sum(float(weight[index[0], i]) * value for i, value in enumerate(values))

    checked(record, "linear", dense)
    layer = nn.Linear(W, 3)
    record = traced(layer)

    def last(image, index):
        channel, row, unit = index
        values = image[channel][row]
        return float(layer.bias[unit]) + sum(
            float(layer.weight[unit, i]) * value for i, value in enumerate(values)
        )

    checked(record, "linear", last)


def window(layer, image, index):
    """The values of a pool's window that lie in the input."""
    dilation = pair(getattr(layer, "dilation", 1))
    kernel, stride, padding = (pair(x) for x in (layer.kernel_size, layer.stride, layer.padding))
    spots = places(index[1:], kernel, stride, padding, dilation)
    return [image[index[0]][row][column] for *_, row, column in spots if inside(row, column)]


MAX_POOLS = {
    "2": {"kernel_size": 2},
    "overlapping": {"kernel_size": 3, "stride": 2, "padding": 1},
    "ceil": {"kernel_size": (3, 2), "stride": (2, 3), "ceil_mode": True},
    "dilated": {"kernel_size": 2, "stride": 1, "dilation": (3, 2), "padding": 1},
}


@pytest.mark.parametrize("options", MAX_POOLS.values(), ids=MAX_POOLS)
def test_max_pool(options):
    layer = nn.MaxPool2d(**options)
    record = traced(layer)
    ledgers = checked(record, "max_pool", lambda *at: max(window(layer, *at)))
    for ledger in ledgers:
        assert [t.value for t in ledger.terms if t.weight] == [ledger.sum]
        assert all(t.value == -math.inf and not t.weight for t in ledger.terms if t.padding)
        for entry, term in zip(ledger.as_json()["terms"], ledger.terms, strict=True):
            assert (entry["value"] is None) == term.padding


AVERAGE_POOLS = {
    "2": {"kernel_size": 2},
    "padded": {"kernel_size": 3, "stride": 2, "padding": 1},
    "padding not counted": {
        "kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False,
    },
    "ceil": {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    "ceil, not counted": {
        "kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True,
        "count_include_pad": False,
    },
    "divisor": {"kernel_size": (2, 3), "padding": 1, "divisor_override": 5},
}  # fmt: skip


@pytest.mark.parametrize("options", AVERAGE_POOLS.values(), ids=AVERAGE_POOLS)
def test_average_pool(options):
    layer = nn.AvgPool2d(**options)

    def twin(image, index):
        values = window(layer, image, index)
        if layer.divisor_override:
            return sum(values) / layer.divisor_override
        if not layer.count_include_pad:
            return sum(values) / len(values)
        # The padding counts; what ceil_mode looks at beyond it does not.
        kernel, stride, padding = (
            pair(x) for x in (layer.kernel_size, layer.stride, layer.padding)
        )
        spots = places(index[1:], kernel, stride, padding, (1, 1))
        counted = [1 for *_, r, c in spots if r < H + padding[0] and c < W + padding[1]]
        return sum(values) / len(counted)

    checked(traced(layer), "average_pool", twin)


def adaptive(sides):
    """The window of an adaptive pool: from floor(i n / o) to ceil((i + 1) n / o)."""

    def values(image, index):
        row, column = (*index, 0, 0)[1:3]
        rows = range(row * H // sides[0], math.ceil((row + 1) * H / sides[0]))
        columns = range(column * W // sides[1], math.ceil((column + 1) * W / sides[1]))
        return [image[index[0]][i][j] for i in rows for j in columns]

    return values


def mean(values):
    return sum(values) / len(values)


ADAPTIVE = {
    "average": (nn.AdaptiveAvgPool2d((4, 3)), (4, 3), mean),
    "average to 1": (nn.AdaptiveAvgPool2d(1), (1, 1), mean),
    "average to more": (nn.AdaptiveAvgPool2d((8, 9)), (8, 9), mean),
    "max": (nn.AdaptiveMaxPool2d((4, 5)), (4, 5), max),
    "mean": (Function(lambda m, x: x.mean((2, 3))), (1, 1), mean),
    "mean, axes kept": (Function(lambda m, x: x.mean([-1, -2], True)), (1, 1), mean),
    "amax": (Function(lambda m, x: x.amax((2, 3))), (1, 1), max),
}


@pytest.mark.parametrize("name", ADAPTIVE)
def test_adaptive_pools(name):
    layer, sides, chosen = ADAPTIVE[name]
    record = traced(layer)
    values = adaptive(sides)
    checked(record, record.graph.output, lambda *at: chosen(values(*at)))


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(affine):
    layer = nn.BatchNorm2d(C, affine=affine, eps=1e-3)
    layer.running_mean.normal_()
    layer.running_var.uniform_(0.5, 2)
    if affine:
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)

    def twin(image, index):
        c, row, column = index
        mean, variance = float(layer.running_mean[c]), float(layer.running_var[c])
        scaled = (image[c][row][column] - mean) / math.sqrt(variance + 1e-3)
        return scaled * float(layer.weight[c]) + float(layer.bias[c]) if affine else scaled

    record = traced(layer)
    for ledger in checked(record, "batch_norm", twin):
        assert ledger.details["mean"] == float(layer.running_mean[ledger.index[0]])
        assert ledger.details["variance"] == float(layer.running_var[ledger.index[0]])


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_local_response_norm(size):
    layer = nn.LocalResponseNorm(size, alpha=0.5, beta=0.6, k=1.5)

    def twin(image, index):
        c, row, column = index
        squares = 0.0
        for other in range(c - size // 2, c - size // 2 + size):
            squares += image[other][row][column] ** 2 if 0 <= other < C else 0.0
        return image[c][row][column] / (1.5 + 0.5 * squares / size) ** 0.6

    checked(traced(layer), "local_response_norm", twin)


def test_softmax_over_an_axis():
    def over_columns(image, index):
        values = image[index[0]][index[1]]
        return math.exp(values[index[2]]) / sum(math.exp(value) for value in values)

    checked(traced(nn.Softmax(-1)), "softmax", over_columns)

    def over_channels(image, index):
        values = [image[c][index[1]][index[2]] for c in range(C)]
        return math.exp(values[index[0]]) / sum(math.exp(value) for value in values)

    checked(traced(nn.Softmax2d()), "softmax", over_channels)


def test_softmax_and_cross_entropy_of_logits():
    targets = [4, 1]
    record = traced(nn.Flatten(), torch.tensor(targets), shape=(2, 3, 1))

    def probability(image, index):
        values = [value for rows in image for (value,) in rows]
        return math.exp(values[index[0]]) / sum(math.exp(value) for value in values)

    checked(record, "softmax", probability)
    images = record.images.tolist()
    for ledger in checked(
        record,
        "cross_entropy",
        lambda image, index: -math.log(probability(image, (targets[images.index(image)],))),
    ):
        assert ledger.kind is Kind.CROSS_ENTROPY
        assert ledger.details["target"] == targets[ledger.image]
