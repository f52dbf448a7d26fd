"""How the networks of others see an image, by name; and the names of their classes, from a file."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convscope.base.errors import ConvscopeError
from convscope.images.preprocess import Preprocess

_LARGEST_LIST = 8 << 20


@dataclass(frozen=True)
class View:
    """Means and standard deviations of pixels / 255; `bgr`: the network reads blue, green, red."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr: bool = False


VIEWS: dict[str, View] = {
    # torchvision and timm
    "imagenet": View((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    # Caffe and Keras: pixels minus 103.939 (blue), 116.779 (green), 123.68 (red), not divided
    "caffe-bgr": View(
        (123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255), bgr=True
    ),
    "minus-one-to-one": View((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "unit": View((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
USUAL = {"torch": "imagenet", "keras": "caffe-bgr"}


def view_named(name: str) -> View:
    """The entry of `VIEWS`.

    Raises:
        ConvscopeError: an unknown name.
    """
    if name not in VIEWS:
        raise ConvscopeError(f"unknown preprocessing {name!r}; there are {', '.join(VIEWS)}")
    return VIEWS[name]


def preprocess_of(view: View, shape: tuple[int, int, int]) -> Preprocess:
    """The view at an input of channels x height x width, as what a run does with RGB pixels.

    At 224 x 224 the shorter side is brought to 256 first, at any other size to the input's own.

    Raises:
        ConvscopeError: the input is neither grey nor RGB, or the means are for RGB alone.
    """
    channels, *size = shape
    means, stds = view.mean, view.std
    if channels != 3:
        if channels != 1 or view.bgr or len(set(means)) > 1 or len(set(stds)) > 1:
            raise ConvscopeError(
                f"the network reads {channels} channels, the preprocessing three: choose "
                "--preprocess minus-one-to-one or unit for grey images"
            )
        means, stds = means[:1], stds[:1]
    side = 256 if size == [224, 224] else min(size)
    return Preprocess(size=(size[0], size[1]), channels=channels, resize=side, mean=means, std=stds)


def read_rgb_instead(module: nn.Module) -> None:
    """Turns the first convolution's input channels round, in place: BGR to RGB.

    So the pictures of filters have their true colours, and the outputs are the same.

    Raises:
        ConvscopeError: the first layer with weights is no convolution of three channels.
    """
    layer = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    if layer is None or layer.in_channels != 3 or layer.groups != 1:
        raise ConvscopeError(
            "--preprocess caffe-bgr needs a network that begins with a convolution of 3 channels"
        )
    with torch.no_grad():
        layer.weight.copy_(layer.weight.flip(1))


def class_names_in(path: Path, num_classes: int) -> tuple[str, ...]:
    """The names of classes: one a line, a JSON list, or Keras' `{"0": ["n01440764", "tench"]}`.

    ImageNet has two cranes and two maillots: a name that Keras' index has twice gets its number.

    Raises:
        ConvscopeError: naming `path`: it cannot be read, or is not one name for each class.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(_LARGEST_LIST + 1)
    except OSError as error:
        raise ConvscopeError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        names = _names(text.decode("utf-8-sig"))
    except (ValueError, KeyError, TypeError, RecursionError):
        names = None
    if names is None or len(text) > _LARGEST_LIST:
        raise ConvscopeError(
            f"{path} is no list of classes: give one name a line, a JSON list or Keras' class index"
        )
    if len(names) != num_classes:
        raise ConvscopeError(
            f"{path} has {len(names):,} names, the weights {num_classes:,} classes"
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice or not all(names):
        what = f"has {twice[0]!r} more than once" if twice else "has an empty name"
        raise ConvscopeError(f"{path} {what}; each class needs a name of its own")
    return tuple(names)


def _names(text: str) -> list[str] | None:
    if text.lstrip()[:1] not in ("[", "{"):
        return [line.strip() for line in text.rstrip().splitlines()]
    found: Any = json.loads(text)
    if isinstance(found, dict):
        found = [found[str(index)] for index in range(len(found))]
    pairs = [tuple(item) if isinstance(item, list) else (None, item) for item in found]
    if not all(len(pair) == 2 and isinstance(pair[1], str) for pair in pairs):
        return None
    counts = Counter(name for _, name in pairs)
    return [
        f"{name} {number}" if counts[name] > 1 and isinstance(number, str) else name
        for number, name in pairs
    ]
