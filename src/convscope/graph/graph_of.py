"""The graph of a classifier."""

import torch

from convscope.graph.capture import capture
from convscope.graph.graph import Graph
from convscope.nets.classifier import Classifier


def graph_of(classifier: Classifier) -> Graph:
    """The graph of a classifier's network, for images of its preprocessing's size.

    Raises:
        CaptureError: the network cannot be captured, or takes images of another size.
    """
    preprocess = classifier.preprocess
    return capture(classifier.module, torch.zeros(1, preprocess.channels, *preprocess.size))
