"""Initial weights of a stage: random, from the previous stage, or from the VGG paper's net A."""

from typing import Literal

from torch import nn

from convscope.base.errors import ConvscopeError

_FIRST_CONVOLUTIONS = 4


def start_from(
    start: Literal["random", "previous", "net-a"], module: nn.Module, previous: nn.Module
) -> None:
    """Copies weights of the previous stage into `module`, in place.

    "net-a" copies the first four convolutions with their batch norms and the dense layers, as in
    the VGG paper (section 3.1). A layer of net A goes to the layer at the same position in the same
    block of the deeper net. The paper's "first four" layers of the deeper net cannot be meant,
    because their shapes differ.

    Raises:
        ConvscopeError: a layer has no counterpart of the same shape.
    """
    if start == "previous":
        _copy(previous, module)
    if start == "net-a":
        sources, targets = _layers_by_position(previous), _layers_by_position(module)
        first = sorted(key for key in sources if key[0] >= 0)[:_FIRST_CONVOLUTIONS]
        for key in [*first, *(key for key in sources if key[0] < 0)]:
            if key not in targets:
                raise ConvscopeError(
                    f"the network has no layer at (block, position) {key} for that of net A; "
                    "choose vgg11 to vgg19"
                )
            for source, target in zip(sources[key], targets[key], strict=True):
                _copy(source, target)


def _copy(source: nn.Module, target: nn.Module) -> None:
    try:
        target.load_state_dict(source.state_dict())
    except RuntimeError as error:
        raise ConvscopeError(f"a stage cannot start from the previous one: {error}") from None


def _layers_by_position(module: nn.Module) -> dict[tuple[int, int], list[nn.Module]]:
    """Convolutions with their batch norms by (block, position); dense layers by (-1, number)."""
    layers: dict[tuple[int, int], list[nn.Module]] = {}
    block, position, dense = 0, 0, 0
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layers[block, position] = [layer]
            position += 1
        elif isinstance(layer, nn.BatchNorm2d):
            layers[block, position - 1].append(layer)
        elif isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
            block, position = block + 1, 0
        elif isinstance(layer, nn.Linear):
            layers[-1, dense] = [layer]
            dense += 1
    return layers
