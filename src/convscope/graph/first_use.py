"""Which parameters each node is the first to use: what makes tied weights count once.

Apart from `cost`, as tables for notebooks need it too, and a graph needs those.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from convscope.graph.program import Step


def first_uses(
    node_steps: Mapping[str, Sequence[Step]],
    constant_steps: Sequence[Step],
    tensors: Mapping[int, Tensor],
) -> dict[str, tuple[int, ...]]:
    """For each node the slots of the parameters that no node before it uses.

    Args:
        node_steps: the steps of each node, in the order in which nodes run.
        constant_steps: steps that depend on parameters alone; what a weight is computed from is
            used where that weight is.
        tensors: what the slots of parameters and buffers hold. Only an `nn.Parameter` is looked
            for; one that stands in several slots is found in one.
    """
    read_by = {step.slot: step.slots for step in constant_steps}
    seen: set[int] = set()
    found: dict[str, tuple[int, ...]] = {}
    for name, steps in node_steps.items():
        first = []
        waiting = [slot for step in steps for slot in step.slots]
        looked_at = set()
        while waiting:
            slot = waiting.pop(0)
            if slot in looked_at:
                continue
            looked_at.add(slot)
            waiting += read_by.get(slot, ())
            tensor = tensors.get(slot)
            if isinstance(tensor, nn.Parameter) and id(tensor) not in seen:
                seen.add(id(tensor))
                first.append(slot)
        found[name] = tuple(first)
    return found
