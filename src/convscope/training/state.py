"""The state of a training run, from which it is continued exactly."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from convscope.base.errors import WeightsError


@dataclass(frozen=True)
class Position:
    """The position in a run: the part of its state that is plain numbers.

    Attributes:
        stage: index of the stage.
        epoch: epochs done in this stage.
        batch: batches done in this epoch.
        step: optimiser steps done in this stage.
        segments: of `convscope.training.schedule.Plan`.
        drops: how often a plateau has divided the learning rate.
        best_epoch: the epoch with the best validation result, from 1; 0 if there is none yet.
        best_top1: its accuracy, 0..1; -1 if there is none yet.
        best_loss: its mean cross-entropy.
        stale_epochs: epochs since the best one.
        plateau_epochs: epochs without gain since the last drop.
        seconds: training time so far.
        loss_sum: of the images in this epoch.
        correct: correct predictions in this epoch.
        seen: images in this epoch.
    """

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
        """The position from the values that `as_json` returned.

        Raises:
            WeightsError: keys are missing or unknown, or values have the wrong type.
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
    """A position with its tensors: weights, optimiser state and random generator state."""

    position: Position
    tensors: dict[str, Tensor]

    def weights(self) -> dict[str, Tensor]:
        """The module's `state_dict`."""
        return _with_prefix("module.", self.tensors)


def capture_state(position: Position, module: nn.Module, optimiser: torch.optim.Optimizer) -> State:
    """The state of a running training. Its tensors are not copied and change in the next step."""
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
    """Restores the weights, the optimiser and torch's random generator.

    Raises:
        WeightsError: the weights do not match the network. The message lists the keys.
    """
    load_weights(module, state.weights(), "the checkpoint")
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in _with_prefix("optimiser.", state.tensors).items():
        index, _, slot = name.partition(".")
        channels_last = torch.channels_last if value.ndim == 4 else torch.preserve_format
        slots.setdefault(int(index), {})[slot] = value.to(memory_format=channels_last)
    saved = optimiser.state_dict()
    optimiser.load_state_dict({"state": slots, "param_groups": saved["param_groups"]})
    torch.set_rng_state(state.tensors["generator"])
    if "generator.cuda" in state.tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(state.tensors["generator.cuda"])


def load_weights(module: nn.Module, weights: dict[str, Tensor], where: str) -> None:
    """Copies `weights` into `module`. All keys and shapes must match.

    Raises:
        WeightsError: keys are missing or unknown, or shapes differ. The message lists them.
    """
    expected = module.state_dict()
    mismatches = [f"{key}: missing" for key in expected if key not in weights]
    mismatches += [f"{key}: not in the network" for key in weights if key not in expected]
    mismatches += [
        f"{key}: shape {tuple(value.shape)}, the network has {tuple(expected[key].shape)}"
        for key, value in weights.items()
        if key in expected and expected[key].shape != value.shape
    ]
    if mismatches:
        raise WeightsError(f"{where} does not match the network:\n  " + "\n  ".join(mismatches))
    module.load_state_dict(weights)


def _with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
