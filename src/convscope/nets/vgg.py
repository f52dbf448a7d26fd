"""The VGG family: blocks of convolutions, each with a pooling layer, and a dense head.

Source: Simonyan & Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", table 1. Parameter names and shapes are torchvision's where it has the network.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from convscope.base.errors import ConvscopeError
from convscope.nets.blur import BlurPool

# Kernel sizes of the convolutions, one tuple per block.
BLOCKS: dict[str, tuple[tuple[int, ...], ...]] = {
    "vgg11": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "vgg11-lrn": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "vgg13": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "vgg16-c": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "vgg16": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "vgg19": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
    "vgg-small": ((3, 3), (3, 3), (3, 3)),
}


class VGG(nn.Module):
    """`features` (the blocks), `avgpool` (to the head's input size) and `classifier` (the head).

    Args:
        blocks: kernel sizes of the convolutions of each block.
        num_classes: None builds the network without a head: it ends with `features`.
        input_shape: (channels, height, width).
        widths: output channels of each block's convolutions.
        head: widths of the hidden dense layers.
        dropout: probability after each hidden dense layer.
        batch_norm: whether batch norm follows each convolution.
        local_response_norm: whether LRN follows the first ReLU.
        pooling: "max", "average" or "blur".

    Raises:
        ConvscopeError: the input is too small, `widths` does not match `blocks`, or `pooling` is
            unknown.
    """

    def __init__(
        self,
        blocks: Sequence[Sequence[int]],
        *,
        num_classes: int | None,
        input_shape: tuple[int, int, int],
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        head: Sequence[int] = (4096, 4096),
        dropout: float = 0.5,
        batch_norm: bool = False,
        local_response_norm: bool = False,
        pooling: str = "max",
    ) -> None:
        super().__init__()
        _check(blocks, input_shape, widths, pooling)
        self.features = _features(
            blocks, input_shape[0], widths, batch_norm, local_response_norm, pooling
        )
        self.avgpool = self.classifier = nn.Identity()
        if num_classes is not None:
            rows, columns = (side >> len(blocks) for side in input_shape[1:])
            # torchvision always pools to 7 x 7, which is the identity for inputs of 224. For other
            # sizes the head is built to match, so that no features are repeated or averaged.
            self.avgpool = nn.AdaptiveAvgPool2d((rows, columns))
            self.classifier = _head(widths[-1] * rows * columns, head, num_classes, dropout)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes); without a head, feature maps (batch, channels, h, w)."""
        maps = self.avgpool(self.features(images))
        if isinstance(self.classifier, nn.Identity):
            return maps
        return self.classifier(torch.flatten(maps, 1))


def _check(
    blocks: Sequence[Sequence[int]],
    input_shape: tuple[int, int, int],
    widths: Sequence[int],
    pooling: str,
) -> None:
    smallest = 1 << len(blocks)
    if min(input_shape[1:]) < smallest:
        raise ConvscopeError(
            f"an input of {input_shape[1]} x {input_shape[2]} is too small: "
            f"{len(blocks)} pooling layers need at least {smallest} x {smallest}"
        )
    if len(widths) != len(blocks):
        raise ConvscopeError(f"{len(blocks)} blocks need {len(blocks)} widths, got {list(widths)}")
    if pooling not in _POOLS:
        raise ConvscopeError(f"unknown pooling {pooling!r}; choose one of {', '.join(_POOLS)}")


def _features(
    blocks: Sequence[Sequence[int]],
    channels: int,
    widths: Sequence[int],
    batch_norm: bool,
    local_response_norm: bool,
    pooling: str,
) -> nn.Sequential:
    layers: list[nn.Module] = []
    for kernels, width in zip(blocks, widths, strict=True):
        for kernel in kernels:
            layers.append(nn.Conv2d(channels, width, kernel, padding=kernel // 2))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
            if local_response_norm and len(layers) < 4:
                # Krizhevsky et al. 2012: n = 5, k = 2, alpha = 1e-4, beta = 0.75. torch divides
                # alpha by n.
                layers.append(nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2))
            channels = width
        layers.append(_POOLS[pooling](width))
    return nn.Sequential(*layers)


def _head(inputs: int, hidden: Sequence[int], num_classes: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(inputs, width), nn.ReLU(inplace=True), nn.Dropout(dropout)]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, num_classes))


# Pooling layers that halve height and width, by the number of channels.
_POOLS: dict[str, Callable[[int], nn.Module]] = {
    "max": lambda _: nn.MaxPool2d(2, 2),
    "average": lambda _: nn.AvgPool2d(2, 2),
    "blur": BlurPool,
}
