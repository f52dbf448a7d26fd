"""Networks of one function, and ledgers of their numbers beside a second version of it."""

import itertools
import random

import pytest
import torch
from torch import nn

from convscope.graph.capture import capture
from convscope.graph.ledger.arithmetic import arithmetic
from convscope.graph.trace import trace

SHAPE = 4, 6, 7


class Function(nn.Module):
    """A function (module, images) as a network, with parameters by name."""

    def __init__(self, function, **parameters):
        super().__init__()
        self.function = function
        for name, value in parameters.items():
            setattr(self, name, nn.Parameter(value))

    def forward(self, x):
        return self.function(self, x)


def traced(module, targets=None, shape=SHAPE):
    module.double().eval().requires_grad_(False)
    images = torch.randn(2, *shape, dtype=torch.float64)
    return trace(capture(module, images), images, targets)


def checked(record, name, twin):
    """The ledgers of 60 places (or all) are what `twin(image, index)` gives, from true terms."""
    output = record[name].output
    images = record.images.tolist()
    places = list(itertools.product(*map(range, output.shape)))
    ledgers = []
    for image, *index in random.Random(0).sample(places, min(len(places), 60)):
        ledger = arithmetic(record, name, tuple(index), image)
        expected = ledger.value if twin is None else twin(images[image], tuple(index))
        assert ledger.sum == pytest.approx(expected, rel=1e-12, abs=1e-13)
        assert ledger.value == float(output[(image, *index)])
        assert ledger.value == pytest.approx(expected, rel=1e-12, abs=1e-13)
        assert ledger.agrees
        for term in ledger.terms:
            given = record[term.node].output[image]
            inside = all(0 <= i < side for i, side in zip(term.index, given.shape, strict=True))
            assert inside or term.padding
            if not term.padding:
                assert float(given[term.index]) == term.value
        if ledger.weighted:
            total = sum(term.product for term in ledger.terms) + (ledger.bias or 0.0)
            assert total == pytest.approx(ledger.sum, rel=1e-12, abs=1e-13)
        ledgers.append(ledger)
    return ledgers
