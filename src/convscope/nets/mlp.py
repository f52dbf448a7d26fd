"""A multilayer perceptron: the baseline for convolutional networks."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from convscope.base.errors import ConvscopeError


class MLP(nn.Module):
    """An input for each pixel value, hidden layers with ReLU, an output for each class.

    `MLP((3, 224, 224), hidden=(128, 128, 128), num_classes=1000)` has 19,300,736 parameters before
    its output layer.

    Args:
        input_shape: (channels, height, width).
        hidden: the widths of the hidden layers.
        num_classes: None leaves out the output layer.
        dropout: probability after each hidden layer; 0 leaves dropout out.

    Raises:
        ConvscopeError: neither hidden layers nor an output layer.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        *,
        hidden: Sequence[int] = (128, 128, 128),
        num_classes: int | None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if num_classes is None and not hidden:
            raise ConvscopeError(
                "an mlp without a head needs at least one hidden layer; give hidden or num_classes"
            )
        inputs = input_shape[0] * input_shape[1] * input_shape[2]
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(inputs, width), nn.ReLU(inplace=True)]
            layers += [nn.Dropout(dropout)] if dropout else []
            inputs = width
        if num_classes is not None:
            layers.append(nn.Linear(inputs, num_classes))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes)."""
        return self.layers(torch.flatten(images, 1))
