"""Where a training run stands, complete enough to continue it exactly."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from convscope.base.errors import WeightsError


@dataclass(frozen=True)
class Position:
    """Plain numbers: how far training is, the plan, the best so far, the time spent."""

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0
    segments: tuple[tuple[int, float, int], ...] = ((0, 0.0, 1),)
    drops: int = 0
    best_epoch: int = 0
    best_top1: float = -1.0
    best_loss: float = float("inf")
    stale_epochs: int = 0
    plateau_epochs: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0

    def as_json(self) -> dict[str, Any]:
        """JSON-ready values; an infinite loss becomes null."""
        values = asdict(self)
        values["best_loss"] = None if self.best_loss == float("inf") else self.best_loss
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Position":
        """What `as_json` wrote.

        Raises:
            WeightsError: for missing or unknown keys.
        """
        try:
            loss = values["best_loss"]
            segments = tuple((int(a), float(b), int(c)) for a, b, c in values["segments"])
            fixed = {"best_loss": float("inf") if loss is None else loss, "segments": segments}
            return cls(**{**values, **fixed})
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"the checkpoint's position cannot be read: {error}") from None


@dataclass(frozen=True)
class State:
    """A position with the tensors that belong to it: weights, optimiser, random generator."""

    position: Position
    tensors: dict[str, Tensor]

    def weights(self) -> dict[str, Tensor]:
        """The module's `state_dict`."""
        return _under("module.", self.tensors)


def capture_state(position: Position, module: nn.Module, optimiser: torch.optim.Optimizer) -> State:
    """The state of a running training. Tensors are shared, not copied: store them at once."""
    tensors = {f"module.{name}": value for name, value in module.state_dict().items()}
    for index, values in optimiser.state_dict()["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimiser.{index}.{name}"] = value
    tensors["generator"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["generator.cuda"] = torch.cuda.get_rng_state()
    return State(position, tensors)


def restore_state(state: State, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Puts weights, optimiser state and torch's random generator back.

    Raises:
        WeightsError: where they do not fit, listing the keys.
    """
    load_weights(module, state.weights(), "the checkpoint")
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in _under("optimiser.", state.tensors).items():
        index, _, slot = name.partition(".")
        channels_last = torch.channels_last if value.ndim == 4 else torch.preserve_format
        slots.setdefault(int(index), {})[slot] = value.to(memory_format=channels_last)
    saved = optimiser.state_dict()
    optimiser.load_state_dict({"state": slots, "param_groups": saved["param_groups"]})
    torch.set_rng_state(state.tensors["generator"])
    if "generator.cuda" in state.tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(state.tensors["generator.cuda"])


def load_weights(module: nn.Module, weights: dict[str, Tensor], where: str) -> None:
    """Copies `weights` into `module`; all keys and shapes must fit.

    Raises:
        WeightsError: listing every key that is missing, unknown or of another shape.
    """
    own = module.state_dict()
    wrong = [f"{key}: missing" for key in own if key not in weights]
    wrong += [f"{key}: not in the network" for key in weights if key not in own]
    wrong += [
        f"{key}: shape {tuple(value.shape)}, the network has {tuple(own[key].shape)}"
        for key, value in weights.items()
        if key in own and own[key].shape != value.shape
    ]
    if wrong:
        raise WeightsError(f"{where} does not fit the network:\n  " + "\n  ".join(wrong))
    module.load_state_dict(weights)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
