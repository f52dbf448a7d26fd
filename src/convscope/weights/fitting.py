"""Map the tensors of a weights file to a network: names, layouts, and mismatches.

The networks of the catalog have the tensor names of torchvision. timm stores the dense layers of
VGG as convolutions with other names. Keras stores a kernel and a bias per layer, in the order of
the layers or, in other formats, by name and number. Its kernels are (rows, columns, in, out), and
its first dense layer flattens the feature maps as (row, column, channel).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import isqrt, prod

import torch
from torch import Tensor, nn

from convscope.base.errors import WeightsError
from convscope.weights.weights_file import TensorInfo, WeightsFile, printable

_TIMM = {"pre_logits.fc1": 0, "pre_logits.fc2": 1, "head.fc": 2}
_HEADS = ("classifier.", "pre_logits.", "head.", "fc.")
_COUNTERS = "num_batches_tracked"
_KERAS_NORM = ("weight", "bias", "running_mean", "running_var")
_KERAS_LEAVES = {
    "kernel": "weight", "weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip
# Keras 1, which wrote the official VGG files, has names such as block1_conv1/block1_conv1_W_1:0.
_KERAS_1 = re.compile(r".*_([Wb])(_\d+)?")
# Batch norm adds 1e-3 to the variance in Keras and 1e-5 in torch. The variance gets the difference.
_EPSILON = 1e-3 - 1e-5


@dataclass(frozen=True)
class TensorSource:
    """Where a tensor of the network comes from in the file.

    Attributes:
        source: the name in the file.
        shape: the shape in torch's layout.
        change: converts the values from the file's layout to torch's.
        in_head: whether the tensor belongs to a dense layer.
    """

    source: str
    shape: tuple[int, ...]
    change: Callable[[Tensor], Tensor]
    in_head: bool


@dataclass(frozen=True)
class Translation:
    """The tensors of a file by their names in a network.

    Attributes:
        naming: the convention of the file's names and layouts, "torch" or "keras".
        sources: by the name in the network. A tensor without a counterpart there keeps its name.
        notes: what was converted, a sentence each.
    """

    naming: str
    sources: Mapping[str, TensorSource]
    notes: tuple[str, ...] = ()

    def num_classes(self, module: nn.Module) -> int | None:
        """The outputs of the last dense layer; None if the file has no dense layer."""
        names = layer_names(module, nn.Linear)
        last = self.sources.get(f"{names[-1]}.weight") if names else None
        return last.shape[0] if last is not None and len(last.shape) == 2 else None

    def maps_side(self, module: nn.Module) -> int | None:
        """The side of the feature maps that the first dense layer reads; None if not square."""
        convolutions, dense = layer_names(module, nn.Conv2d), layer_names(module, nn.Linear)
        if not convolutions or not dense:
            return None
        last = self.sources.get(f"{convolutions[-1]}.weight")
        first = self.sources.get(f"{dense[0]}.weight")
        if last is None or first is None or len(first.shape) != 2 or not last.shape[:1]:
            return None
        return _map_side(first.shape[1], last.shape[0])


@dataclass(frozen=True)
class WeightsMatch:
    """Which tensors of a file and a network match.

    Attributes:
        matched: names in the network of tensors that the file has.
        missing: names in the network of tensors that the file lacks.
        unexpected: names in the file of tensors that the network lacks.
        mismatched: tensors of another shape or type, each with the reason.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]


def layer_names(module: nn.Module, kind: type[nn.Module]) -> list[str]:
    """The names of all layers of a type, in module order."""
    return [name for name, part in module.named_modules() if isinstance(part, kind)]


def translate(weights_file: WeightsFile, module: nn.Module) -> Translation:
    """Finds the names and layouts of the file's tensors in `module`. No values are read."""
    expected, declared = set(module.state_dict()), weights_file.declared
    known = expected & declared.keys() or any(_timm(name) is not None for name in declared)
    if known or weights_file.format.startswith(("torch", "safetensors")):
        return _from_torch(declared, module)
    keras = _from_keras(declared, module, in_order=weights_file.in_order)
    return keras or _from_torch(declared, module)


def match_weights(
    translation: Translation, declared: Mapping[str, TensorInfo], module: nn.Module
) -> WeightsMatch:
    """Compares names, shapes and types of the file's tensors with `module`. No values are read."""
    expected, sources = module.state_dict(), translation.sources
    matched, mismatched = [], []
    for name, tensor in sources.items():
        if name not in expected:
            continue
        shape = tuple(expected[name].shape)
        if tensor.shape != shape:
            mismatched.append(
                f"{_both_names(name, tensor)}: shape {tensor.shape}, the network has {shape}"
            )
        elif expected[name].is_floating_point() != declared[tensor.source].dtype.is_floating_point:
            kind = str(declared[tensor.source].dtype).removeprefix("torch.")
            mismatched.append(f"{_both_names(name, tensor)}: numbers of type {kind}")
        else:
            matched.append(name)
    missing = [n for n in expected if n not in sources and not n.endswith(_COUNTERS)]
    unexpected = [tensor.source for name, tensor in sources.items() if name not in expected]
    return WeightsMatch(tuple(matched), tuple(missing), tuple(unexpected), tuple(mismatched))


def check_match(
    match: WeightsMatch,
    translation: Translation,
    weights_file: WeightsFile,
    about: str,
    *,
    headless: bool,
) -> None:
    """Checks that a file matches a network.

    Args:
        match: the comparison.
        translation: of the file's tensors.
        weights_file: the file.
        about: the network, for the message.
        headless: whether the file may have dense layers that the network lacks.

    Raises:
        WeightsError: the file does not match. The message lists all tensors that are missing,
            unknown or of another shape.
    """
    heads = {tensor.source for tensor in translation.sources.values() if tensor.in_head}
    lines = [f"{name}: missing in the file" for name in match.missing]
    lines += [
        f"{printable(name)}: not in the network {weights_file.declared[name].shape}"
        for name in match.unexpected
        if not (headless and name in heads)
    ]
    lines += match.mismatched
    if not lines:
        return
    remedy = "choose the --model that the weights belong to"
    if match.missing and not heads and not headless:
        remedy = "the file has no dense layers: use --headless to import only the trunk"
    raise WeightsError(
        f"{weights_file.path} does not match {about}:\n"
        + "".join(f"  {x}\n" for x in lines)
        + remedy
    )


def load_into(
    module: nn.Module, translation: Translation, match: WeightsMatch, weights_file: WeightsFile
) -> None:
    """Copies the values of all matched tensors into `module`, one tensor at a time.

    Raises:
        WeightsError: values are NaN or infinite. The message names the tensor.
    """
    tensors = module.state_dict()
    with torch.no_grad():
        for name in match.matched:
            tensor = translation.sources[name]
            tensors[name].copy_(tensor.change(weights_file.read(tensor.source)))
            values = tensors[name]
            if not values.is_floating_point() or not values.numel():
                continue
            if not all(torch.isfinite(end) for end in values.aminmax()):
                raise WeightsError(
                    f"{weights_file.path}: {printable(tensor.source)} contains NaN or infinity, "
                    "probably because the training diverged; give another file"
                )


def _both_names(name: str, tensor: TensorSource) -> str:
    return name if tensor.source == name else f"{name} ({printable(tensor.source)})"


def _map_side(inputs: int, channels: int) -> int | None:
    """The side of square feature maps with `inputs` values in all channels; None if not square."""
    side = isqrt(inputs // channels) if channels else 0
    return side if side and side * side * channels == inputs else None


# torch's layout


def _from_torch(declared: Mapping[str, TensorInfo], module: nn.Module) -> Translation:
    dense = layer_names(module, nn.Linear)
    sources, flat = {}, False
    for source, tensor in declared.items():
        number = _timm(source)
        name, shape, change = source, tensor.shape, _unchanged
        if number is not None and len(dense) == len(_TIMM):
            name = f"{dense[number]}.{source.rsplit('.', 1)[1]}"
        if len(shape) == 4 and (number is not None or name.rpartition(".")[0] in dense):
            shape, change, flat = (
                (shape[0], prod(shape[1:])),
                partial(torch.flatten, start_dim=1),
                True,
            )
        in_head = source.startswith(_HEADS) or name.rpartition(".")[0] in dense
        sources[name] = TensorSource(source, shape, change, in_head)
    notes = ("dense layers that the file stores as convolutions were flattened",) if flat else ()
    return Translation("torch", sources, notes)


def _timm(name: str) -> int | None:
    """The number of the dense layer to which a tensor of timm's VGG belongs; else None."""
    return _TIMM.get(name.rpartition(".")[0])


def _unchanged(values: Tensor) -> Tensor:
    return values


# Keras' layout


def _from_keras(
    declared: Mapping[str, TensorInfo], module: nn.Module, *, in_order: bool
) -> Translation | None:
    """The translation of a Keras file; None if the names are not those of Keras.

    Keras' names say nothing about the network, so layers are matched by type and order.
    """
    grouped = _keras_layers(declared, in_order=in_order)
    if grouped is None:
        return None
    kinds: dict[type[nn.Module], list[dict[str, str]]] = {
        nn.Conv2d: [], nn.BatchNorm2d: [], nn.Linear: []
    }  # fmt: skip
    for parts in grouped:
        dimensions = len(declared[parts["weight"]].shape) if "weight" in parts else 0
        kind = {4: nn.Conv2d, 2: nn.Linear}.get(dimensions, nn.BatchNorm2d)
        kinds[kind].append(parts)
    last = declared[kinds[nn.Conv2d][-1]["weight"]].shape if kinds[nn.Conv2d] else (0,)
    sources: dict[str, TensorSource] = {}
    for kind, file_layers in kinds.items():
        names = layer_names(module, kind)
        for index, parts in enumerate(file_layers):
            for part, source in parts.items():
                name = f"{names[index]}.{part}" if index < len(names) else source
                after_maps = kind is nn.Linear and index == 0
                shape, change = _from_layout(
                    declared[source].shape, source, part, last if after_maps else None
                )
                sources[name] = TensorSource(source, shape, change, kind is nn.Linear)
    converted = any(tensor.change is not _unchanged for tensor in sources.values())
    order = "in the order of the file" if in_order else "in the order of their names and numbers"
    notes = [f"layers were matched {order}"]
    if converted:
        notes.append("Keras' layouts were converted to torch's")
    if any(tensor.change is _with_epsilon for tensor in sources.values()):
        notes.append("0.00099 was added to each variance: Keras' batch norm has epsilon 0.001")
    return Translation("keras", sources, tuple(notes))


def _keras_layers(
    declared: Mapping[str, TensorInfo], *, in_order: bool
) -> list[dict[str, str]] | None:
    """Each layer's tensor names in the file, by torch's names; None if these are not Keras' names.

    The layers are in the file's order, or in the order of their names and numbers.
    """
    names_of: dict[str, dict[str, str]] = {}
    for source in declared:
        path = re.split(r"[/.]", source.removesuffix(":0"))
        leaf = path[-1]
        if path[-2:-1] == ["vars"] and leaf.isdecimal():
            layer, part = "/".join(path[:-2]), leaf
        elif leaf in _KERAS_LEAVES:
            layer, part = "/".join(path[:-1]), _KERAS_LEAVES[leaf]
        elif old := _KERAS_1.fullmatch(leaf):
            layer, part = "/".join(path[:-1]), {"W": "weight", "b": "bias"}[old[1]]
        else:
            return None
        names_of.setdefault(layer, {})[part] = source
    for layer, parts in names_of.items():
        if not all(part.isdecimal() for part in parts):
            continue
        # Keras 3 numbers a layer's tensors; only batch norm begins with a vector.
        first = declared[parts["0"]].shape if "0" in parts else ()
        words = _KERAS_NORM if len(first) < 2 else ("weight", "bias")
        if set(parts) - {str(i) for i in range(len(words))}:
            return None
        names_of[layer] = {words[int(part)]: source for part, source in parts.items()}
    ordered = names_of if in_order else sorted(names_of, key=_by_number)
    return [names_of[layer] for layer in ordered]


def _by_number(name: str) -> list[str | int]:
    """A sort key in natural order: `conv2d`, `conv2d_2`, `conv2d_10`."""
    return [int(w) if i % 2 else w for i, w in enumerate(re.split(r"(\d+)", name))]


def _from_layout(
    shape: tuple[int, ...], source: str, part: str, maps: tuple[int, ...] | None
) -> tuple[tuple[int, ...], Callable[[Tensor], Tensor]]:
    """A Keras tensor's shape in torch's layout, and the conversion to it."""
    if part == "running_var":
        return shape, _with_epsilon
    if source.endswith(".weight") or part != "weight" or len(shape) not in (2, 4):
        return shape, _unchanged  # a name in `.weight` has torch's layout already
    if len(shape) == 4:
        return (shape[3], shape[2], *shape[:2]), _from_hwio
    side = _map_side(shape[0], maps[-1]) if maps else None
    if maps and side and side > 1:
        return shape[::-1], partial(_from_hwc, side=side, channels=maps[-1])
    return shape[::-1], torch.t


def _from_hwio(values: Tensor) -> Tensor:
    """Converts a kernel (rows, columns, in, out) to (out, in, rows, columns)."""
    return values.permute(3, 2, 0, 1)


def _from_hwc(values: Tensor, side: int, channels: int) -> Tensor:
    """Reorders a dense layer's inputs from (row, column, channel) to (channel, row, column)."""
    maps = values.reshape(side, side, channels, values.shape[1])
    return maps.permute(3, 2, 0, 1).reshape(values.shape[1], -1)


def _with_epsilon(values: Tensor) -> Tensor:
    return values.double() + _EPSILON
