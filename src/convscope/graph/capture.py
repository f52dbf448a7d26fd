"""A module to a graph: export by torch, and what to say where that fails.

Everything that looks at a network reads the graph; no module hooks anywhere.
"""

import logging
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from convscope.base.errors import CaptureError, ConvscopeError
from convscope.graph.graph import Graph
from convscope.graph.lower import lower, writes_to_shared_memory

# torch.export keeps state of its own: two at once fail.
_ONE_AT_A_TIME = threading.Lock()
_TALKING = (
    "torch", "torch._export", "torch.export", "torch._subclasses.fake_tensor",
    "torch.fx.experimental.symbolic_shapes",
)  # fmt: skip
_LIBRARY = str(Path(torch.__file__).parent)


def capture(module: nn.Module, example: Tensor) -> Graph:
    """The graph of `module` in eval mode, for images of the example's size.

    Works on the meta device too, where a summary needs no memory. The graph refers to the module's
    own parameters; the module is left as it was. Every input size needs its own capture; the batch
    size is free. While a capture runs, which takes 0.3 s for VGG-16, the module is in eval mode.

    Args:
        module: any `torch.nn.Module` that takes one batch of images and that `torch.export` can
            read; its output, or the first tensor of it, are the logits (batch, classes), or
            feature maps for a trunk.
        example: images (batch, channels, height, width); their values do not matter.

    Raises:
        ConvscopeError: for an example that is no batch of images.
        CaptureError: naming the line that cannot be captured, and the remedy.

    >>> graph = capture(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), torch.zeros(1, 3, 9, 9))
    >>> [(node.name, node.output_shape) for node in graph.nodes]
    [('input', (3, 9, 9)), ('0', (8, 7, 7)), ('1', (8, 7, 7))]
    """
    if example.ndim != 4 or 0 in example.shape:
        raise ConvscopeError(
            f"capture needs an example (batch, channels, height, width), got {tuple(example.shape)}"
        )
    parameter = next(module.parameters(), None)
    device = example.device if parameter is None else parameter.device
    # A batch of one would make the graph one for single images.
    pair = torch.zeros((2, *example.shape[1:]), dtype=example.dtype, device=device)
    with _ONE_AT_A_TIME, _quiet(), evaluating(module):
        program = _exported(module, pair)
        if writes_to_shared_memory(program.graph):
            program = program.run_decompositions({})
    return lower(program, module)


def _exported(module: nn.Module, pair: Tensor) -> ExportedProgram:
    try:
        return torch.export.export(module, (pair,), dynamic_shapes=({0: Dim("batch")},))
    except Exception as error:  # torch raises many kinds, and user code any
        line = _line(error)
        if "Constraints violated" in str(error):
            raise CaptureError(_fixed_batch(module, pair)) from error
        raise CaptureError(_explained(module, error, line)) from error


def _explained(module: nn.Module, error: Exception, line: str | None) -> str:
    where = f"{type(module).__name__} cannot be captured" + (f": {line}" if line else "")
    name = type(error).__name__
    reason = str(error).strip().split("\n")[0]
    if name.startswith("GuardOnDataDependent") or "data-dependent" in reason:
        return (
            f"{where}\nthe path taken here depends on the values of the images, and a graph has "
            "one path. Write it without the condition, for example with torch.where, or capture "
            "the part of the network before it"
        )
    if "numpy" in reason or ".tolist" in (line or "") or ".item" in (line or ""):
        return (
            f"{where}\nhere the values leave torch ({reason}), and what happens to them cannot be "
            "seen. Use torch's own operations instead"
        )
    return (
        f"{where}\n{name}: {reason}\nThe module must run in eval mode on images of shape "
        "(batch, channels, height, width) = "
        "(2, ...) as in the example, and be readable by torch.export"
    )


def _fixed_batch(module: nn.Module, pair: Tensor) -> str:
    """The message for a module that works for one batch size only, with the line that says so."""
    where = ""
    graphs = []
    for size in (2, 3, 7):
        images = torch.zeros((size, *pair.shape[1:]), dtype=pair.dtype, device=pair.device)
        try:
            graphs.append(torch.export.export(module, (images,)).graph)
        except Exception as error:  # noqa: BLE001 (as above)
            where = _line(error) or ""
            break
    else:
        where = _first_difference(graphs) or ""
    return (
        f"{type(module).__name__} cannot be captured{': ' + where if where else ''}\n"
        "it fixes the number of images in a batch. Take that number from the input, as "
        "x.shape[0], or leave it open, as in x.flatten(1) or x.reshape(-1, ...), and let no "
        "condition depend on it"
    )


def _first_difference(graphs: list[Any]) -> str | None:
    """The line where the graphs of different batch sizes part."""
    for nodes in zip(*(graph.nodes for graph in graphs), strict=False):
        if len({str(node.target) for node in nodes}) > 1:
            for node in nodes:
                for text in reversed(str(node.meta.get("stack_trace") or "").split("File ")):
                    if text.strip() and _LIBRARY not in text:
                        return " ".join(f"File {text}".split())
    return None


def _line(error: BaseException) -> str | None:
    """`file:line: code` of the last line outside of torch that led to `error`."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((_LIBRARY, "<")) and frame.filename != __file__
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line}" if frames else None


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode inside, and afterwards the mode that each part had."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's own words on what fails: ours name the line and the remedy."""
    loggers = [logging.getLogger(name) for name in _TALKING]
    states = [logger.disabled for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.disabled = True
        try:
            yield
        finally:
            for logger, state in zip(loggers, states, strict=True):
                logger.disabled = state
