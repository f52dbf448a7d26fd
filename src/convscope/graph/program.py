"""A captured network as a flat list of steps, and how to run it.

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

Edit = Callable[[Tensor], Tensor]
Watch = Callable[[int, int], None]


@dataclass(frozen=True)
class Slot:
    """Stands in a step's arguments for the value of an earlier step."""

    number: int


@dataclass(frozen=True)
class Step:
    """`values[slot] = call(*args, **kwargs)`; `slots` lists what the arguments refer to.

    A list with slots in it is a tuple here, so that constant lists need not be looked into.
    """

    call: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    slot: int
    slots: tuple[int, ...]

    @cached_property
    def holes(self) -> tuple[tuple[int, int], ...]:
        """(place among the arguments, slot) of those that are values; found once."""
        return tuple((i, a.number) for i, a in enumerate(self.args) if type(a) is Slot)

    @cached_property
    def nested(self) -> tuple[int, ...]:
        """Places of the arguments that are lists with values in them."""
        return tuple(i for i, a in enumerate(self.args) if type(a) is tuple)


def execute(step: Step, values: Sequence[Any]) -> Any:
    """The result of one step, with the values of all slots before it."""
    args = list(step.args)
    for place, slot in step.holes:
        args[place] = values[slot]
    for place in step.nested:
        args[place] = _filled(args[place], values)
    if not step.kwargs:
        return step.call(*args)
    return step.call(*args, **{name: _filled(a, values) for name, a in step.kwargs.items()})


def _filled(argument: Any, values: Sequence[Any]) -> Any:
    if type(argument) is Slot:
        return values[argument.number]
    if type(argument) is tuple:
        return [_filled(item, values) for item in argument]
    return argument


def run(
    steps: Sequence[Step],
    values: list[Any],
    *,
    edits: Mapping[int, Edit] | None = None,
    release: Sequence[Sequence[int]] | None = None,
    watch: Watch | None = None,
) -> list[Any]:
    """Fills in the values of `steps`, in place; `release` says which to let go after each step."""
    for number, step in enumerate(steps):
        if watch:
            watch(number, len(steps))
        value = execute(step, values)
        if edits and step.slot in edits:
            value = edits[step.slot](value)
        values[step.slot] = value
        if release:
            for slot in release[number]:
                values[slot] = None
    return values


def releases(steps: Sequence[Step], keep: Collection[int]) -> list[list[int]]:
    """For each step the slots that no later step reads and that are not in `keep`."""
    seen = set(keep)
    done = []
    for step in reversed(steps):
        last = [slot for slot in {*step.slots, step.slot} if slot not in seen]
        seen.update(last)
        done.append(last)
    return done[::-1]


def evaluate(steps: Sequence[Step], given: Mapping[int, Any], num_slots: int) -> list[Any]:
    """The values after some steps alone, from the values `given` to slots before them."""
    values: list[Any] = [None] * num_slots
    for slot, value in given.items():
        values[slot] = value
    with torch.no_grad():
        return run(steps, values)
