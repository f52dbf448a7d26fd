"""A module to a graph by torch.export, and error messages where that fails.

Imported when it is needed: torch.export loads torch's compiler, which takes longer than torch.
"""

import contextlib
import traceback
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from convscope.base.errors import CaptureError
from convscope.base.torch_private import guards_watched, quiet_export
from convscope.graph.graph import Graph
from convscope.graph.lower import lower, without_in_place, writes_to_shared_memory

_LIBRARY = str(Path(torch.__file__).parent)
_PYTHON = str(Path(traceback.__file__).parent)


def exported(module: nn.Module, pair: Tensor) -> Graph:
    """The graph of `module`, which is in eval mode, by torch.export.

    Args:
        module: see `capture`.
        pair: two images: a batch of one would make the graph one for single images.

    Raises:
        CaptureError: naming the line that cannot be captured, and the remedy.
    """
    with quiet_export():
        program = _exported(module, pair)
        if writes_to_shared_memory(program.graph):
            program = without_in_place(program)
    return lower(program, module)


def _exported(module: nn.Module, pair: Tensor) -> ExportedProgram:
    try:
        return torch.export.export(module, (pair,), dynamic_shapes=({0: Dim("batch")},))
    except Exception as error:  # torch raises many types, and user code any type
        line = _last_line(traceback.extract_tb(error.__traceback__))
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
    if reason.startswith("missing a required argument"):
        return (
            f"{where}\n{name}: {reason}\nA network takes one batch of images. Wrap the module in "
            "one that takes the images alone, and gives the rest itself"
        )
    return (
        f"{where}\n{name}: {reason}\nThe module must run in eval mode on images (batch, channels, "
        "height, width) of the example's size and type, and be readable by torch.export"
    )


def _fixed_batch(module: nn.Module, pair: Tensor) -> str:
    """The message for a module that works for one batch size only, with the line that says so."""
    watch = _Watch()
    with guards_watched(watch.added), contextlib.suppress(Exception):
        torch.export.export(module, (pair,), dynamic_shapes=({0: Dim("batch")},))
    return (
        f"{type(module).__name__} cannot be captured{watch.line and ': ' + watch.line}\n"
        "it fixes the number of images in a batch. Take that number from the input, as "
        "x.shape[0] and not len(x), or leave it open, as in x.flatten(1) or x.reshape(-1, ...), "
        "and let no condition depend on it"
    )


class _Watch:
    """Keeps the line of the module at which torch first assumes something about the batch size."""

    line = ""

    def added(self) -> None:
        if self.line:
            return
        frames = traceback.extract_stack()
        # The last frames are those of the logging itself.
        while frames and not frames[-1].filename.startswith(_LIBRARY):
            frames.pop()
        ours = [place for place, frame in enumerate(frames) if frame.filename == __file__]
        self.line = _last_line(frames[max(ours, default=0) :]) or ""


def _last_line(frames: Sequence[traceback.FrameSummary]) -> str | None:
    """`file:line: code` of the last line outside of torch and Python, so in the module."""
    for frame in reversed(frames):
        name = frame.filename
        library = name == __file__ or name.startswith((_LIBRARY, "<string>", "<eval", "<frozen"))
        python = name.startswith(_PYTHON) and "site-packages" not in name
        if not library and not python:
            return f"{name}:{frame.lineno}: {frame.line}"
    return None
