"""A captured network as a flat list of steps: all of them can be run, or those that a result needs.

A step is a call of one of torch's operations whose arguments are constants or the values of
earlier steps. Nothing is looked up or interpreted while it runs: on a tiny network that costs less
than calling the module.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

# Replaces a node's output.
Edit = Callable[[Tensor], Tensor]
# Called before each step with (steps done, all steps); what it raises ends the pass.
Watch = Callable[[int, int], None]


@dataclass(frozen=True)
class Slot:
    """A placeholder in a step's arguments for the value of an earlier step."""

    number: int


@dataclass(frozen=True)
class Step:
    """`values[slot] = call(*args, **kwargs)`; `slots` lists what the arguments refer to.

    A list that contains slots is stored as a tuple, so that constant lists need not be searched.
    """

    call: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    slot: int
    slots: tuple[int, ...]

    @cached_property
    def reads_batch_size(self) -> bool:
        """Whether this step reads only the number of images."""
        return self.slots == (0,) and self.call is torch.ops.aten.sym_size.int

    @cached_property
    def holes(self) -> tuple[tuple[int, int], ...]:
        """(position among the arguments, slot) of the arguments that are values."""
        return tuple((i, a.number) for i, a in enumerate(self.args) if type(a) is Slot)

    @cached_property
    def nested(self) -> tuple[int, ...]:
        """Positions of the arguments that are lists with values in them."""
        return tuple(i for i, a in enumerate(self.args) if type(a) is tuple)


def execute(step: Step, values: Sequence[Any]) -> Any:
    """The result of one step, with the values of all slots before it."""
    args = list(step.args)
    for position, slot in step.holes:
        args[position] = values[slot]
    for position in step.nested:
        args[position] = _filled(args[position], values)
    if not step.kwargs:
        return step.call(*args)
    return step.call(*args, **{name: _filled(a, values) for name, a in step.kwargs.items()})


def _filled(argument: Any, values: Sequence[Any]) -> Any:
    if type(argument) is Slot:
        return values[argument.number]
    if type(argument) is tuple:
        return [_filled(item, values) for item in argument]
    return argument


@dataclass(frozen=True)
class Plan:
    """The steps that some results need.

    Attributes:
        steps: in the order in which they run.
        release: for each step the slots whose values are not used after it.
        reads: the slots that must have a value before the first step.
        reads_batch_size: whether a step reads the number of images.
    """

    steps: tuple[Step, ...]
    release: tuple[tuple[int, ...], ...]
    reads: frozenset[int]
    reads_batch_size: bool


def needed_steps(steps: Sequence[Step], given: Collection[int], keep: Collection[int]) -> Plan:
    """The steps that compute the slots `keep` from the slots `given`; all others are left out."""
    needed, used_later = set(keep).difference(given), set(keep)
    chosen: list[Step] = []
    release: list[tuple[int, ...]] = []
    for step in reversed(steps):
        if step.slot not in needed:
            continue
        needed.remove(step.slot)
        if not step.reads_batch_size:
            needed.update(set(step.slots).difference(given))
        last_used = tuple(set(step.slots) - used_later)
        used_later.update(last_used)
        chosen.append(step)
        release.append(last_used)
    reads_batch_size = any(step.reads_batch_size for step in chosen)
    return Plan(tuple(chosen[::-1]), tuple(release[::-1]), frozenset(needed), reads_batch_size)


def run(
    plan: Plan,
    values: list[Any],
    *,
    edits: Mapping[int, Edit] | None = None,
    watch: Watch | None = None,
) -> list[Any]:
    """Computes the values of a plan's slots in place, and releases each after its last use."""
    for number, step in enumerate(plan.steps):
        if watch:
            watch(number, len(plan.steps))
        value = execute(step, values)
        if edits and step.slot in edits:
            value = edits[step.slot](value)
        values[step.slot] = value
        for slot in plan.release[number]:
            values[slot] = None
    return values
