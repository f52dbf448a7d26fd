"""When training ends and how the learning rate gets there. Pure functions of stored numbers."""

import math
from dataclasses import dataclass

from convscope.training.recipe import Optim

# The end of a run bounded by time before its speed is known: far off, the progress is about zero.
UNPLANNED = 1 << 50


@dataclass(frozen=True)
class Plan:
    """How far along each step is: `segments` of (first step, progress there, last step).

    A run bounded by epochs has one segment. A run bounded by time is planned anew now and then from
    the measured speed: the progress made stays, what remains is spread over the steps that remain.
    Replaying the stored segments gives the same learning rates again.
    """

    segments: tuple[tuple[int, float, int], ...]

    @property
    def planned(self) -> bool:
        """Whether the end is known: false until a time budget's first plan."""
        return self.total < UNPLANNED

    @property
    def total(self) -> int:
        """The number of steps in the whole run, as planned last."""
        return self.segments[-1][2]

    def progress(self, step: int) -> float:
        """The share of the schedule done before `step`, 0..1."""
        first, done, last = next(s for s in reversed(self.segments) if s[0] <= step)
        if last <= first:
            return 1.0
        return min(1.0, done + (1 - done) * (step - first) / (last - first))

    def replanned(self, step: int, total: int) -> "Plan":
        """The plan from `step` on, if the run is to end after `total` steps."""
        return Plan((*self.segments, (step, self.progress(step), max(total, step))))


@dataclass(frozen=True)
class Replay:
    """The plans that a run made, to be followed again at the same steps.

    Attributes:
        plans: (step, last step) in the order they were made.
        ended: the step at which the run was over: no other plans are made. None where it went on.
    """

    plans: tuple[tuple[int, int], ...] = ()
    ended: int | None = None

    def at(self, step: int) -> int | None:
        """The last step as planned at `step`, or None where no plan was made there."""
        return next((total for made, total in self.plans if made == step), None)

    def leads(self, step: int) -> bool:
        """Whether what happens after `step` is settled by the plans, and none is to be made."""
        return self.ended is not None or any(made >= step for made, _ in self.plans)


def learning_rate(optim: Optim, progress: float, drops: int = 0) -> float:
    """The rate at `progress` (0..1); `drops` is how often a plateau has divided it by ten.

    One-cycle goes up linearly during `warmup` and down to zero along a cosine; cosine starts at the
    peak (after a linear warm-up, if any); plateau and constant stay until divided.
    """
    peak = optim.learning_rate
    if optim.warmup and progress < optim.warmup and optim.schedule != "plateau":
        floor = 0.04 if optim.schedule == "one-cycle" else 0.0
        return peak * max(floor, progress / optim.warmup)
    if optim.schedule in ("one-cycle", "cosine"):
        along = (progress - optim.warmup) / (1 - optim.warmup)
        return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, along)))
    return peak * 0.1**drops
