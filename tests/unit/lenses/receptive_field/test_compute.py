"""The effective receptive field: by hand where it is known, else by autograd."""

import pytest
import torch
from torch import nn

from convscope.base.errors import ConvscopeError
from convscope.graph.capture import capture
from convscope.graph.geometry import receptive_fields
from convscope.lenses.receptive_field.compute import effective_receptive_field


def ones(layers, kernel=3):
    module = nn.Sequential(
        *(nn.Conv2d(1, 1, kernel, padding=kernel // 2, bias=False) for _ in range(layers)),
        nn.Flatten(), nn.Linear(121, 2),
    )  # fmt: skip
    for part in module[:layers]:
        nn.init.ones_(part.weight)
    return module


def captured(module, channels=1, side=11):
    return capture(module, torch.zeros(1, channels, side, side))


def test_convolutions_of_ones_give_their_power():
    graph = captured(ones(2))
    found = effective_receptive_field(graph, torch.randn(3, 1, 11, 11), "1")
    triangle = torch.tensor([1.0, 2, 3, 2, 1])
    expected = torch.zeros(11, 11)
    expected[3:8, 3:8] = torch.outer(triangle, triangle) / 81
    torch.testing.assert_close(found, expected)


def test_the_input_is_a_point():
    found = effective_receptive_field(captured(ones(1)), torch.randn(2, 1, 11, 11), "input")
    assert found[5, 5] == found.sum() == 1


def small():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3), nn.Tanh()
    )


@pytest.mark.parametrize("index", [None, 2])
def test_beside_one_image_at_a_time(index, monkeypatch):
    module, images = small(), torch.randn(5, 3, 11, 11)
    graph = captured(module, 3)
    before = [parameter.clone() for parameter in module.parameters()]
    found = effective_receptive_field(graph, images, "4", index)
    total = torch.zeros(11, 11)
    for image in images:
        pixels = image[None].clone().requires_grad_()
        middle = module(pixels)[0, :, 1, 1]
        (middle.sum() if index is None else middle[index]).backward()
        total += pixels.grad[0].abs().sum(0)
    torch.testing.assert_close(found, total / total.sum())
    top, left, bottom, right = receptive_fields(graph)["4"].box(1, 1)
    assert found[top:bottom, left:right].sum() == pytest.approx(1)
    assert torch.count_nonzero(found) <= (bottom - top) * (right - left)
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
    monkeypatch.setattr("convscope.graph.batching.NUMBERS_AT_ONCE", 1)
    torch.testing.assert_close(effective_receptive_field(graph, images, "4", index), found)
    with torch.inference_mode():
        alone = effective_receptive_field(graph, torch.randn(1, 3, 11, 11), "4", index)
    assert alone.sum() == pytest.approx(1)


def test_without_any_gradient_it_is_zero():
    module = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.Conv2d(1, 1, 3))
    nn.init.constant_(module[0].bias, -1e6)
    found = effective_receptive_field(captured(module), torch.randn(2, 1, 11, 11), "2")
    assert not found.any()


class Counting(nn.Module):
    def forward(self, x):
        return (x > 0).float()


@pytest.mark.parametrize(
    ("name", "index", "shape", "message"),
    [
        ("2", None, (1, 1, 11, 11), "without rows and columns; the last node that has is '1'"),
        ("conv", None, (1, 1, 11, 11), "no layer 'conv'"),
        ("1", 1, (1, 1, 11, 11), "channels 0 to 0, not 1"),
        ("1", None, (1, 1, 11, 10), "captured for images"),
        ("1", None, (0, 1, 11, 11), "captured for images"),
    ],
)
def test_what_does_not_fit(name, index, shape, message):
    with pytest.raises(ConvscopeError, match=message):
        effective_receptive_field(captured(ones(2)), torch.zeros(shape), name, index)


def test_without_numbers_or_gradients():
    with torch.device("meta"):
        graph = captured(small(), 3)
    with pytest.raises(ConvscopeError, match="meta device"):
        effective_receptive_field(graph, torch.zeros(1, 3, 11, 11), "0")
    graph = captured(Counting())
    with pytest.raises(ConvscopeError, match="no gradient"):
        effective_receptive_field(graph, torch.zeros(1, 1, 11, 11), graph.output)
