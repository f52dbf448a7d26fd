"""torchvision's families: every operation is known, and the logits are bit-equal."""

import random
import warnings

import pytest
import torch
from torch import nn

from convscope.graph.backward import backward
from convscope.graph.capture import capture
from convscope.graph.kinds import Kind
from convscope.graph.ledger.arithmetic import arithmetic
from convscope.graph.trace import trace

FAMILIES = {
    "alexnet": {},
    "vgg11_bn": {},
    "resnet18": {},
    "resnext50_32x4d": {},
    "googlenet": {"transform_input": True, "aux_logits": False, "init_weights": False},
    "inception_v3": {"transform_input": True, "aux_logits": False, "init_weights": False},
    "densenet121": {},
    "mobilenet_v2": {},
    "mobilenet_v3_small": {},
    "shufflenet_v2_x0_5": {},
    "mnasnet0_5": {},
    "squeezenet1_0": {},
    "efficientnet_b0": {},
    "regnet_y_400mf": {},
}


def with_statistics(module):
    """Batch norms that do something: at first they would change next to nothing."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)
    return module.eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_operation_is_known_and_the_logits_are_bit_equal(torchvision_models, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = getattr(torchvision_models, name)(num_classes=20, **FAMILIES[name])
    module = with_statistics(module)
    side = 299 if name == "inception_v3" else 96
    graph = capture(module, torch.zeros(1, 3, side, side))
    assert [n.name for n in graph.nodes if n.kind is Kind.OTHER] == []
    named = {n.module_path for n in graph.nodes if n.kind is Kind.CONVOLUTION}
    assert named == {p for p, part in module.named_modules() if isinstance(part, nn.Conv2d)}
    images = torch.randn(1 if side == 299 else 3, 3, side, side)
    with torch.inference_mode():
        expected = module(images.clone())
    found = trace(graph, images, expected.argmax(1), keep=["input"])
    assert torch.equal(found.logits, expected)
    assert found["input"].gradient.isfinite().all()
    assert found["input"].gradient.any()


@pytest.mark.parametrize("name", ["vgg11_bn", "resnet18"])
def test_every_number_is_accounted_for(torchvision_models, name):
    module = with_statistics(getattr(torchvision_models, name)(num_classes=20))
    images = torch.randn(2, 3, 64, 64)
    record = trace(capture(module, images), images, torch.tensor([3, 7]))
    draw = random.Random(0)
    for layer in draw.choices(record.layers, k=400):
        index = tuple(draw.randrange(side) for side in layer.output.shape[1:])
        ledger = arithmetic(record, layer.node.name, index, draw.randrange(2))
        assert ledger.agrees, ledger
    seed = torch.zeros(2, 20)
    seed[[0, 1], [3, 7]] = 1
    pixels = backward(record, record.graph.logits, seed)
    torch.testing.assert_close(pixels, record["input"].gradient, rtol=1e-4, atol=1e-7)
