from .data.catalog import open_dataset as open_dataset
from .evaluation.evaluate import evaluate as evaluate
from .graph.backward import backward as backward
from .graph.capture import capture as capture
from .graph.geometry import receptive_fields as receptive_fields
from .graph.ledger.arithmetic import arithmetic as arithmetic
from .graph.projection import project as project
from .graph.summary import summary as summary
from .graph.trace import trace as trace
from .images.kernels import convolve as convolve
from .images.kernels import output_size as output_size
from .images.preprocess import Preprocess as Preprocess
from .lenses.atlas.files import read_atlas as read_atlas
from .lenses.atlas.make import make_atlas as make_atlas
from .lenses.pathways.compute import pathways as pathways
from .lenses.pathways.proof import prove as prove
from .lenses.shift.compute import shift_tables as shift_tables
from .lenses.shift.layers import layer_shifts as layer_shifts
from .nets.catalog import build_model as build_model
from .nets.classifier import Classifier as Classifier
from .runs.folder import load as load
from .server.serve import explore as explore
from .training.loop import train as train
from .training.recipe import Recipe as Recipe

__version__: str
