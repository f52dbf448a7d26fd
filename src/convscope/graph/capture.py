"""Capture a module as a graph. Everything that inspects a network reads the graph."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from convscope.base.errors import ConvscopeError
from convscope.graph.graph import Graph
from convscope.graph.stored import graph_key, read_graph, write_graph

# torch.export has global state: two exports at once fail.
_ONE_AT_A_TIME = threading.Lock()


def capture(module: nn.Module, example: Tensor) -> Graph:
    """The graph of `module` in eval mode, for images of the example's size.

    Works on the meta device too, where a summary needs no memory. The graph refers to the module's
    own parameters; the module is left as it was. Every input size needs its own capture; the batch
    size is free. While a capture runs (0.4 s for VGG-16) the module is in eval mode, and warnings
    of other threads are suppressed too. Networks of torch's own layers are captured once: their
    graphs are stored in the cache folder, see `stored`.

    Args:
        module: any `torch.nn.Module` that takes one batch of images and that `torch.export` can
            read; its output is the logits (batch, classes), or feature maps for a trunk. Of
            several outputs it is the first (batch, classes), else the first; the graph ends there.
        example: images (batch, channels, height, width); their values do not matter.

    Raises:
        ConvscopeError: for an example that is not a batch of images.
        CaptureError: naming the line that cannot be captured, and the remedy.

    >>> graph = capture(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), torch.zeros(1, 3, 9, 9))
    >>> [(node.name, node.output_shape) for node in graph.nodes]
    [('input', (3, 9, 9)), ('0', (8, 7, 7)), ('1', (8, 7, 7))]
    """
    if not isinstance(module, nn.Module):
        raise ConvscopeError(
            f"capture takes a torch.nn.Module, got {type(module).__name__}; of a Classifier give "
            "its .module"
        )
    if not isinstance(example, Tensor):
        raise ConvscopeError(
            f"capture takes a tensor as example, got {type(example).__name__}; for an array "
            "torch.from_numpy(...)"
        )
    if example.ndim != 4 or 0 in example.shape:
        raise ConvscopeError(
            f"capture needs an example (batch, channels, height, width), got {tuple(example.shape)}"
        )
    module = _unwrapped(module)
    parameter = next(module.parameters(), None)
    device = example.device if parameter is None else parameter.device
    # With a batch of one, the graph would only work for single images.
    pair = torch.zeros((2, *example.shape[1:]), dtype=example.dtype, device=device)
    key = graph_key(module, pair)
    graph = None if key is None else read_graph(key, module)
    if graph is None:
        from convscope.graph.export import exported  # noqa: PLC0415 (seconds)

        with _ONE_AT_A_TIME, evaluating(module):
            graph = exported(module, pair)
        if key is not None:
            write_graph(key, graph, module)
    return graph


def _unwrapped(module: nn.Module) -> nn.Module:
    """The network inside `torch.compile` or a data-parallel wrapper."""
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    inner = module.module if isinstance(module, parallel) else module._modules.get("_orig_mod")
    return module if inner is None else _unwrapped(inner)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode inside the block; afterwards each part has its previous mode."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
