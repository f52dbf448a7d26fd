"""Where a stage's weights come from: nothing, the stage before, or the paper's net A."""

from typing import Literal

from torch import nn

from convscope.base.errors import ConvscopeError

_FIRST_CONVOLUTIONS = 4


def start_from(
    start: Literal["random", "previous", "net-a"], module: nn.Module, previous: nn.Module
) -> None:
    """Copies weights of the stage before into `module`, in place.

    "net-a" takes the first four convolutions (with their batch norms) and the dense layers, as the
    VGG paper does (section 3.1). Net A's layers go to those of the same block and place in the
    deeper net: the paper's "first four" cannot be meant by number, for the shapes differ.

    Raises:
        ConvscopeError: where a layer has no counterpart of its shape.
    """
    if start == "previous":
        _copy(previous, module)
    if start == "net-a":
        sources, targets = _places(previous), _places(module)
        first = sorted(place for place in sources if place[0] >= 0)[:_FIRST_CONVOLUTIONS]
        for place in [*first, *(place for place in sources if place[0] < 0)]:
            if place not in targets:
                raise ConvscopeError(f"the network has no layer at {place} to take from net A")
            for source, target in zip(sources[place], targets[place], strict=True):
                _copy(source, target)


def _copy(source: nn.Module, target: nn.Module) -> None:
    try:
        target.load_state_dict(source.state_dict())
    except RuntimeError as error:
        raise ConvscopeError(f"a stage cannot start from the one before: {error}") from None


def _places(module: nn.Module) -> dict[tuple[int, int], list[nn.Module]]:
    """(block, place in block) of each convolution with its batch norm; (-1, i) the dense layers."""
    places: dict[tuple[int, int], list[nn.Module]] = {}
    block, place, dense = 0, 0, 0
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            places[block, place] = [layer]
            place += 1
        elif isinstance(layer, nn.BatchNorm2d):
            places[block, place - 1].append(layer)
        elif isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
            block, place = block + 1, 0
        elif isinstance(layer, nn.Linear):
            places[-1, dense] = [layer]
            dense += 1
    return places
