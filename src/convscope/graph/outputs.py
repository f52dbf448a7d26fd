"""The outputs of chosen nodes alone, as fast as can be: no further than the last of them."""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from convscope.base.tensors import Images
from convscope.graph.graph import Graph
from convscope.graph.program import releases, run


def outputs(graph: Graph, images: Images, names: Collection[str]) -> dict[str, Tensor]:
    """What some nodes give for a batch, (batch, *node.output_shape) each, bit-equal to a trace's.

    Nothing behind the last of them runs, and all other values are let go after their last use. A
    batch of one is run as two: alone, an image takes another way through the processor's kernels
    and differs in the last bits; from two on, the size of the batch changes no convolution's bits.

    Args:
        graph: from `capture`, with weights.
        images: (batch, channels, height, width), preprocessed, of the captured size.
        names: of nodes.

    Raises:
        ConvscopeError: for an unknown name.
    """
    slots = {graph[name].name: graph.node_slots[name] for name in names}
    last = max((_done(graph, slot) for slot in slots.values()), default=0)
    steps = graph.steps[:last]
    count = len(images)
    if count == 1:
        images = images.expand(2, -1, -1, -1).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        values: list[Any] = [None] * graph.num_slots
        for name, tensor in graph.tensors.items():
            values[graph.tensor_slots[name]] = tensor
        values[0] = images.to(graph.device)
        run(steps, values, release=releases(steps, set(slots.values())))
        return {name: values[slot][:count] for name, slot in slots.items()}


def _done(graph: Graph, slot: int) -> int:
    """How many steps have run when a slot has its value."""
    return next((number for number, step in enumerate(graph.steps, 1) if step.slot == slot), 0)
