"""Ledgers as text, to be followed with pencil and paper."""

import pytest
import torch
from torch import nn

from convscope.graph.capture import capture
from convscope.graph.ledger.arithmetic import arithmetic
from convscope.graph.ledger.ledger import worked
from convscope.graph.trace import trace
from convscope.images.kernels import EXAMPLE, KERNELS
from ledgers import Function


def traced(module, images, targets=None):
    return trace(capture(module.eval(), images), images, targets)


def convolution(*channels, bias=None):
    layer = nn.Conv2d(len(channels), 1, 3, padding=1, bias=bias is not None)
    with torch.no_grad():
        layer.weight[0] = torch.stack([torch.as_tensor(kernel).float() for kernel in channels])
        if bias is not None:
            layer.bias.fill_(bias)
    return layer


def test_the_guides_first_cell():
    layer = nn.Conv2d(1, 1, 3, bias=False)
    with torch.no_grad():
        layer.weight[0, 0] = torch.as_tensor(KERNELS["sobel-left"])
    record = traced(layer, torch.as_tensor(EXAMPLE).float()[None, None])
    ledger = arithmetic(record, "convolution", (0, 0, 0))
    kernel = [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
    assert torch.equal(layer.weight[0, 0], torch.tensor(kernel).float())
    patch = [[str(int(EXAMPLE[row][column])) for column in range(3)] for row in range(3)]
    wide = max(len(cell) for row in patch for cell in row)
    rows = [
        f"    {' '.join(c.rjust(wide) for c in row)}  {'·' if i == 1 else ' '}  "
        f"{' '.join(str(k).rjust(2) for k in kernel[i])}{' = 3' if i == 1 else ''}"
        for i, row in enumerate(patch)
    ]
    share = f"of the sum of the terms' magnitudes, {int(ledger.scale)} (allowed 2e-06)"
    assert str(ledger).split("\n") == [
        "convolution [0, 0, 0] · convolution · Σ weight · value",
        "  input channel 0: patch · kernel",
        *rows,
        "  3",
        "  the formula gives 3 (float64)",
        "  the tensor says   3 ✓",
        f"  difference 0: 0.0e+00 {share}",
    ]
    products = [abs(k * int(x)) for ks, xs in zip(kernel, patch, strict=True)
                for k, x in zip(ks, xs, strict=True)]  # fmt: skip
    assert ledger.scale == sum(products)


def test_a_convolution_with_padding():
    ones, steps = torch.ones(3, 3), torch.arange(9).reshape(3, 3)
    layer = convolution(ones, steps, -ones, 2 * ones, bias=-0.5)
    images = torch.stack([torch.arange(9.0).reshape(3, 3) * (c + 1) for c in range(4)])[None]
    ledger = arithmetic(traced(layer, images), "convolution", (0, 0, 0))
    # Channel by channel: 0 1 3 4 times 1, 2, 3, 4, under a kernel whose last four are inside.
    assert str(ledger) == (
        "convolution [0, 0, 0] · convolution · Σ weight · value + bias\n"
        "  input channel 1: patch · kernel\n"
        "    [0] [0] [0]     0 1 2\n"
        "    [0]   0   2  ·  3 4 5 = 116\n"
        "    [0]   6   8     6 7 8\n"
        "  input channel 2: patch · kernel\n"
        "    [0] [0] [0]     -1 -1 -1\n"
        "    [0]   0   3  ·  -1 -1 -1 = -24\n"
        "    [0]   9  12     -1 -1 -1\n"
        "  input channel 3: patch · kernel\n"
        "    [0] [0] [0]     2 2 2\n"
        "    [0]   0   4  ·  2 2 2 = 64\n"
        "    [0]  12  16     2 2 2\n"
        "  the other 1 input channels 8\n"
        "  [0] is padding: it lies outside of the input\n"
        "  116 + (-24) + 64 + 8 + bias (-0.5)\n"
        "  the formula gives 163.5 (float64, bias -0.5 included)\n"
        "  the tensor says   163.5 ✓\n"
        "  difference 0: 0.0e+00 of the sum of the terms' magnitudes, 212.5 (allowed 2e-06)"
    )
    assert "the other" not in worked(ledger, channels=4)
    assert worked(ledger, channels=4).count("patch · kernel") == 4


def test_a_max_pool():
    images = torch.tensor([[0.25, 3.0], [-1.0, 2.0]])[None, None]
    ledger = arithmetic(traced(nn.MaxPool2d(2, 1, 1), images), "max_pool", (0, 0, 1))
    assert str(ledger) == (
        "max_pool [0, 0, 1] · max pool · the largest value (weight 1)\n"
        "  input [0, -1, 0] (padding): 0 · -inf = 0\n"
        "  input [0, -1, 1] (padding): 0 · -inf = 0\n"
        "  input [0, 0, 0]: 0 · 0.25 = 0\n"
        "  input [0, 0, 1]: 1 · 3 = 3\n"
        "  the formula gives 3 (float64)\n"
        "  the tensor says   3 ✓\n"
        "  difference 0: 0.0e+00 of the sum of the terms' magnitudes, 3 (allowed 2e-06)"
    )


def test_batch_norm():
    layer = nn.BatchNorm2d(1, eps=0.75)
    with torch.no_grad():
        layer.running_mean.fill_(1)
        layer.running_var.fill_(3.25)
        layer.weight.fill_(4)
        layer.bias.fill_(-0.5)
    images = torch.full((1, 1, 1, 1), 2.5)
    ledger = arithmetic(traced(layer, images), "batch_norm", (0, 0, 0))
    assert str(ledger) == (
        "batch_norm [0, 0, 0] · batch norm · gamma · (value - mean) / √(variance + eps) + beta\n"
        "  input [0, 0, 0]: 2 · 2.5 = 5\n"
        "  bias -2.5\n"
        "  mean 1 · variance 3.25 · gamma 4 · beta -0.5 · eps 0.75\n"
        "  the formula gives 2.5 (float64, bias -2.5 included)\n"
        "  the tensor says   2.5 ✓\n"
        "  difference 0: 0.0e+00 of the sum of the terms' magnitudes, 7.5 (allowed 2e-06)"
    )


def test_softmax_and_cross_entropy():
    images = torch.full((1, 20, 1, 1), -1e3)
    images[0, 3:6, 0, 0] = torch.tensor([2.0, 2.0, -1e4])
    record = traced(nn.Flatten(), images, torch.tensor([19]))
    lines = str(arithmetic(record, "softmax", 5)).split("\n")
    assert lines[0] == ("softmax [5] · softmax · weight / Σ weight, weight = exp(value - largest)")
    assert "  0 [3]: value 2, weight 1" in lines or "  flatten [3]: value 2, weight 1" in lines
    assert any("[5]: value -10000, weight 0" in line for line in lines)  # its own, though it is 0
    assert "  and 8 more terms" in lines
    assert "  largest 2 · total 2" in lines
    lines = str(arithmetic(record, "cross_entropy", ())).split("\n")
    assert lines[0].startswith("cross_entropy · cross entropy · log Σ weight + largest")
    assert any("[19]: value -1000, weight 0" in line for line in lines)
    assert "  largest 2 · total 2 · target 19 · probability 0" in lines
    assert lines[-3] == "  the formula gives 1002.69315 (float64)"


def test_many_terms_are_summed_up():
    layer = nn.Linear(100, 1)
    with torch.no_grad():
        layer.weight[0] = torch.arange(100.0)
        layer.bias.fill_(7)
    module = nn.Sequential(nn.Flatten(), layer)
    ledger = arithmetic(traced(module, torch.ones(1, 1, 10, 10)), "1", 0)
    lines = str(ledger).split("\n")
    assert [line for line in lines if " · 1 = " in line] == [
        f"  0 [{i}]: {i} · 1 = {i}" for i in range(88, 100)
    ]
    assert "  and 88 more terms, together 3828" in lines
    assert "  bias 7" in lines
    assert "more terms" not in worked(ledger, terms=100)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_no_numbers(number):
    record = traced(Function(lambda m, x: x * 2), torch.full((1, 1, 1, 1), number))
    lines = str(arithmetic(record, "multiply", (0, 0, 0))).split("\n")
    assert f"  input [0, 0, 0]: 2 · {number} = {number}" in lines
    assert f"  the tensor says   {number} " in lines[-2]


def test_a_difference_is_shown():
    layer = nn.Conv2d(1, 1, 1, bias=False)
    record = traced(layer, torch.full((1, 1, 1, 1), 3.0))
    with torch.no_grad():
        layer.weight += 1
    text = str(arithmetic(record, "convolution", (0, 0, 0)))
    assert "✗ they differ" in text
    assert "✓" not in text
