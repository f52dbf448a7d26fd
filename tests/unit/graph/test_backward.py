"""Signals sent back: against autograd, and against Zeiler & Fergus written a second time."""

import functools
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import zoo
from convscope import build_model
from convscope.base.errors import ConvscopeError
from convscope.graph.backward import RULES, backward
from convscope.graph.capture import capture
from convscope.graph.program import execute
from convscope.graph.trace import trace
from ledgers import Function

SEQUENTIAL = ["vgg", "vgg-bn"]


@functools.cache
def traced(name):
    """The network and a trace of two images, in float64."""
    module, images = zoo.network(name).double(), zoo.images(2).double()
    return module, trace(capture(module, images), images)


def unit(record, name, index):
    """A seed of 1 at one number."""
    seed = torch.zeros(record.graph[name].output_shape, dtype=record.images.dtype)
    seed[index] = 1
    return seed


def by_autograd(module, record, name, seed, edits=None):
    """d(seed x output of a node) / d(images) by tracing with that node as the output."""
    images = record.images.clone().requires_grad_()
    graph = record.graph
    values = [None] * graph.num_slots
    for key, tensor in graph.tensors.items():
        values[graph.tensor_slots[key]] = tensor.detach()
    masks = {graph.node_slots[key]: mask for key, mask in (edits or {}).items()}
    values[0] = images
    for step in graph.steps:
        values[step.slot] = execute(step, values)
        if step.slot in masks:
            values[step.slot] = values[step.slot] * masks[step.slot]
        if step.slot == graph.node_slots[name]:
            break
    return torch.autograd.grad(values[graph.node_slots[name]], images, seed)[0]


@pytest.mark.parametrize("name", zoo.FAMILIES)
def test_the_gradient_of_the_target_is_the_traces(name):
    _, record = traced(name)
    targets = torch.tensor([3, 7])
    expected = trace(record.graph, record.images, targets)["input"].gradient
    seed = torch.zeros_like(record.logits)
    seed[[0, 1], targets] = 1
    assert torch.equal(backward(record, record.graph.logits, seed), expected)


@pytest.mark.parametrize("name", zoo.FAMILIES)
def test_the_gradient_from_every_node_is_autograds(name):
    module, record = traced(name)
    for layer in record.layers:
        if layer.node.name not in record.graph or layer.node.name == "input":
            continue
        seed = torch.randn_like(layer.output)
        expected = by_autograd(module, record, layer.node.name, seed)
        found = backward(record, layer.node.name, seed)
        assert torch.allclose(found, expected, rtol=1e-12, atol=1e-15), layer.node.name


AWKWARD = {
    "x + x": lambda m, x: x + x,
    "x * x": lambda m, x: x * x,
    "used often": lambda m, x: torch.cat([x, x * x.relu(), x.sigmoid() / (x * x + 1)], 1),
    "broadcast": lambda m, x: x * x.mean((2, 3), keepdim=True) - x[:, :1],
    "detached": lambda m, x: x * x.detach() + x.relu().detach(),
    "compared": lambda m, x: torch.where(x > 0, x, 0.1 * x) * (x < 1) + (x > 2).double(),
    "by a whole number": lambda m, x: x * x.argmax(1, keepdim=True),
    "saturated": lambda m, x: F.relu6(20 * x),
    "even kernel": lambda m, x: F.conv2d(x, m.even, padding="same", dilation=(1, 2)),
    "leftover": lambda m, x: F.conv2d(x, m.even, stride=3, padding=(0, 1)),
    "wider padding than kernel": lambda m, x: F.conv2d(x, m.even, stride=2, padding=5),
    "overlapping": lambda m, x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    "indexed": lambda m, x: x[:, [2, 0]].roll(1, 3).cumsum(2),
    "coordinates": lambda m, x: torch.cat(
        [x, m.even[:1, :, :1, :1].expand(x.shape[0], 3, 9, 8)], 1
    ),
    "dense over the last axis": lambda m, x: F.linear(x, m.dense),
}  # fmt: skip


@pytest.mark.parametrize("name", AWKWARD)
def test_the_gradient_of_awkward_functions(name):
    module = Function(AWKWARD[name], even=torch.randn(5, 3, 2, 4), dense=torch.randn(2, 8))
    module = module.double()
    images = torch.randn(2, 3, 9, 8, dtype=torch.float64, requires_grad=True)
    record = trace(capture(module, images), images)
    output = module(images)
    seed = torch.randn_like(output)
    (expected,) = torch.autograd.grad(output, images, seed)
    found = backward(record, record.graph.output, seed)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_where_nothing_comes_back():
    module = Function(lambda m, x: x.detach() * 2)
    images = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    record = trace(capture(module, images), images)
    found = backward(record, "multiply", torch.ones(3, 4, 4, dtype=torch.float64), images=[0])
    assert torch.equal(found, torch.zeros(1, 3, 4, 4, dtype=torch.float64))


@pytest.mark.parametrize("name", ["vgg-bn", "resnet", "functional"])
def test_edits_are_seen_on_the_way_back(name):
    module, record = traced(name)
    chosen = [x.node.name for x in record.layers if x.output.ndim == 4][2::3]
    generator = torch.Generator().manual_seed(1)
    edits = {}
    for number, key in enumerate(chosen):
        output = record[key].output
        shape = output.shape if number % 2 else (output.shape[1], 1, 1)
        edits[key] = (torch.rand(shape, generator=generator) > 0.3).double()
    edited = trace(record.graph, record.images, torch.tensor([1, 2]), edits=edits)
    seed = F.one_hot(torch.tensor([1, 2]), 10).double()
    found = backward(edited, record.graph.logits, seed)
    assert torch.allclose(found, edited["input"].gradient, rtol=1e-12, atol=1e-18)
    assert torch.allclose(found, by_autograd(module, record, record.graph.logits, seed, edits))
    assert not torch.allclose(found, backward(record, record.graph.logits, seed))


def deconvnet(layers, images, signal):
    """Zeiler & Fergus, section 2.1: unpool at the switches, rectify, filter transposed."""
    undo = []
    for layer in layers:
        if isinstance(layer, nn.MaxPool2d):
            size = images.shape
            images, switches = F.max_pool2d(images, 2, return_indices=True)
            undo.append(lambda s, at=switches, size=size: F.max_unpool2d(s, at, 2, None, 0, size))
            continue
        if isinstance(layer, nn.Conv2d):
            undo.append(lambda s, w=layer.weight: F.conv_transpose2d(s, w, None, 1, 1))
        elif isinstance(layer, nn.BatchNorm2d):
            scale = (layer.weight / (layer.running_var + layer.eps).sqrt()).reshape(-1, 1, 1)
            undo.append(lambda s, scale=scale: s * scale)
        else:
            assert isinstance(layer, nn.ReLU)
            undo.append(lambda s: s.clamp(min=0))
        images = layer(images)
    for step in reversed(undo):
        signal = step(signal)
    return signal


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_deconvnet_is_zeiler_and_fergus(name):
    module, record = traced(name)
    module.requires_grad_(False)
    for depth, layer in enumerate(module.features):
        node = f"features.{depth}"
        assert isinstance(layer, nn.Module)
        seed = torch.randn_like(record[node].output)
        expected = deconvnet(module.features[: depth + 1], record.images, seed)
        found = backward(record, node, seed, "deconvnet")
        assert torch.allclose(found, expected, rtol=1e-12, atol=1e-15), node


class Rectified(torch.autograd.Function):
    """A ReLU whose way back is a rule, for a second version of whole networks."""

    @staticmethod
    def forward(ctx, given, guided):
        ctx.save_for_backward(given)
        ctx.guided = guided
        return given.clamp(min=0)

    @staticmethod
    def backward(ctx, signal):
        (given,) = ctx.saved_tensors
        signal = signal.clamp(min=0)
        return (signal * (given > 0) if ctx.guided else signal), None


@pytest.mark.parametrize("rule", ["deconvnet", "guided"])
@pytest.mark.parametrize("name", ["vgg-lrn", "resnet", "inception", "densenet"])
def test_rules_in_networks_with_branches(name, rule, monkeypatch):
    module, record = traced(name)
    seed = torch.randn_like(record.logits)
    found = backward(record, record.graph.logits, seed, rule)
    monkeypatch.setattr(F, "relu", lambda x, inplace=False: Rectified.apply(x, rule == "guided"))
    images = record.images.clone().requires_grad_()
    (expected,) = torch.autograd.grad(module(images), images, seed)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-15)
    assert not torch.allclose(found, backward(record, record.graph.logits, seed))


@pytest.mark.parametrize("rule", RULES)
def test_zero_outside_of_the_receptive_field(rule):
    _, record = traced("vgg")
    # Two convolutions, a pool, a convolution of 3 x 3: 2 x 2 positions by 2, and 2 around.
    found = backward(record, "features.5", unit(record, "features.5", (1, 8, 5)), rule, images=[1])
    outside = torch.ones(32, 32, dtype=torch.bool)
    outside[2 * 7 - 2 : 2 * 9 + 4, 2 * 4 - 2 : 2 * 6 + 4] = False
    assert not found[:, :, outside].any()
    assert found[:, :, ~outside].any()


@pytest.mark.parametrize("rule", RULES)
def test_a_dead_channel_sends_zeros(rule):
    module = zoo.network("vgg")
    with torch.no_grad():
        module.features[2].weight[1] = 0
        module.features[2].bias[1] = -1
    record = trace(capture(module, zoo.images(1)), zoo.images(1))
    seed = unit(record, "features.3", (1, 9, 9))
    found = record["features.3"].output[0, 1, 9, 9] * backward(record, "features.3", seed, rule)
    assert not found.any()
    assert not backward(record, "features.3", seed, rule).any()


def test_the_signal_is_signed_at_the_pixels():
    _, record = traced("vgg")
    found = backward(
        record, "features.9", torch.ones_like(record["features.9"].output), "deconvnet"
    )
    assert found.min() < 0 < found.max()


@pytest.mark.parametrize("rule", RULES)
def test_many_seeds_are_as_single_ones(rule):
    _, both = traced("vgg-bn")
    seeds = torch.randn(3, *both.graph["features.8"].output_shape, dtype=torch.float64)
    chosen = [1, 0, 1]
    found = backward(both, "features.8", seeds, rule, images=chosen)
    for seed, image, row in zip(seeds, chosen, found, strict=True):
        single = trace(both.graph, both.images[image : image + 1])
        (expected,) = backward(single, "features.8", seed, rule)
        assert torch.allclose(row, expected, rtol=1e-6, atol=1e-9)
        (same,) = backward(both, "features.8", seed, rule, images=[image])
        assert torch.allclose(row, same, rtol=1e-6, atol=1e-9)
    one = trace(both.graph, both.images[:1])
    found = backward(one, "features.8", seeds, rule)
    for seed, row in zip(seeds, found, strict=True):
        assert torch.allclose(row, backward(one, "features.8", seed, rule)[0], atol=1e-9)


def test_a_rule_of_ones_own():
    _, record = traced("vgg")
    seed = torch.randn_like(record.logits)
    found = backward(record, record.graph.logits, seed, lambda signal, given: signal * (given > 0))
    assert torch.equal(found, backward(record, record.graph.logits, seed))


def test_deconvnet_needs_what_max_pools_were_given():
    _, record = traced("vgg-bn")
    graph = record.graph
    pools = [node.inputs[0] for node in graph.nodes if node.kind == "max_pool"]
    some = trace(graph, record.images, keep=pools)
    seed = torch.randn_like(record.logits)
    found = backward(some, graph.logits, seed, "deconvnet")
    assert torch.equal(found, backward(record, graph.logits, seed, "deconvnet"))
    with pytest.raises(ConvscopeError, match=r"did not keep '.*'; add it to keep="):
        backward(some, graph.logits, seed, "guided")
    with pytest.raises(ConvscopeError, match=f"did not keep '{pools[-1]}'"):
        backward(trace(graph, record.images, keep=pools[:-1]), graph.logits, seed, "deconvnet")


@pytest.mark.parametrize("rule", RULES)
def test_module_and_trace_are_left_alone(rule):
    module, record = traced("functional")
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    outputs = [layer.output.clone() for layer in record.layers]
    seed = torch.ones_like(record.logits)
    backward(record, record.graph.logits, seed, rule)
    assert seed.eq(1).all()
    assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())
    for layer, output in zip(record.layers, outputs, strict=True):
        assert torch.equal(layer.output, output)
        assert not layer.output.requires_grad


def test_threads():
    _, record = traced("inception")
    seeds = torch.randn(8, *record.logits.shape, dtype=torch.float64)
    send = functools.partial(backward, record, record.graph.logits)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: send(seed, "deconvnet"), seeds))
    assert all(torch.equal(f, send(s, "deconvnet")) for f, s in zip(found, seeds, strict=True))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("features.99", torch.ones(4, 32, 32)), {}, "no layer 'features.99'; did you mean"),
        (("features.1", torch.ones(4, 32, 31)), {}, r"\(seeds, 4, 32, 32\); got \(4, 32, 31\)"),
        (("features.1", torch.ones(0, 4, 32, 32)), {}, "a seed has"),
        (("features.1", torch.ones(2, 4, 32, 32), "lrp"), {}, "unknown rule 'lrp'; there are grad"),
        (
            ("features.1", torch.ones(3, 4, 32, 32)),
            {},
            r"3 seeds and a trace of 2 images: say with",
        ),
        (("features.1", torch.ones(4, 32, 32)), {}, "1 seeds and a trace of 2 images"),
        (
            ("features.1", torch.ones(4, 32, 32)),
            {"images": [2]},
            r"one of 0\.\.1 for each of the 1",
        ),
        (("features.1", torch.ones(4, 32, 32)), {"images": [-1]}, r"one of 0\.\.1"),
        (("features.1", torch.ones(4, 32, 32)), {"images": [0, 1]}, r"got \[0, 1\]"),
    ],
)
def test_errors(arguments, options, message):
    with pytest.raises(ConvscopeError, match=message):
        backward(traced("vgg")[1], *arguments, **options)


@pytest.mark.slow
def test_vgg16_of_224():
    model = build_model("vgg16", seed=0)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    record = trace(capture(model.module, images), images)
    found = backward(record, "features.28", unit(record, "features.28", (7, 6, 6)), "deconvnet")
    assert found.shape == (1, 3, 224, 224)
    assert found.isfinite().all()
    assert found.any()
