"""Weights of another training, brought into a network, and modules that keep theirs."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convscope.base.errors import ConvscopeError, WeightsError
from convscope.nets.classifier import Classifier

ALL_BUT_LAST = "all-but-last"


@dataclass(frozen=True)
class Taken:
    """What a network took from a classifier, by the names of its tensors.

    Attributes:
        taken: copied whole.
        new: random, because the classifier has none of that name and shape.
        unused: the classifier's own that fit nowhere.
        classes: those whose row of the last dense layer was copied; they are in both, by name.
    """

    taken: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]
    classes: tuple[str, ...]


def take(module: nn.Module, source: Classifier, class_names: tuple[str, ...]) -> Taken:
    """Copies the weights of `source` into `module`, in place, by name and shape.

    Dense layers may differ: a layer of another shape stays as it is; of the last one the rows of
    the classes that both have are copied, and the others become zero.

    Source: Kolesnikov et al. 2020, "Big Transfer" (a new head starts at zero).

    Raises:
        WeightsError: listing everything below the dense layers that does not fit.
    """
    own, theirs = module.state_dict(), source.module.state_dict()
    dense = _dense(module)
    head = dense[-1] if dense else None
    fitting = {k for k, v in theirs.items() if k in own and own[k].shape == v.shape}
    if source.class_names != class_names:  # the last layer's rows mean other classes
        fitting -= {f"{head}.weight", f"{head}.bias"}
    loose = tuple(f"{name}." for name in {*dense, *_dense(source.module)})
    wrong = [
        f"{key}: {_shape(theirs, key)} in the weights, {_shape(own, key)} in the network"
        for key in dict.fromkeys([*own, *theirs])
        if key not in fitting and not key.startswith(loose)
    ]
    if wrong or not fitting:
        raise WeightsError(
            f"the weights of {source.name} do not fit the network:\n  "
            + "\n  ".join(wrong or ["no tensor has the same name and shape"])
        )
    with torch.no_grad():
        for key in fitting:
            own[key].copy_(theirs[key])
        if head is not None and f"{head}.weight" not in fitting:
            own[f"{head}.weight"].zero_()  # random rows on features of any scale: a loss of 20
        classes = _copy_rows(own, theirs, head, source.class_names or (), class_names)
    if source.class_names == class_names and f"{head}.weight" in fitting:
        classes = class_names
    return Taken(
        tuple(key for key in own if key in fitting),
        tuple(key for key in own if key not in fitting),
        tuple(key for key in theirs if key not in fitting),
        classes,
    )


def _copy_rows(
    own: dict[str, Tensor],
    theirs: dict[str, Tensor],
    head: str | None,
    source_names: tuple[str, ...],
    class_names: tuple[str, ...],
) -> tuple[str, ...]:
    weight, bias = f"{head}.weight", f"{head}.bias"
    known = [name for name in class_names if name in source_names]
    fits = weight in own and weight in theirs and own[weight].shape[1:] == theirs[weight].shape[1:]
    if not fits or source_names == class_names or len(theirs[weight]) != len(source_names):
        return ()
    for name in known:
        row, place = source_names.index(name), class_names.index(name)
        own[weight][place] = theirs[weight][row]
        if bias in own and bias in theirs:
            own[bias][place] = theirs[bias][row]
    return tuple(known)


def freeze(module: nn.Module, names: tuple[str, ...]) -> list[nn.Module]:
    """Keeps the parameters of the named modules as they are; gives these modules.

    Args:
        module: changed in place: its frozen parameters ask for no gradient.
        names: of modules, as `features` or `features.0`; or "all-but-last": everything but the
            last dense layer. The modules are to be kept in eval mode, so that batch norm keeps its
            statistics too.

    Raises:
        ConvscopeError: no module of that name, or nothing left to train.
    """
    found: list[nn.Module] = []
    modules = dict(module.named_modules())
    for name in names:
        if name == ALL_BUT_LAST:
            last = next(iter(reversed(_dense(module))), None)
            if last is None:
                raise ConvscopeError("freeze all-but-last: the network has no dense layer")
            found += [p for path, p in modules.items() if path != last and not list(p.children())]
            module.requires_grad_(False)
            modules[last].requires_grad_(True)
        elif name in modules and name:
            found.append(modules[name])
        else:
            there = ", ".join(path for path, _ in module.named_children())
            raise ConvscopeError(f"freeze: no module {name!r}; there are {there}, and those inside")
    for part in found:
        part.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ConvscopeError(f"freeze {', '.join(names)}: nothing is left to train")
    return found


def _dense(module: nn.Module) -> list[str]:
    """The names of the dense layers, in order."""
    return [name for name, part in module.named_modules() if isinstance(part, nn.Linear)]


def _shape(tensors: dict[str, Tensor], key: str) -> str:
    return str(tuple(tensors[key].shape)) if key in tensors else "nothing"
