"""Train, run and see through convolutional image classifiers.

>>> import convscope
>>> model = convscope.build_model("vgg16", num_classes=10)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convscope.data.catalog import open_dataset as open_dataset
    from convscope.evaluation.evaluate import evaluate as evaluate
    from convscope.graph.backward import backward as backward
    from convscope.graph.capture import capture as capture
    from convscope.graph.geometry import receptive_fields as receptive_fields
    from convscope.graph.ledger.arithmetic import arithmetic as arithmetic
    from convscope.graph.projection import project as project
    from convscope.graph.summary import summary as summary
    from convscope.graph.trace import trace as trace
    from convscope.images.kernels import convolve as convolve
    from convscope.images.kernels import output_size as output_size
    from convscope.images.preprocess import Preprocess as Preprocess
    from convscope.lenses.atlas.files import read_atlas as read_atlas
    from convscope.lenses.atlas.make import make_atlas as make_atlas
    from convscope.lenses.pathways.compute import pathways as pathways
    from convscope.lenses.pathways.proof import prove as prove
    from convscope.lenses.shift.compute import shift_tables as shift_tables
    from convscope.lenses.shift.layers import layer_shifts as layer_shifts
    from convscope.nets.catalog import build_model as build_model
    from convscope.nets.classifier import Classifier as Classifier
    from convscope.runs.folder import load as load
    from convscope.server.serve import explore as explore
    from convscope.training.loop import train as train
    from convscope.training.recipe import Recipe as Recipe

__version__ = "0.1.0"

# Public names are found on first use, so that `convscope --help` does not wait for torch.
_HOMES = {
    "Classifier": "convscope.nets.classifier",
    "Preprocess": "convscope.images.preprocess",
    "Recipe": "convscope.training.recipe",
    "arithmetic": "convscope.graph.ledger.arithmetic",
    "backward": "convscope.graph.backward",
    "build_model": "convscope.nets.catalog",
    "capture": "convscope.graph.capture",
    "convolve": "convscope.images.kernels",
    "evaluate": "convscope.evaluation.evaluate",
    "explore": "convscope.server.serve",
    "layer_shifts": "convscope.lenses.shift.layers",
    "load": "convscope.runs.folder",
    "make_atlas": "convscope.lenses.atlas.make",
    "open_dataset": "convscope.data.catalog",
    "output_size": "convscope.images.kernels",
    "project": "convscope.graph.projection",
    "pathways": "convscope.lenses.pathways.compute",
    "prove": "convscope.lenses.pathways.proof",
    "read_atlas": "convscope.lenses.atlas.files",
    "receptive_fields": "convscope.graph.geometry",
    "shift_tables": "convscope.lenses.shift.compute",
    "summary": "convscope.graph.summary",
    "trace": "convscope.graph.trace",
    "train": "convscope.training.loop",
}
__all__ = [
    "Classifier",
    "Preprocess",
    "Recipe",
    "arithmetic",
    "backward",
    "build_model",
    "capture",
    "convolve",
    "evaluate",
    "explore",
    "layer_shifts",
    "load",
    "make_atlas",
    "open_dataset",
    "output_size",
    "pathways",
    "project",
    "prove",
    "read_atlas",
    "receptive_fields",
    "shift_tables",
    "summary",
    "trace",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module  # noqa: PLC0415

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'convscope' has no attribute {name!r}")
