"""The effective receptive field: the pixels that affect a unit most."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from convscope.base.errors import ConvscopeError
from convscope.base.tensors import Images
from convscope.graph.batching import batch_in_memory
from convscope.graph.graph import INPUT, Graph, Node
from convscope.graph.trace import checked

ImageMap = Float[Tensor, "height width"]


def effective_receptive_field(
    graph: Graph, images: Images, node_name: str, index: int | None = None
) -> ImageMap:
    """The sensitivity of the middle unit of a node's map to each pixel; sums to 1.

    The mean over the images of |d(activation) / d(pixel)|, summed over the colours: in most
    networks a bell much smaller than the receptive field. All zero where no image has a gradient.

    Args:
        graph: from `capture`.
        images: (batch, channels, height, width), preprocessed, of the captured size. With few
            images the result is noisy.
        node_name: a node with rows and columns; in maps of even size the unit below and right of
            the middle is taken.
        index: the channel; None takes the sum of all.

    Raises:
        ConvscopeError: for a node without rows and columns or without gradients, a channel or
            images that do not fit, a graph on the meta device.

    Source: Luo et al. 2016, arXiv 1701.04128, section 2; there the gradients of random images.
    """
    node = _checked(graph, node_name, index)
    images, _ = checked(graph, images, None)
    numbers = sum(math.prod(other.output_shape) for other in graph.nodes)
    total = torch.zeros(graph.input_shape[1:], dtype=torch.float64, device=graph.device)
    for chunk in images.split(batch_in_memory(numbers)):
        with torch.inference_mode(False), torch.enable_grad():
            pixels = chunk.clone().requires_grad_()
            output = graph.run({INPUT: pixels}, [node.name])[node.name]
            middle = output[:, :, node.output_shape[1] // 2, node.output_shape[2] // 2]
            if not middle.requires_grad:
                raise ConvscopeError(f"{node_name!r} has no gradient: nothing can be said of it")
            chosen = middle if index is None else middle[:, index]
            (gradient,) = torch.autograd.grad(chosen.sum(), pixels)
        total += gradient.abs().double().sum((0, 1))
    return (total / total.sum().clamp_min(torch.finfo(total.dtype).tiny)).to(images.dtype)


def _checked(graph: Graph, node_name: str, index: int | None) -> Node:
    node = graph[node_name]
    shape = node.output_shape
    if len(shape) != 3:
        places = [n.name for n in graph.nodes if len(n.output_shape) == 3 and n.name != INPUT]
        last = f"; the last node that has is {places[-1]!r}" if places else ""
        raise ConvscopeError(f"{node_name!r} gives {shape}, without rows and columns{last}")
    if index is not None and not 0 <= index < shape[0]:
        raise ConvscopeError(f"{node_name!r} has channels 0 to {shape[0] - 1}, not {index}")
    return node


def half_of_the_mass(mass: np.ndarray) -> int:
    """How many pixels, the most sensitive first, hold half of the gradient's mass (H, W)."""
    running = np.cumsum(np.sort(mass, axis=None)[::-1])
    return int(np.searchsorted(running, running[-1] / 2)) + 1 if running[-1] > 0 else 0
