"""Transfer learning: copy pretrained weights into a network, and freeze modules."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convscope.base.errors import ConvscopeError, WeightsError
from convscope.nets.classifier import Classifier

ALL_BUT_LAST = "all-but-last"


@dataclass(frozen=True)
class TransferredWeights:
    """Which tensors of a network were copied from a classifier, by name.

    Attributes:
        taken: tensors that were copied.
        new: tensors that keep their initial values, because the classifier has none of that name
            and shape.
        unused: tensors of the classifier that were not copied.
        classes: classes, known to both, whose row of the last dense layer was copied.
    """

    taken: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]
    classes: tuple[str, ...]


def transfer_weights(
    module: nn.Module, source: Classifier, class_names: tuple[str, ...]
) -> TransferredWeights:
    """Copies the weights of `source` into `module`, in place, by name and shape.

    Dense layers may differ: one of another shape keeps its initial values. In the last dense layer
    the rows of the classes that both networks have are copied, and the others become zero.

    Source: Kolesnikov et al. 2020, "Big Transfer" (a new head starts at zero).

    Args:
        module: the network to train.
        source: the pretrained classifier.
        class_names: of the network to train.

    Raises:
        WeightsError: tensors below the dense layers do not match. The message lists them.
    """
    target_state, source_state = module.state_dict(), source.module.state_dict()
    dense = _dense_layers(module)
    head = dense[-1] if dense else None
    copied = {
        key
        for key, value in source_state.items()
        if key in target_state and target_state[key].shape == value.shape
    }
    if source.class_names != class_names:  # the rows of the last layer belong to other classes
        copied -= {f"{head}.weight", f"{head}.bias"}
    may_differ = tuple(f"{name}." for name in {*dense, *_dense_layers(source.module)})
    mismatches = [
        f"{key}: {_shape(source_state, key)} in the weights, "
        f"{_shape(target_state, key)} in the network"
        for key in dict.fromkeys([*target_state, *source_state])
        if key not in copied and not key.startswith(may_differ)
    ]
    if mismatches or not copied:
        raise WeightsError(
            f"the weights of {source.name} do not match the network:\n  "
            + "\n  ".join(mismatches or ["no tensor has the same name and shape"])
        )
    with torch.no_grad():
        for key in copied:
            target_state[key].copy_(source_state[key])
        if head is not None and f"{head}.weight" not in copied:
            # Zero, because random rows on features of any scale began with a loss of 20.
            target_state[f"{head}.weight"].zero_()
        classes = _copy_rows(
            target_state, source_state, head, source.class_names or (), class_names
        )
    if source.class_names == class_names and f"{head}.weight" in copied:
        classes = class_names
    return TransferredWeights(
        tuple(key for key in target_state if key in copied),
        tuple(key for key in target_state if key not in copied),
        tuple(key for key in source_state if key not in copied),
        classes,
    )


def _copy_rows(
    target_state: dict[str, Tensor],
    source_state: dict[str, Tensor],
    head: str | None,
    source_names: tuple[str, ...],
    class_names: tuple[str, ...],
) -> tuple[str, ...]:
    """Copies the last dense layer's rows of the classes in both; returns these classes."""
    weight, bias = f"{head}.weight", f"{head}.bias"
    known = [name for name in class_names if name in source_names]
    same_inputs = (
        weight in target_state
        and weight in source_state
        and target_state[weight].shape[1:] == source_state[weight].shape[1:]
    )
    if not same_inputs or source_names == class_names:
        return ()
    if len(source_state[weight]) != len(source_names):
        return ()
    for name in known:
        source_row, target_row = source_names.index(name), class_names.index(name)
        target_state[weight][target_row] = source_state[weight][source_row]
        if bias in target_state and bias in source_state:
            target_state[bias][target_row] = source_state[bias][source_row]
    return tuple(known)


def freeze(module: nn.Module, names: tuple[str, ...]) -> list[nn.Module]:
    """Freezes the parameters of the named modules, and returns these modules.

    The caller must keep the returned modules in eval mode, so that the statistics of batch norm do
    not change either.

    Args:
        module: the network. `requires_grad` of the frozen parameters is set to false.
        names: of modules, such as `features` or `features.0`; or "all-but-last" for everything
            except the last dense layer.

    Raises:
        ConvscopeError: there is no module of that name, or nothing is left to train.
    """
    frozen: list[nn.Module] = []
    modules = dict(module.named_modules())
    for name in names:
        if name == ALL_BUT_LAST:
            last = next(iter(reversed(_dense_layers(module))), None)
            if last is None:
                raise ConvscopeError("freeze all-but-last: the network has no dense layer")
            frozen += [p for path, p in modules.items() if path != last and not list(p.children())]
            module.requires_grad_(False)
            modules[last].requires_grad_(True)
        elif name in modules and name:
            frozen.append(modules[name])
        else:
            allowed = ", ".join(path for path, _ in module.named_children())
            raise ConvscopeError(
                f"freeze: no module {name!r}; choose one of {allowed}, or one inside these"
            )
    for part in frozen:
        part.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ConvscopeError(
            f"freeze {', '.join(names)}: nothing is left to train; freeze fewer modules"
        )
    return frozen


def _dense_layers(module: nn.Module) -> list[str]:
    """The names of the dense layers, in order."""
    return [name for name, part in module.named_modules() if isinstance(part, nn.Linear)]


def _shape(tensors: dict[str, Tensor], key: str) -> str:
    return str(tuple(tensors[key].shape)) if key in tensors else "nothing"
