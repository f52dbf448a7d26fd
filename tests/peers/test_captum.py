"""captum's deconvolution and guided backpropagation of single units, where it can do them."""

import copy

import pytest
import torch
import torch.nn.functional as F
from captum.attr import NeuronDeconvolution, NeuronGradient, NeuronGuidedBackprop
from torch import nn

import zoo
from convscope.graph.backward import backward
from convscope.graph.capture import capture
from convscope.graph.trace import trace

# It overrides the gradients of ReLUs by hooks, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning")
PEERS = {
    "deconvnet": NeuronDeconvolution,
    "guided": NeuronGuidedBackprop,
    "gradient": NeuronGradient,
}
TOLERANCE = 4e-7


class Head(nn.Module):
    """ReLU as a module, or as a function: the same network."""

    def __init__(self, functional):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.functional = functional

    def forward(self, x):
        if self.functional:
            return F.max_pool2d(F.relu(self.second(F.relu(self.first(x)))), 2)
        return F.max_pool2d(self.relu2(self.second(self.relu1(self.first(x)))), 2)


def distance(found, expected):
    """The largest difference as a share of the largest value."""
    assert expected.abs().max() > 0
    return float((found - expected).abs().max() / expected.abs().max())


def strongest(output):
    """The index of the largest number of a unit with a positive activation."""
    index = tuple(int(i) for i in torch.unravel_index(output.argmax(), output.shape))
    assert output[index] > 0
    return index


@pytest.mark.parametrize("rule", PEERS)
@pytest.mark.parametrize(
    ("family", "layer"),
    [
        ("vgg", "features.2"),
        ("vgg", "features.10"),
        ("vgg", "features.28"),
        ("vgg", "classifier.6"),
        ("vgg-bn", "features.4"),
        ("vgg-bn", "features.18"),
        ("mlp", None),
    ],
)
def test_projections_are_captums(family, layer, rule):
    module, images = zoo.network(family), zoo.images(1)
    record = trace(capture(module, images), images)
    layer = layer or record.graph.logits
    output = record[layer].output[0]
    index = strongest(output)
    seed = torch.zeros_like(output)
    seed[index] = 1
    # In place there is nothing for its hooks to hold on to.
    peer = copy.deepcopy(module)
    for part in peer.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
    theirs = PEERS[rule](peer, peer.get_submodule(layer))
    expected = theirs.attribute(
        images.clone().requires_grad_(), index if len(index) > 1 else index[0]
    ).detach()
    found = backward(record, layer, seed, rule)
    activation = output[index]
    assert distance(activation * found, activation * expected) <= TOLERANCE


@pytest.mark.parametrize("rule", ["deconvnet", "guided"])
def test_relu_as_a_function_is_relu_too(rule):
    by_module, by_function = Head(False).eval(), Head(True).eval()
    by_function.load_state_dict(by_module.state_dict())
    images = zoo.images(1)
    seed = torch.zeros(6, 32, 32)
    seed[2, 9, 7] = 1
    found = []
    for module in (by_module, by_function):
        record = trace(capture(module, images), images)
        found.append(backward(record, "second", seed, rule))
    assert torch.equal(*found)

    def captums(module):
        return (
            PEERS[rule](module, module.second)
            .attribute(images.clone().requires_grad_(), (2, 9, 7))
            .detach()
        )

    assert distance(found[0], captums(by_module)) <= TOLERANCE
    # Its hooks see no function: what comes back there is the plain gradient.
    record = trace(capture(by_function, images), images)
    assert distance(backward(record, "second", seed), captums(by_function)) <= TOLERANCE
    assert distance(found[1], captums(by_function)) > 0.01
