"""Projections on crops: equal to the full way back, for every kind of network."""

import pytest
import torch
from torch import nn

import zoo
from convscope.base.errors import ConvscopeError
from convscope.graph.backward import RULES, backward
from convscope.graph.capture import capture
from convscope.graph.geometry import receptive_fields
from convscope.graph.graph import INPUT
from convscope.graph.projection import croppable, project, records_needed
from convscope.graph.trace import trace

COUNT = 8


class Awkward(nn.Module):
    """Overlapping and padded pools, holes, branches of other fields, smooth activations."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 5, 2, 1)
        self.pool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.wide = nn.Conv2d(6, 6, 3, padding="same", dilation=3)
        self.even = nn.Conv2d(6, 6, 4, padding="same", groups=2)
        self.norm = nn.BatchNorm2d(12)
        self.average = nn.AvgPool2d(2)
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        x = torch.relu(self.pool(self.stem(x)))
        x = torch.cat([self.wide(x), nn.functional.silu(self.even(x)) + x], 1)
        return self.head(self.average(torch.relu(self.norm(x))).mean((2, 3)))


def recorded(module, images):
    graph = capture(module.eval(), images)
    return graph, trace(graph, images)


def full(record, name, units, rule):
    seeds = torch.zeros(len(units), *record.graph[name].output_shape)
    for seed, (_, *place) in zip(seeds, units, strict=True):
        seed[tuple(place)] = 1
    return backward(record, name, seeds, rule, images=[unit[0] for unit in units])


def some_units(shape, images, random):
    return [
        tuple(int(torch.randint(n, (), generator=random)) for n in (images, *shape))
        for _ in range(COUNT)
    ]


def cropped(graph, record, name, units, rule):
    """Over all of the image, from the records alone that are said to be needed."""
    records = {key: record[key].output for key in records_needed(graph, name, rule)}
    patch = project(graph, records, name, units, rule)
    zero = torch.zeros(len(units), dtype=torch.long)
    return patch.moved(zero, zero, graph.input_shape[1:]).values, patch


# One has no maps, one begins with what cannot go back on crops.
FAMILIES = sorted(set(zoo.FAMILIES) - {"mlp", "functional"})
NETWORKS = {name: lambda name=name: (zoo.network(name), zoo.images(2)) for name in FAMILIES}
NETWORKS["awkward"] = lambda: (Awkward(), torch.randn(2, 3, 41, 37))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", NETWORKS)
def test_crops_give_what_the_whole_image_gives(name, rule):
    torch.manual_seed(1)
    module, images = NETWORKS[name]()
    graph, record = recorded(module, images)
    random, compared = torch.Generator().manual_seed(0), 0
    for node in graph.nodes[1:]:
        if len(node.output_shape) != 3 or not croppable(graph, node.name):
            continue
        units = some_units(node.output_shape, len(images), random)
        found, _ = cropped(graph, record, node.name, units, rule)
        expected = full(record, node.name, units, rule)
        assert (found - expected).abs().max() <= 1e-6 * expected.abs().max(), node.name
        compared += bool(expected.abs().max() > 0)
    assert compared


def test_nothing_comes_back_outside_of_the_receptive_field():
    torch.manual_seed(0)
    module, images = zoo.network("vgg"), zoo.images(2)
    graph, record = recorded(module, images)
    fields = receptive_fields(graph)
    random = torch.Generator().manual_seed(0)
    for name in [n.name for n in graph.nodes if n.name in fields and n.name != INPUT]:
        if not croppable(graph, name):
            continue  # the adaptive pool before the head
        units = some_units(graph[name].output_shape, 2, random)
        found, patch = cropped(graph, record, name, units, "deconvnet")
        for unit, signal in zip(units, found, strict=True):
            y0, x0, y1, x1 = fields[name].box(unit[2], unit[3])
            outside = signal.clone()
            outside[:, y0:y1, x0:x1] = 0
            assert not outside.any(), (name, unit)
        assert patch.size[0] <= max(fields[name].size[0], images.shape[2])


def test_a_window_is_no_larger_than_what_the_unit_sees():
    module, images = zoo.network("vgg"), zoo.images(2)
    graph, record = recorded(module, images)
    fields = receptive_fields(graph)
    for name in ("features.0", "features.2", "features.4"):
        _, patch = cropped(graph, record, name, [(0, 0, 0, 0), (1, 1, 3, 3)], "gradient")
        assert patch.size == fields[name].size


def test_units_of_many_images_go_back_in_parts(monkeypatch):
    module, images = zoo.network("vgg"), zoo.images(2)
    graph, record = recorded(module, images)
    units = [(n % 2, n % 3, n, n) for n in range(7)]
    whole, _ = cropped(graph, record, "features.4", units, "deconvnet")
    monkeypatch.setattr("convscope.graph.batching.NUMBERS_AT_ONCE", 1)
    parts, _ = cropped(graph, record, "features.4", units, "deconvnet")
    assert torch.allclose(parts, whole, atol=1e-7)


def test_what_cannot_go_back_on_crops_is_said():
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

        def forward(self, x):
            return self.second(self.first(x).transpose(2, 3)).mean((2, 3))

    graph, record = recorded(Turned(), torch.randn(2, 3, 12, 12))
    assert croppable(graph, "first")
    assert not croppable(graph, "second")
    with pytest.raises(ConvscopeError, match="use backward"):
        project(graph, {n.node.name: n.output for n in record.layers}, "second", [(0, 0, 0, 0)])
