"""The catalog of networks: build one by its name."""

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from convscope.base.errors import ConvscopeError
from convscope.images.preprocess import Preprocess
from convscope.nets.classifier import Classifier
from convscope.nets.initialise import initialise
from convscope.nets.mlp import MLP
from convscope.nets.vgg import BLOCKS, VGG

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Network:
    """A network of the catalog.

    Attributes:
        build: called as `build(num_classes=..., input_shape=..., **options)`.
        input_shape: default (channels, height, width).
        summary: one line for `convscope models`.
        sides: smallest and largest input side that training chooses from the images' size.
    """

    build: Callable[..., nn.Module]
    input_shape: Shape
    summary: str
    sides: tuple[int, int] = (224, 224)


def _vgg(name: str, summary: str) -> dict[str, Network]:
    build = partial(VGG, BLOCKS[name], local_response_norm=name.endswith("-lrn"))
    return {
        name: Network(build, (3, 224, 224), summary),
        f"{name}-bn": Network(
            partial(build, batch_norm=True), (3, 224, 224), f"{summary}, batch norm"
        ),
    }


def _small(name: str, summary: str, **options: Any) -> dict[str, Network]:
    build = partial(
        VGG,
        BLOCKS["vgg-small"],
        widths=(16, 32, 64),
        head=(128, 128),
        dropout=0.0,
        batch_norm=True,
        **options,
    )
    return {name: Network(build, (3, 32, 32), summary, (28, 64))}


NETWORKS: dict[str, Network] = {
    **_vgg("vgg11", "VGG configuration A"),
    **_vgg("vgg11-lrn", "VGG configuration A-LRN"),
    **_vgg("vgg13", "VGG configuration B"),
    **_vgg("vgg16-c", "VGG configuration C (1 x 1 convolutions)"),
    **_vgg("vgg16", "VGG configuration D"),
    **_vgg("vgg19", "VGG configuration E"),
    **_small("vgg-small", "three blocks of two convolutions, batch norm; for 28 to 96 pixels"),
    **_small("vgg-small-blur", "vgg-small with a low-pass filter in its pools", pooling="blur"),
    "mlp": Network(MLP, (3, 32, 32), "multilayer perceptron, three hidden layers of 128", (28, 64)),
}


def find(name: str) -> Network:
    """The entry of a name in the catalog, or of a user's function `package.module:function`.

    Raises:
        ConvscopeError: the name is unknown, or the function cannot be imported.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    if ":" in name:
        return Network(_import_function(name), (3, 224, 224), "your own", (28, 224))
    raise ConvscopeError(
        f"unknown model {name!r}; choose one of {', '.join(NETWORKS)}, "
        "or give your own as package.module:function"
    )


def build_module(
    name: str,
    *,
    num_classes: int | None,
    input_shape: Shape,
    init: str | None = None,
    **options: Any,
) -> nn.Module:
    """Builds the network `name`.

    Args:
        name: in the catalog, or `package.module:function`.
        num_classes: None builds the network without its head.
        input_shape: (channels, height, width).
        init: initialises the weights by this name. None keeps those of the constructor, as do
            users' own networks.
        **options: arguments of the network's constructor.

    Raises:
        ConvscopeError: an unknown name, initialisation or option, or an option out of range.
    """
    entry = find(name)
    try:
        inspect.signature(entry.build).bind(
            num_classes=num_classes, input_shape=input_shape, **options
        )
    except TypeError as error:
        known = set(inspect.signature(entry.build).parameters) - {"num_classes", "input_shape"}
        raise ConvscopeError(
            f"model {name!r}: {error}; its options are {', '.join(sorted(known - {'blocks'}))}"
        ) from None
    try:
        module = entry.build(num_classes=num_classes, input_shape=input_shape, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        if name not in NETWORKS:
            raise  # the user's own code: its traceback helps
        raise ConvscopeError(f"model {name!r} with {options}: {error}") from error
    if not isinstance(module, nn.Module):
        raise ConvscopeError(
            f"model {name!r}: the function returned {type(module).__name__}; "
            "it must return a torch.nn.Module"
        )
    if init is not None and name in NETWORKS:
        initialise(module, init)
    return module


def build_model(
    name: str,
    *,
    num_classes: int | None = 1000,
    input_shape: Shape | None = None,
    init: str = "he",
    seed: int | None = None,
    **options: Any,
) -> Classifier:
    """An untrained network as a Classifier, with mean and std 0.5 and classes named 0, 1, 2, ...

    Args:
        name: a name that `convscope models` lists, or your own function as
            `package.module:function`. The function is called with `num_classes`, `input_shape` and
            the options; the weights that it initialises are kept.
        num_classes: None builds the network without its head.
        input_shape: (channels, height, width); None takes the network's default.
        init: see `convscope.nets.initialise`.
        seed: None uses torch's global random generator. With a number, that generator is left
            unchanged.
        **options: arguments of the network, such as `widths`, `head`, `dropout`, `pooling`.

    Raises:
        ConvscopeError: an unknown name, initialisation or option.

    >>> model = build_model("vgg11", num_classes=10, input_shape=(1, 32, 32), seed=0)
    >>> len(model.class_names)
    10
    """
    shape = input_shape or find(name).input_shape
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        module = build_module(
            name, num_classes=num_classes, input_shape=shape, init=init, **options
        )
    preprocess = Preprocess(
        size=shape[1:],
        channels=shape[0],
        resize=min(shape[1:]),
        mean=(0.5,) * shape[0],
        std=(0.5,) * shape[0],
    )
    names = None if num_classes is None else tuple(str(i) for i in range(num_classes))
    return Classifier(name, module, preprocess, names)


def num_parameters(module: nn.Module) -> int:
    """The number of values in all parameters, frozen ones included."""
    return sum(parameter.numel() for parameter in module.parameters())


def _import_function(name: str) -> Callable[..., nn.Module]:
    module_name, _, attribute = name.partition(":")
    working_folder = str(Path.cwd())
    if working_folder not in sys.path:  # as `python -m` does
        sys.path.insert(0, working_folder)
    try:
        function: Any = getattr(importlib.import_module(module_name), attribute, None)
    except (ImportError, ValueError) as error:
        raise ConvscopeError(
            f"model {name!r}: cannot import {module_name} ({error}); "
            "give package.module:function, importable from the current folder"
        ) from error
    if callable(function):
        return cast("Callable[..., nn.Module]", function)
    raise ConvscopeError(f"model {name!r}: {module_name} has no function {attribute!r}")
