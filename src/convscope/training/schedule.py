"""The plan of a run's length and the learning-rate schedule, as pure functions."""

import math
from dataclasses import dataclass

from convscope.training.recipe import Optim

# The last step of a run with a time budget before its speed is measured. It is so large that the
# progress is about zero.
UNPLANNED = 1 << 50


@dataclass(frozen=True)
class Plan:
    """The progress of a run as a function of the step.

    A run limited by epochs has one segment. A run limited by time gets a new segment from time to
    time, based on the measured speed: the progress so far is kept, and the rest is distributed
    evenly over the remaining steps. The same segments give the same learning rates.

    Attributes:
        segments: (first step, progress at this step, last step of the run), in order.
    """

    segments: tuple[tuple[int, float, int], ...]

    @property
    def planned(self) -> bool:
        """Whether the last step is known: false until the first plan of a time budget."""
        return self.total < UNPLANNED

    @property
    def total(self) -> int:
        """The number of steps of the run by the latest plan."""
        return self.segments[-1][2]

    def progress(self, step: int) -> float:
        """The share of the schedule done before `step`, 0..1."""
        first, done, last = next(s for s in reversed(self.segments) if s[0] <= step)
        if last <= first:
            return 1.0
        return min(1.0, done + (1 - done) * (step - first) / (last - first))

    def replanned(self, step: int, total: int) -> "Plan":
        """This plan with another segment: from `step` on, the run is to end after `total` steps."""
        return Plan((*self.segments, (step, self.progress(step), max(total, step))))


@dataclass(frozen=True)
class Replay:
    """The plans of an earlier run, which are replayed at the same steps.

    A run with a time budget depends on the speed of the machine only through these plans.

    Attributes:
        plans: (step, last step of the run), in the order in which they were made.
        ended: the step at which the earlier run was complete; None if it was interrupted.
    """

    plans: tuple[tuple[int, int], ...] = ()
    ended: int | None = None

    def at(self, step: int) -> int | None:
        """The last step of the run by the plan made at `step`; None if none was made there."""
        return next((total for made, total in self.plans if made == step), None)

    def covers(self, step: int) -> bool:
        """Whether the stored plans determine the run after `step`, so that no new one is made."""
        return self.ended is not None or any(made >= step for made, _ in self.plans)


def learning_rate(optim: Optim, progress: float, drops: int = 0) -> float:
    """The learning rate at `progress` (0..1).

    "one-cycle" rises linearly during `warmup` and falls to zero along a cosine. "cosine" starts at
    the peak, after a linear warm-up if there is one. "plateau" and "constant" are constant, divided
    by ten `drops` times.
    """
    peak = optim.learning_rate
    if optim.warmup and progress < optim.warmup and optim.schedule != "plateau":
        floor = 0.04 if optim.schedule == "one-cycle" else 0.0
        return peak * max(floor, progress / optim.warmup)
    if optim.schedule in ("one-cycle", "cosine"):
        along = (progress - optim.warmup) / (1 - optim.warmup)
        return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, along)))
    return peak * 0.1**drops
