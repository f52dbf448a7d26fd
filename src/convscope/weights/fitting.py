"""Foreign names to the network's, foreign layouts to torch's, and what does not fit.

torchvision's names are ours. timm keeps the dense layers of VGG as convolutions under other names.
Keras has layers of kernel and bias, in the file's order where it tells one, else by name and
number; kernels are (rows, columns, in, out) and the first dense layer reads its maps as (row,
column, channel).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import isqrt, prod

import torch
from torch import Tensor, nn

from convscope.base.errors import WeightsError
from convscope.weights.foreign import Declared, Foreign, printable

_TIMM = {"pre_logits.fc1": 0, "pre_logits.fc2": 1, "head.fc": 2}
_HEADS = ("classifier.", "pre_logits.", "head.", "fc.")
_COUNTERS = "num_batches_tracked"
_KERAS_NORM = ("weight", "bias", "running_mean", "running_var")
_KERAS_LEAVES = {
    "kernel": "weight", "weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip
# The official VGG files are older than these names: block1_conv1/block1_conv1_W_1:0.
_KERAS_1 = re.compile(r".*_([Wb])(_\d+)?")
# Keras' batch norm adds 1e-3 to the variance, torch's 1e-5: the rest is put into the variance.
_EPSILON = 1e-3 - 1e-5


@dataclass(frozen=True)
class Take:
    """A tensor of the network, out of a file.

    Attributes:
        source: its name in the file.
        shape: its shape in torch's layout.
        change: from the file's layout to torch's.
        in_head: whether it belongs to a dense layer.
    """

    source: str
    shape: tuple[int, ...]
    change: Callable[[Tensor], Tensor]
    in_head: bool


@dataclass(frozen=True)
class Translation:
    """A file's tensors under the names of a network; what has none there keeps its own.

    Attributes:
        naming: whose names and layouts the file has: "torch" or "keras".
        takes: by the network's name.
        notes: what was changed on the way.
    """

    naming: str
    takes: Mapping[str, Take]
    notes: tuple[str, ...] = ()

    def num_classes(self, module: nn.Module) -> int | None:
        """The outputs of the last dense layer; None where the file has none."""
        names = layers(module, nn.Linear)
        last = self.takes.get(f"{names[-1]}.weight") if names else None
        return last.shape[0] if last is not None and len(last.shape) == 2 else None

    def maps_side(self, module: nn.Module) -> int | None:
        """The rows of the maps that the first dense layer reads; None where they are not square."""
        convolutions, dense = layers(module, nn.Conv2d), layers(module, nn.Linear)
        if not convolutions or not dense:
            return None
        last = self.takes.get(f"{convolutions[-1]}.weight")
        first = self.takes.get(f"{dense[0]}.weight")
        if last is None or first is None or len(first.shape) != 2 or not last.shape[:1]:
            return None
        return _side(first.shape[1], last.shape[0])


@dataclass(frozen=True)
class Fit:
    """How a file fits a network, by the network's names.

    Attributes:
        matched: tensors of the network that the file has.
        missing: those that it lacks.
        unexpected: what the network has no place for, by the file's names.
        wrong: what is of another shape or no number with a fraction, with the reason.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    wrong: tuple[str, ...]


def layers(module: nn.Module, kind: type[nn.Module]) -> list[str]:
    """The names of the layers of one kind, in order."""
    return [name for name, part in module.named_modules() if isinstance(part, kind)]


def translate(foreign: Foreign, module: nn.Module) -> Translation:
    """The tensors of a file in the names and layouts of `module`."""
    own, declared = set(module.state_dict()), foreign.declared
    known = own & declared.keys() or any(_timm(name) is not None for name in declared)
    if known or foreign.format.startswith(("torch", "safetensors")):
        return _from_torch(declared, module)
    keras = _from_keras(declared, module, in_order=foreign.in_order)
    return keras or _from_torch(declared, module)


def fit(translation: Translation, declared: Mapping[str, Declared], module: nn.Module) -> Fit:
    """Which tensors of `module` the file has, in the right shape; nothing is read."""
    own, takes = module.state_dict(), translation.takes
    matched, wrong = [], []
    for name, take in takes.items():
        if name not in own:
            continue
        if take.shape != tuple(own[name].shape):
            wrong.append(
                f"{_both(name, take)}: shape {take.shape}, the network has {tuple(own[name].shape)}"
            )
        elif own[name].is_floating_point() != declared[take.source].dtype.is_floating_point:
            kind = str(declared[take.source].dtype).removeprefix("torch.")
            wrong.append(f"{_both(name, take)}: numbers of type {kind}")
        else:
            matched.append(name)
    missing = [n for n in own if n not in takes and not n.endswith(_COUNTERS)]
    unexpected = [take.source for name, take in takes.items() if name not in own]
    return Fit(tuple(matched), tuple(missing), tuple(unexpected), tuple(wrong))


def require(
    found: Fit, translation: Translation, foreign: Foreign, about: str, *, headless: bool
) -> None:
    """Sees to it that a file fits.

    Raises:
        WeightsError: listing everything that is missing, unknown or of another shape; with
            `headless` the file's dense layers alone may be left over.
    """
    heads = {take.source for take in translation.takes.values() if take.in_head}
    lines = [f"{name}: missing in the file" for name in found.missing]
    lines += [
        f"{printable(name)}: not in the network {foreign.declared[name].shape}"
        for name in found.unexpected
        if not (headless and name in heads)
    ]
    lines += found.wrong
    if not lines:
        return
    remedy = "choose the --model that the weights are of"
    if found.missing and not heads and not headless:
        remedy = "the file has no dense layers: --headless imports the trunk alone"
    raise WeightsError(
        f"{foreign.path} does not fit {about}:\n" + "".join(f"  {x}\n" for x in lines) + remedy
    )


def load_into(module: nn.Module, translation: Translation, found: Fit, foreign: Foreign) -> None:
    """Copies the values that fit into `module`, one tensor at a time.

    Raises:
        WeightsError: naming the tensor, where values are NaN or infinite.
    """
    own = module.state_dict()
    with torch.no_grad():
        for name in found.matched:
            take = translation.takes[name]
            own[name].copy_(take.change(foreign.read(take.source)))
            values = own[name]
            if not values.is_floating_point() or not values.numel():
                continue
            if not all(torch.isfinite(end) for end in values.aminmax()):
                raise WeightsError(
                    f"{foreign.path}: {printable(take.source)} holds NaN or infinity; "
                    "it was saved by a training that failed: give another file"
                )


def _both(name: str, take: Take) -> str:
    return name if take.source == name else f"{name} ({printable(take.source)})"


def _side(inputs: int, channels: int) -> int | None:
    side = isqrt(inputs // channels) if channels else 0
    return side if side and side * side * channels == inputs else None


# torch's layout


def _from_torch(declared: Mapping[str, Declared], module: nn.Module) -> Translation:
    dense = layers(module, nn.Linear)
    takes, flat = {}, False
    for source, tensor in declared.items():
        place = _timm(source)
        name, shape, change = source, tensor.shape, _same
        if place is not None and len(dense) == len(_TIMM):
            name = f"{dense[place]}.{source.rsplit('.', 1)[1]}"
        if len(shape) == 4 and (place is not None or name.rpartition(".")[0] in dense):
            shape, change, flat = (
                (shape[0], prod(shape[1:])),
                partial(torch.flatten, start_dim=1),
                True,
            )
        in_head = source.startswith(_HEADS) or name.rpartition(".")[0] in dense
        takes[name] = Take(source, shape, change, in_head)
    notes = ("dense layers that the file keeps as convolutions were flattened",) if flat else ()
    return Translation("torch", takes, notes)


def _timm(name: str) -> int | None:
    return _TIMM.get(name.rpartition(".")[0])


def _same(values: Tensor) -> Tensor:
    return values


# Keras' layout


def _from_keras(
    declared: Mapping[str, Declared], module: nn.Module, *, in_order: bool
) -> Translation | None:
    """None where the names are not Keras'."""
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
    takes: dict[str, Take] = {}
    for kind, found in kinds.items():
        names = layers(module, kind)
        for index, parts in enumerate(found):
            for part, source in parts.items():
                name = f"{names[index]}.{part}" if index < len(names) else source
                after_maps = kind is nn.Linear and index == 0
                shape, change = _from_layout(
                    declared[source].shape, source, part, last if after_maps else None
                )
                takes[name] = Take(source, shape, change, kind is nn.Linear)
    turned = any(take.change is not _same for take in takes.values())
    order = "that the file lists them in" if in_order else "of their names and numbers"
    notes = [f"layers were taken in the order {order}"]
    if turned:
        notes.append("Keras' layouts were turned into torch's")
    if any(take.change is _with_epsilon for take in takes.values()):
        notes.append("0.00099 was added to each variance: Keras' batch norm has epsilon 0.001")
    return Translation("keras", takes, tuple(notes))


def _keras_layers(
    declared: Mapping[str, Declared], *, in_order: bool
) -> list[dict[str, str]] | None:
    """Each layer's tensors by torch's word for them: as declared, or by name and number."""
    found: dict[str, dict[str, str]] = {}
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
        found.setdefault(layer, {})[part] = source
    for layer, parts in found.items():
        if not all(part.isdecimal() for part in parts):
            continue
        first = declared[parts["0"]].shape if "0" in parts else ()
        words = _KERAS_NORM if len(first) < 2 else ("weight", "bias")
        if set(parts) - {str(i) for i in range(len(words))}:
            return None
        found[layer] = {words[int(part)]: source for part, source in parts.items()}
    return [found[layer] for layer in (found if in_order else sorted(found, key=_by_number))]


def _by_number(name: str) -> list[str | int]:
    """Orders `conv2d`, `conv2d_2`, `conv2d_10` as they were made: text and numbers alternate."""
    return [int(w) if i % 2 else w for i, w in enumerate(re.split(r"(\d+)", name))]


def _from_layout(
    shape: tuple[int, ...], source: str, part: str, maps: tuple[int, ...] | None
) -> tuple[tuple[int, ...], Callable[[Tensor], Tensor]]:
    """A Keras tensor's shape in torch's layout, and how it gets there."""
    if part == "running_var":
        return shape, _with_epsilon
    if source.endswith(".weight") or part != "weight" or len(shape) not in (2, 4):
        return shape, _same  # `.weight` in an .npz is torch's word and layout
    if len(shape) == 4:
        return (shape[3], shape[2], *shape[:2]), _from_hwio
    side = _side(shape[0], maps[-1]) if maps else None
    if maps and side and side > 1:
        return shape[::-1], partial(_from_hwc, side=side, channels=maps[-1])
    return shape[::-1], torch.t


def _from_hwio(values: Tensor) -> Tensor:
    return values.permute(3, 2, 0, 1)


def _from_hwc(values: Tensor, side: int, channels: int) -> Tensor:
    maps = values.reshape(side, side, channels, values.shape[1])
    return maps.permute(3, 2, 0, 1).reshape(values.shape[1], -1)


def _with_epsilon(values: Tensor) -> Tensor:
    return values.double() + _EPSILON
