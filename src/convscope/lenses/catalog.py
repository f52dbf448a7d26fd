"""The lenses by name, in the order of `convscope --help`; nothing heavy is imported here."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convscope.contract.lens import Lens

# A lens is one folder and one line here: the line is its help.
LENSES = {
    "summary": "Show each layer's shape, parameters, multiply-adds, memory and receptive field.",
    "activations": "Draw the output of each layer for an image, and store the numbers beside it.",
    "filters": "Draw the filters of each convolution; for a run also before its training.",
    "arithmetic": "Show how an activation is computed: its terms, their sum, the recorded value.",
    "receptive-field": "Draw what a layer's middle unit can see, and which pixels affect it most.",
    "kernel": "Filter an image by a kernel and draw both side by side.",
    "atlas": "Find the images that activate each channel most, and project these activations.",
    "pathways": "Show the units that contribute most to a class's logit, and switch them off.",
    "shift": "Measure how predictions and each layer change when the images are shifted.",
}


def lens(name: str) -> "Lens[Any, Any]":
    """The lens of a name in `LENSES`."""
    return import_module(f"convscope.lenses.{name.replace('-', '_')}.lens").LENS
