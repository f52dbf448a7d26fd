"""Trace: edits, what it leaves untouched, and what it refuses."""

import inspect

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import zoo
from convscope.base.errors import ConvscopeError
from convscope.graph.capture import capture
from convscope.graph.trace import trace
from hooks import hooked, twin_of

unchecked = inspect.unwrap(trace)  # without the shape checks of the test run


@pytest.fixture(scope="module")
def residual():
    module = zoo.network("resnet")
    return module, twin_of("resnet"), capture(module, zoo.images(1))


# Edits.


def masks_for(graph, count):
    generator = torch.Generator().manual_seed(0)
    shape = graph["blocks.0.conv1"].output_shape
    return {
        "boolean": {"blocks.0.conv1": torch.rand(shape, generator=generator) > 0.5},
        "float": {"blocks.0.bn1": torch.rand(shape, generator=generator)},
        "one channel": {"stem.0": (torch.arange(8) != 3).reshape(8, 1, 1)},
        "one row": {"pool": torch.arange(8.0)},
        "a number": {"blocks.1.bn2": torch.tensor(0.25)},
        "per image": {"stem.2": torch.rand(count, 8, 1, 1, generator=generator)},
        "whole batch": {"blocks.0.relu": torch.rand(count, *shape, generator=generator)},
        "the second call": {"blocks.0.relu#2": torch.rand(shape, generator=generator) > 0.3},
        "the input": {"input": torch.rand(3, 32, 32, generator=generator)},
        "the logits": {"fc": torch.arange(10) % 2},
        "two at once": {"stem.0": torch.tensor(0.5), "avgpool": torch.rand(16, 1, 1)},
    }


@pytest.mark.parametrize("case", list(masks_for(capture(zoo.network("resnet"), zoo.images(1)), 2)))
def test_edits_are_masks_multiplied_in(residual, case):
    _, twin, graph = residual
    images, targets = zoo.images(2), torch.tensor([3, 8])
    masks = masks_for(graph, 2)[case]
    found = trace(graph, images, targets, edits=masks)
    logits, outputs, gradients = hooked(twin, images, masks, targets)
    assert torch.equal(found.logits, logits.detach())
    for name in [name for name in outputs if name in graph]:
        assert torch.equal(found[name].output, outputs[name].detach())
        torch.testing.assert_close(found[name].gradient, gradients[name], rtol=1e-5, atol=1e-7)
    assert torch.equal(found["softmax"].output, found.logits.softmax(1))
    assert not torch.equal(found.logits, trace(graph, images).logits)
    assert set(found.edits) == set(masks)


def test_edits_are_undone_with_the_next_trace(residual):
    _, _, graph = residual
    images = zoo.images(2)
    before = trace(graph, images)
    mask = torch.zeros(8, 1, 1)
    edited = trace(graph, images, edits={"stem.0": mask})
    mask.fill_(1)
    assert not edited.edits["stem.0"].any()
    assert not edited["stem.0"].output.any()
    after = trace(graph, images)
    assert all(
        torch.equal(a.output, b.output) for a, b in zip(before.layers, after.layers, strict=True)
    )


def test_masks_take_the_type_of_the_images_not_of_an_index():
    class Reordered(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("order", torch.tensor([2, 0, 1]))

        def forward(self, x):
            return x[:, self.order].mean((2, 3))

    graph = capture(Reordered(), torch.zeros(1, 3, 4, 4))
    images = torch.randn(2, 3, 4, 4)
    found = trace(graph, images, edits={"input": torch.tensor(0.5)})
    torch.testing.assert_close(found.logits, trace(graph, images).logits / 2)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("stem.0", (8,)), ("stem.0", (8, 16)), ("stem.0", (4, 1, 1)), ("stem.0", (3, 8, 16, 16)),
        ("stem.0", (1, 2, 8, 16, 16)), ("fc", (9,)), ("fc", (10, 1)), ("input", (32, 31)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("count", [1, 2])
def test_masks_of_wrong_shape(residual, name, shape, count):
    with pytest.raises(ConvscopeError, match=rf"mask of '{name}' has shape .* broadcasts"):
        trace(residual[2], zoo.images(count), edits={name: torch.ones(shape)})


# Nothing else changes.


def snapshot(module):
    tensors = [*module.named_parameters(), *module.named_buffers()]
    gradients = [None if t.grad is None else t.grad.tolist() for _, t in tensors]
    return gradients + [
        (name, t._version, t.requires_grad, t.tolist()) for name, t in tensors
    ] + [
        (part.training, len(part._forward_hooks), len(part._backward_hooks))
        for part in module.modules()
    ]  # fmt: skip


class Failing(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "linear" in str(func) or "addmm" in str(func):
            raise RuntimeError("out of memory")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("failing", [False, True])
def test_the_module_is_untouched(failing):
    module = zoo.network("resnet")
    graph = capture(module, zoo.images(1))
    module.train()
    module.stem[0].weight.grad = torch.ones_like(module.stem[0].weight)
    module.fc.weight.requires_grad_(False)
    module.pool.register_forward_hook(lambda *_: pytest.fail("a trace calls no module"))
    before, seed = snapshot(module), torch.get_rng_state()
    images, targets = zoo.images(2), torch.tensor([1, 2])
    if failing:
        with Failing(), pytest.raises(RuntimeError, match="out of memory"):
            trace(graph, images, targets)
    else:
        trace(graph, images, targets, edits={"stem.0": torch.zeros(8, 1, 1)})
    assert snapshot(module) == before
    assert torch.equal(torch.get_rng_state(), seed)
    assert not images.requires_grad
    assert torch.equal(images, zoo.images(2))
    assert torch.is_grad_enabled()


def test_a_trace_is_a_value(residual):
    _, _, graph = residual
    for images in (zoo.images(2), zoo.images(2).requires_grad_()):
        targets = torch.tensor([1, 2])
        found = trace(graph, images, targets)
        kept = [r.output.clone() for r in found.layers]
        assert not any(r.output.requires_grad for r in found.layers)
        assert not any(r.gradient.requires_grad for r in found.layers if r.gradient is not None)
        assert not found.logits.requires_grad
        assert not found.images.requires_grad
        with torch.no_grad():
            images.zero_()
        targets.zero_()
        assert all(torch.equal(r.output, k) for r, k in zip(found.layers, kept, strict=True))
        assert torch.equal(found.images, zoo.images(2))
        assert found.targets.tolist() == [1, 2]


# Errors.


def test_a_graph_on_meta_has_no_numbers():
    module = zoo.network("resnet").to("meta")
    with pytest.raises(ConvscopeError, match="meta device"):
        trace(capture(module, zoo.images(1)), zoo.images(1))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 32, 31), r"images \(batch, 3, 32, 32\), got \(2, 3, 32, 31\); capture .* again"),
        ((2, 1, 32, 32), "captured for"),
        ((0, 3, 32, 32), "captured for"),
        ((3, 32, 32), "captured for"),
    ],
)
def test_images_that_do_not_fit(residual, shape, message):
    with pytest.raises(ConvscopeError, match=message):
        unchecked(residual[2], torch.zeros(shape))


@pytest.mark.parametrize("kind", [torch.uint8, torch.float64, torch.int64, torch.float16])
def test_images_of_another_type(residual, kind):
    with pytest.raises(ConvscopeError, match=f"images are {kind}.*torch.float32"):
        unchecked(residual[2], torch.zeros(2, 3, 32, 32, dtype=kind))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (torch.tensor([1]), "must be 2 class indices"),
        (torch.tensor([[1], [2]]), "must be 2 class indices"),
        (torch.tensor([1.0, 2.0]), "must be 2 class indices, got torch.float32"),
        (torch.tensor([1, 10]), r"must be in 0..9, got \[1, 10\]"),
        (torch.tensor([-1, 0]), r"must be in 0..9"),
    ],
)
def test_targets_that_do_not_fit(residual, targets, message):
    with pytest.raises(ConvscopeError, match=message):
        unchecked(residual[2], zoo.images(2), targets)


def test_targets_may_be_of_any_whole_type(residual):
    images = zoo.images(2)
    expected = trace(residual[2], images, torch.tensor([1, 2]))["input"].gradient
    for kind in (torch.int32, torch.uint8, torch.int16):
        found = unchecked(residual[2], images, torch.tensor([1, 2], dtype=kind))
        assert torch.equal(found["input"].gradient, expected)


@pytest.mark.parametrize("option", [{"keep": ["stem.9"]}, {"edits": {"stem.9": torch.ones(1)}}])
def test_unknown_names_suggest_similar_ones(residual, option):
    with pytest.raises(ConvscopeError, match=r"no layer 'stem.9'; did you mean stem"):
        trace(residual[2], zoo.images(1), **option)


@pytest.mark.parametrize("name", ["softmax", "cross_entropy"])
def test_what_is_appended_cannot_be_edited(residual, name):
    with pytest.raises(ConvscopeError, match=f"no layer '{name}'"):
        trace(residual[2], zoo.images(1), edits={name: torch.ones(1)})
