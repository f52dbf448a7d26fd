"""Trace: values bit-equal to the module's, gradients as torch's, nothing kept beyond need."""

import copy
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import zoo
from convscope.base.errors import ConvscopeError
from convscope.graph.capture import capture
from convscope.graph.kinds import Kind
from convscope.graph.trace import trace
from hooks import hooked, twin_of


@pytest.fixture(scope="module", params=list(zoo.FAMILIES))
def family(request):
    module = zoo.network(request.param)
    return module, twin_of(request.param), capture(module, zoo.images(1))


@pytest.fixture(scope="module")
def residual():
    module = zoo.network("resnet")
    return module, twin_of("resnet"), capture(module, zoo.images(1))


# Values.


@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_record_is_bit_equal_to_the_modules(family, count):
    module, twin, graph = family
    images, targets = zoo.images(count, seed=count), torch.arange(count) % 10
    with torch.no_grad():
        expected = module(images.clone())
    for found in (trace(graph, images), trace(graph, images, targets)):
        assert torch.equal(found[graph.output].output, expected)
        assert torch.equal(found.logits, found[graph.logits].output)
    _, outputs, _ = hooked(twin, images)
    plain = trace(graph, images)
    common = [name for name in outputs if name in graph]
    assert len(common) > len(outputs) / 2
    for name in common:
        assert torch.equal(plain[name].output, outputs[name].detach())
    for record in plain.layers:
        if record.node.kind is not Kind.CROSS_ENTROPY:
            assert record.output.shape == (count, *record.node.output_shape)


@pytest.mark.parametrize("family", ["vgg-bn", "resnet", "inception", "functional"], indirect=True)
def test_channels_last_and_double_precision(family):
    module, _, graph = family
    images = zoo.images(3).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        assert torch.equal(trace(graph, images)[graph.output].output, module(images.clone()))
    other = copy.deepcopy(module).to(memory_format=torch.channels_last)
    with torch.no_grad():
        expected = other(images.clone())
    of_other = capture(other, images)
    assert torch.equal(trace(of_other, images)[of_other.output].output, expected)
    double = copy.deepcopy(module).double()
    images = zoo.images(2).double()
    with torch.no_grad():
        expected = double(images.clone())
    of_double = capture(double, images)
    found = trace(of_double, images, torch.tensor([0, 1]))
    assert torch.equal(found[of_double.output].output, expected)
    assert {r.output.dtype for r in found.layers} == {torch.float64}


def test_threads_get_the_same_bits(residual):
    _, _, graph = residual
    batches = [zoo.images(2, seed) for seed in range(8)]
    targets = torch.tensor([1, 2])
    expected = [trace(graph, images, targets) for images in batches]
    found = [None] * 8

    def work(number):
        found[number] = [trace(graph, batches[number], targets) for _ in range(3)][-1]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(expected, found, strict=True):
        for a, b in zip(one.layers, other.layers, strict=True):
            assert torch.equal(a.output, b.output)
            assert (a.gradient is None) == (b.gradient is None)
            assert a.gradient is None or torch.equal(a.gradient, b.gradient)


# Gradients.


def test_gradients_are_torchs(family):
    _, twin, graph = family
    images, targets = zoo.images(2), torch.tensor([3, 9])
    found = trace(graph, images, targets)
    _, _, expected = hooked(twin, images, targets=targets)
    compared = 0
    for name, gradient in expected.items():
        if name in graph and gradient is not None:
            torch.testing.assert_close(found[name].gradient, gradient, rtol=1e-5, atol=1e-7)
            compared += 1
    assert compared >= 3
    for record in found.layers:
        after = record.node.name not in graph or (record.node.name == graph.output != graph.logits)
        assert (record.gradient is None) == after
    one_hot = F.one_hot(targets, 10).float()
    assert torch.equal(found[graph.logits].gradient, one_hot)


@pytest.mark.parametrize("name", ["resnet", "functional", "depthwise", "vgg-lrn"])
def test_gradients_are_the_slopes(name):
    module = zoo.network(name).double()
    images, targets = zoo.images(1).double(), torch.tensor([4])
    graph = capture(module, images)
    found = trace(graph, images, targets)
    gradient = found["input"].gradient
    for place in torch.randperm(images.numel(), generator=torch.Generator().manual_seed(1))[:12]:
        step = torch.zeros_like(images)
        step.view(-1)[place] = 1e-6
        with torch.no_grad():
            rise = module(images + step)[0, 4] - module(images - step)[0, 4]
        torch.testing.assert_close(gradient.view(-1)[place], rise / 2e-6, rtol=1e-4, atol=1e-7)


def test_the_gradient_of_an_inner_node_is_its_slope(residual):
    module = copy.deepcopy(residual[0]).double()
    images, targets = zoo.images(1).double(), torch.tensor([4])
    graph = capture(module, images)
    name = "blocks.0.relu"
    found = trace(graph, images, targets)
    record = found[name]
    place = int(record.output.flatten().argmax())
    value = record.output.flatten()[place]
    logits = []
    for factor in (1 - 1e-6, 1 + 1e-6):
        mask = torch.ones(record.node.output_shape, dtype=torch.float64)
        mask.view(-1)[place] = factor
        logits.append(trace(graph, images, edits={name: mask}).logits[0, 4])
    slope = (logits[1] - logits[0]) / (2e-6 * value)
    torch.testing.assert_close(record.gradient.flatten()[place], slope, rtol=1e-4, atol=1e-8)


def test_grad_cam_of_an_in_place_network_is_its_twins(residual):
    _, twin, graph = residual
    images, targets = zoo.images(3), torch.tensor([0, 5, 9])
    found = trace(graph, images, targets)

    def cam(output, gradient):
        return (gradient.mean((2, 3), keepdim=True) * output).sum(1).relu()

    _, outputs, gradients = hooked(twin, images, targets=targets)
    maps = []
    for name in ("blocks.1.bn2", "blocks.1.conv1", "blocks.0.relu#2", "blocks.0.bn2"):
        expected = cam(outputs[name].detach(), gradients[name])
        record = found[name]
        torch.testing.assert_close(cam(record.output, record.gradient), expected)
        maps.append(expected)
    assert sum(map(torch.any, maps)) >= 2


class Switched(nn.Module):
    """A bool, whole numbers and a detached branch on the way."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, x):
        y = self.conv(x)
        best = y.argmax(1, keepdim=True)
        return self.fc((y * (y > 0) * (best < 3) + y.detach()).mean((2, 3)))


def test_nodes_without_gradient_have_none():
    module = Switched()
    images, targets = torch.randn(2, 3, 8, 8), torch.tensor([0, 1])
    graph = capture(module, images)
    found = trace(graph, images, targets)
    assert {r.node.name for r in found.layers if r.gradient is None} == {
        "argmax", "gt", "lt", "identity", "softmax", "cross_entropy",
    }  # fmt: skip
    start = images.clone().requires_grad_()
    (expected,) = torch.autograd.grad(module(start).gather(1, targets[:, None]).sum(), start)
    torch.testing.assert_close(found["input"].gradient, expected)


def test_a_network_that_stops_every_gradient():
    class Detached(nn.Module):
        def forward(self, x):
            return x.detach().flatten(1)

    graph = capture(Detached(), torch.zeros(1, 1, 2, 2))
    found = trace(graph, torch.ones(2, 1, 2, 2), torch.tensor([0, 3]))
    assert all(record.gradient is None for record in found.layers)


def test_inference_mode_outside_changes_nothing(residual):
    _, _, graph = residual
    images, targets = zoo.images(2), torch.tensor([1, 2])
    expected = trace(graph, images, targets)["input"].gradient
    with torch.inference_mode():
        made_inside = images * 1
        assert torch.equal(trace(graph, made_inside, targets)["input"].gradient, expected)
    assert torch.equal(trace(graph, made_inside, targets)["input"].gradient, expected)
    with torch.no_grad():
        assert torch.equal(trace(graph, images, targets)["input"].gradient, expected)
        assert not torch.is_grad_enabled()


def test_a_pass_is_watched_and_can_be_ended(residual):
    _, _, graph = residual
    seen = []

    class EndError(Exception):
        pass

    def watch(done, steps):
        seen.append((done, steps))
        if done == 3:
            raise EndError

    with pytest.raises(EndError):
        trace(graph, zoo.images(1), watch=watch)
    assert seen == [(done, len(graph.steps)) for done in range(4)]


# Softmax, cross-entropy, trunks.


def test_softmax_and_cross_entropy_are_torchs(residual):
    module, _, graph = residual
    images, targets = zoo.images(4), torch.tensor([0, 1, 2, 3])
    found = trace(graph, images, targets)
    with torch.no_grad():
        logits = module(images.clone())
    assert torch.equal(found["softmax"].output, logits.softmax(1))
    expected = F.cross_entropy(logits, targets, reduction="none")
    assert torch.equal(found["cross_entropy"].output, expected)
    assert found["softmax"].node.kind is Kind.SOFTMAX
    assert [record.node.name for record in found.layers[-2:]] == ["softmax", "cross_entropy"]
    assert "cross_entropy" not in trace(graph, images)


def test_a_network_that_ends_with_softmax():
    module = zoo.network("activations")
    graph = capture(module, zoo.images(1))
    images, targets = zoo.images(2), torch.tensor([1, 2])
    found = trace(graph, images, targets)
    assert (graph.output, graph.logits) == ("head.2", "head.1")
    with torch.no_grad():
        probabilities = module(images)
    assert torch.equal(found["head.2"].output, probabilities)
    assert torch.equal(found.logits.softmax(1), probabilities)
    kinds = [record.node.kind for record in found.layers]
    assert kinds.count(Kind.SOFTMAX) == 1
    torch.testing.assert_close(
        found["cross_entropy"].output, -probabilities[range(2), targets].log()
    )


def test_a_trunk_gives_maps_and_refuses_targets():
    module = zoo.network("vgg").features
    graph = capture(module, zoo.images(1))
    images = zoo.images(2)
    with torch.no_grad():
        expected = module(images.clone())
    found = trace(graph, images)
    assert torch.equal(found.logits, expected)
    assert found.logits.ndim == 4
    assert "softmax" not in found
    with pytest.raises(ConvscopeError, match="as a trunk does"):
        trace(graph, images, torch.tensor([0, 0]))


# Keeping less.


def test_only_what_is_kept_is_there(residual):
    _, _, graph = residual
    images, targets = zoo.images(2), torch.tensor([1, 2])
    everything = trace(graph, images, targets)
    found = trace(graph, images, targets, keep=["fc", "blocks.0 add"])
    assert [r.node.name for r in found.layers] == [
        "blocks.0 add", "fc", "softmax", "cross_entropy",
    ]  # fmt: skip
    for record in found.layers[:2]:
        assert torch.equal(record.output, everything[record.node.name].output)
        assert torch.equal(record.gradient, everything[record.node.name].gradient)
    with pytest.raises(ConvscopeError, match=r"did not keep 'stem.0'; add it to keep"):
        found["stem.0"]
    with pytest.raises(ConvscopeError, match=r"no layer 'blocks.0 ad'; did you mean blocks.0 add"):
        found["blocks.0 ad"]
    assert "stem.0" not in found
    nothing = trace(graph, images, keep=[])
    assert [r.node.name for r in nothing.layers] == ["softmax"]
    assert torch.equal(nothing.logits, everything.logits)
    assert [r.node.name for r in trace(graph, images, keep="pool").layers] == ["pool", "softmax"]


class LiveElements(TorchDispatchMode):
    """The most elements that results of operations held at one time, each storage counted once."""

    def __init__(self):
        super().__init__()
        self.living, self.most = {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        import weakref

        result = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                key = id(tensor)
                self.living[key] = (tensor.untyped_storage().data_ptr(), tensor.numel())
                weakref.finalize(tensor, self.living.pop, key, None)
        self.most = max(self.most, sum(dict(self.living.values()).values()))
        return result


def most_alive(graph, images, **options):
    with LiveElements() as watch:
        trace(graph, images, **options)
    return watch.most


def test_what_is_not_kept_is_let_go():
    side, depth, count = 16, 12, 2
    module = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(depth))).eval()
    graph = capture(module, torch.zeros(1, 3, side, side))
    images = torch.randn(count, 3, side, side)
    one = images.numel()
    assert most_alive(graph, images) >= (depth + 1) * one
    assert most_alive(graph, images, keep=[graph.output]) <= 4 * one + 3000
