"""Random initialisation of weights, by name."""

from collections.abc import Callable

from torch import nn

from convscope.base.errors import ConvscopeError


def initialise(module: nn.Module, name: str) -> None:
    """Initialises all convolutions and linear layers at random, in module order; biases are zero.

    Raises:
        ConvscopeError: `name` is not in `INITIALISATIONS`.
    """
    if name not in INITIALISATIONS:
        known = ", ".join(INITIALISATIONS)
        raise ConvscopeError(f"unknown initialisation {name!r}; choose one of {known}")
    draw = INITIALISATIONS[name]
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            draw(layer)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _he(layer: nn.Conv2d | nn.Linear) -> None:
    """He normal, fan-out, for convolutions; N(0, std 0.01) for linear layers, as in torchvision.

    Source: He et al. 2015, "Delving Deep into Rectifiers", section 2.2.
    """
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    else:
        nn.init.normal_(layer.weight, 0, 0.01)


def _glorot(layer: nn.Conv2d | nn.Linear) -> None:
    """Uniform with variance 2 / (fan-in + fan-out), as a footnote of the VGG paper recommends.

    Source: Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward
    neural networks", equation 16.
    """
    nn.init.xavier_uniform_(layer.weight)


def _paper_text(layer: nn.Conv2d | nn.Linear) -> None:
    """N(0, variance 0.01), as the VGG paper says. The first logits of net A are near 1e8."""
    nn.init.normal_(layer.weight, 0, 0.1)


def _paper_caffe(layer: nn.Conv2d | nn.Linear) -> None:
    """N(0, standard deviation 0.01), as in the Caffe models of the VGG paper."""
    nn.init.normal_(layer.weight, 0, 0.01)


INITIALISATIONS: dict[str, Callable[[nn.Conv2d | nn.Linear], None]] = {
    "he": _he,
    "glorot": _glorot,
    "paper-text": _paper_text,
    "paper-caffe": _paper_caffe,
}
