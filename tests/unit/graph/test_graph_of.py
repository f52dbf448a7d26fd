"""A classifier's graph is its network's, at the size of its preprocessing."""

import torch
from torch import nn

from convscope.graph.graph_of import graph_of
from convscope.graph.trace import trace
from convscope.images.preprocess import Preprocess
from convscope.nets.classifier import Classifier


def test_the_graph_of_a_classifier():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(24, 3)).eval()
    view = Preprocess(size=(5, 6), channels=1, resize=5, mean=(0.5,), std=(0.5,))
    graph = graph_of(Classifier("small", module, view, ("a", "b", "c")))
    assert graph.input_shape == (1, 5, 6)
    images = torch.randn(4, 1, 5, 6)
    with torch.no_grad():
        assert torch.equal(trace(graph, images).logits, module(images))
