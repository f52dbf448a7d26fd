"""The preprocessing that published weights expect, by name; and class names from a file."""

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
class PixelScaling:
    """How a network expects pixel values.

    Attributes:
        mean: of pixels / 255, in the order red, green, blue.
        std: of pixels / 255, in the same order.
        bgr: whether the network's input channels are blue, green, red.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr: bool = False


PREPROCESSINGS: dict[str, PixelScaling] = {
    # torchvision and timm
    "imagenet": PixelScaling((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    # Caffe and Keras: pixels minus 103.939 (blue), 116.779 (green), 123.68 (red), not divided
    "caffe-bgr": PixelScaling(
        (123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255), bgr=True
    ),
    "minus-one-to-one": PixelScaling((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "unit": PixelScaling((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
DEFAULT_PREPROCESSING = {"torch": "imagenet", "keras": "caffe-bgr"}


def pixel_scaling(name: str) -> PixelScaling:
    """The entry of `PREPROCESSINGS`.

    Raises:
        ConvscopeError: the name is unknown.
    """
    if name not in PREPROCESSINGS:
        raise ConvscopeError(
            f"unknown preprocessing {name!r}; choose one of {', '.join(PREPROCESSINGS)}"
        )
    return PREPROCESSINGS[name]


def preprocess_of(scaling: PixelScaling, shape: tuple[int, int, int]) -> Preprocess:
    """The preprocessing of grey or RGB images for an input of `shape` (channels, height, width).

    For 224 x 224 the shorter side is resized to 256 before the crop, for any other input to the
    input's shorter side.

    Raises:
        ConvscopeError: the input is neither grey nor RGB, or it is grey and the channels' means
            differ.
    """
    channels, *size = shape
    means, stds = scaling.mean, scaling.std
    if channels != 3:
        if channels != 1 or scaling.bgr or len(set(means)) > 1 or len(set(stds)) > 1:
            raise ConvscopeError(
                f"the network has {channels} input channels, but the preprocessing is for three: "
                "choose --preprocess minus-one-to-one or unit for grey images"
            )
        means, stds = means[:1], stds[:1]
    side = 256 if size == [224, 224] else min(size)
    return Preprocess(size=(size[0], size[1]), channels=channels, resize=side, mean=means, std=stds)


def bgr_to_rgb(module: nn.Module) -> None:
    """Reverses the input channels of the first convolution from BGR to RGB, in place.

    Then the network gives the same outputs for RGB images, and its filters are drawn in their true
    colours.

    Raises:
        ConvscopeError: the first convolution does not have three input channels.
    """
    layer = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    if layer is None or layer.in_channels != 3 or layer.groups != 1:
        raise ConvscopeError(
            "--preprocess caffe-bgr needs a network whose first convolution has 3 input channels"
        )
    with torch.no_grad():
        layer.weight.copy_(layer.weight.flip(1))


def class_names_in(path: Path, num_classes: int) -> tuple[str, ...]:
    """Reads class names: one per line, a JSON list, or Keras' `{"0": ["n01440764", "tench"]}`.

    ImageNet has two cranes and two maillots. A name that occurs twice in Keras' index is followed
    by its WordNet number.

    Raises:
        ConvscopeError: the file cannot be read, or does not have one unique name per class. The
            message names `path`.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(_LARGEST_LIST + 1)
    except OSError as error:
        raise ConvscopeError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        names = _parse_names(text.decode("utf-8-sig"))
    except (ValueError, KeyError, TypeError, RecursionError):
        names = None
    if names is None or len(text) > _LARGEST_LIST:
        raise ConvscopeError(
            f"{path} is not a list of classes: give one name per line, a JSON list or Keras' class "
            "index"
        )
    if len(names) != num_classes:
        raise ConvscopeError(
            f"{path} has {len(names):,} names, but the weights have {num_classes:,} classes"
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice or not all(names):
        what = f"has {twice[0]!r} more than once" if twice else "has an empty name"
        raise ConvscopeError(f"{path} {what}; each class needs a unique name")
    return tuple(names)


def _parse_names(text: str) -> list[str] | None:
    """The class names in one of the three formats; None if the JSON is of another form."""
    if text.lstrip()[:1] not in ("[", "{"):
        return [line.strip() for line in text.rstrip().splitlines()]
    entries: Any = json.loads(text)
    if isinstance(entries, dict):
        entries = [entries[str(index)] for index in range(len(entries))]
    pairs = [tuple(item) if isinstance(item, list) else (None, item) for item in entries]
    if not all(len(pair) == 2 and isinstance(pair[1], str) for pair in pairs):
        return None
    counts = Counter(name for _, name in pairs)
    return [
        f"{name} {number}" if counts[name] > 1 and isinstance(number, str) else name
        for number, name in pairs
    ]
