"""Multiply-adds: how many a training step needs by formula, and how many the machine can do."""

from collections.abc import Callable
from time import perf_counter

import torch
from torch import nn

_SIDE = 2048


def forward_multiply_adds(module: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """Of the convolutions and linear layers for one image, for a network of the VGG family.

    A convolution: output places x output channels x input channels x kernel area. A linear layer:
    inputs x outputs. Batch norm, ReLU, pools and the loss count nothing.
    """
    total, (_, height, width) = 0, input_shape
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            height, width = (
                (side + 2 * int(layer.padding[i]) - layer.kernel_size[i]) // layer.stride[i] + 1
                for i, side in enumerate((height, width))
            )
            per_place = layer.in_channels // layer.groups * layer.kernel_size[0]
            total += height * width * layer.out_channels * per_place * layer.kernel_size[1]
        elif isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
            height, width = height // 2, width // 2
        elif isinstance(layer, nn.Linear):
            total += layer.in_features * layer.out_features
    return total


def training_multiply_adds(module: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """Of one image in a training step: forward, gradient of the inputs, gradient of the weights.

    Three times the forward pass; the first layer needs no gradient of its input, which this counts
    all the same (under 2 % for the networks measured here).
    """
    return 3 * forward_multiply_adds(module, input_shape)


def matrix_product_rate(seconds: float) -> Callable[[], float]:
    """A contender: float32 multiply-adds a second of a 2048 x 2048 x 2048 product in torch."""
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(_SIDE, _SIDE, generator=generator)
    right = torch.randn(_SIDE, _SIDE, generator=generator)

    def run() -> float:
        began, count = perf_counter(), 0
        while perf_counter() - began < seconds:
            left @ right
            count += 1
        return count * _SIDE**3 / (perf_counter() - began)

    return run
