"""Rankings over a data set: against all images at once, whatever the batches."""

import numpy as np
import pytest
import torch
from torch import nn

import zoo
from convscope.base.errors import ConvscopeError
from convscope.graph.backward import backward
from convscope.graph.capture import capture
from convscope.graph.geometry import receptive_fields
from convscope.graph.trace import trace
from convscope.lenses.atlas.projections import crops_of, projections
from convscope.lenses.atlas.ranking import atlas_layers, rank, unranked

NUMBER, TOP, CLASSES = 500, 9, 4


@pytest.fixture(scope="module")
def graph():
    module = zoo.network("vgg")
    with torch.no_grad():
        module.features[2].bias[0] = -1e6  # a dead channel
    return capture(module, zoo.images(2))


@pytest.fixture(scope="module")
def images():
    """500 images, each third of them there twice: ties."""
    found = torch.randn(NUMBER, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found[100:200] = found[:100]
    found[499] = found[0]
    return found.contiguous(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(0).integers(0, CLASSES, NUMBER)


def ranked(graph, images, labels, size, layers=None, begun=None):
    names = layers or atlas_layers(graph, ["blocks", "features.2"])
    begun = begun or unranked(graph, names, top=TOP, num_classes=CLASSES)
    batches = ((images[i : i + size], labels[i : i + size]) for i in range(0, len(images), size))
    return list(rank(graph, batches, begun))[-1]


@pytest.fixture(scope="module")
def whole(graph, images, labels):
    return ranked(graph, images, labels, 64)


def test_every_channel_has_the_images_that_all_images_at_once_give(graph, images, whole):
    record = trace(graph, images, keep=list(whole))
    for name, ranking in whole.items():
        maps = record[name].output.numpy()
        flat = maps.reshape(*maps.shape[:2], -1)
        for channel in range(maps.shape[1]):
            values = flat[:, channel].max(axis=1)
            # By strength, then by number; zero excites nobody.
            expected = sorted(range(NUMBER), key=lambda n: (-values[n], n))[:TOP]
            expected = [n for n in expected if values[n] > 0]
            count = len(expected)
            assert ranking.images[channel, :count].tolist() == expected
            assert ranking.strengths[channel, :count].tolist() == values[expected].tolist()
            places = flat[expected, channel].argmax(axis=1)
            rows, columns = np.unravel_index(places, maps.shape[2:])
            assert ranking.positions[channel, :count].tolist() == [
                [int(r), int(c)] for r, c in zip(rows, columns, strict=True)
            ]
            assert (ranking.images[channel, count:] == -1).all()


def test_the_figures_are_those_of_all_images_at_once(graph, images, labels, whole):
    record = trace(graph, images, keep=list(whole))
    for name, ranking in whole.items():
        strengths = record[name].output.amax((2, 3)).double().numpy()
        assert ranking.count == NUMBER
        assert np.allclose(ranking.share, (strengths > 0).mean(axis=0))
        assert np.allclose(ranking.mean, strengths.mean(axis=0))
        assert np.allclose(ranking.largest, strengths.max(axis=0))
        selectivity, best = ranking.selectivity()
        means = np.stack([strengths.clip(0)[labels == c].mean(axis=0) for c in range(CLASSES)])
        for channel in np.flatnonzero(~ranking.dead):
            order = np.argsort(-means[:, channel])
            others = means[order[1:], channel].mean()
            most = means[order[0], channel]
            assert best[channel] == order[0]
            assert selectivity[channel] == pytest.approx((most - others) / (most + others))


@pytest.mark.parametrize("size", [1, 2, 7, 100, 500])
def test_the_batches_decide_nothing(graph, images, labels, whole, size):
    for name, ranking in ranked(graph, images, labels, size).items():
        assert np.array_equal(ranking.images, whole[name].images)
        assert np.array_equal(ranking.positions, whole[name].positions)
        assert np.array_equal(ranking.strengths, whole[name].strengths)


def test_a_pass_that_goes_on_comes_to_the_same(graph, images, labels, whole):
    half = ranked(graph, images[:192], labels[:192], 64)
    both = ranked(graph, images[192:], labels[192:], 64, begun=half)
    for name, ranking in both.items():
        assert np.array_equal(ranking.images, whole[name].images)
        assert np.allclose(ranking.mean, whole[name].mean)


def test_a_dead_channel_has_no_images_and_a_projection_of_zeros(graph, images, whole):
    name = next(n for n in whole if whole[n].dead.any())
    ranking = whole[name]
    channel = int(np.flatnonzero(ranking.dead)[0])
    assert (ranking.images[channel] == -1).all()
    assert np.isnan(ranking.selectivity()[0][channel])
    crops = crops_of(ranking, receptive_fields(graph)[name], (32, 32))
    found = projections(graph, ranking, crops, [channel], lambda numbers: images[numbers])
    assert not found.shares.any()
    assert not found.scales.any()


def test_projections_are_the_activation_times_the_full_way_back(graph, images, whole):
    for name, ranking in whole.items():
        crops = crops_of(ranking, receptive_fields(graph)[name], (32, 32))
        channels = np.flatnonzero(~ranking.dead)[:3].tolist()
        found = projections(graph, ranking, crops, channels, lambda numbers: images[numbers])
        for place, channel in enumerate(channels):
            for spot in (0, TOP - 1):
                image = int(ranking.images[channel, spot])
                row, column = ranking.positions[channel, spot].tolist()
                record = trace(graph, images[[image, image]])
                seed = torch.zeros(graph[name].output_shape)
                seed[channel, row, column] = record[name].output[0, channel, row, column]
                expected = backward(record, name, seed, "deconvnet", images=[0])[0].numpy()
                y0, x0, y1, x1 = crops[channel, spot].tolist()
                values = found.shares[place, spot].astype(np.float32) * found.scales[place, spot]
                part = values[:, : y1 - y0, : x1 - x0]
                limit = np.abs(expected).max()
                assert np.abs(part - expected[:, y0:y1, x0:x1]).max() <= 1e-3 * limit
                assert np.abs(expected).sum() == pytest.approx(
                    np.abs(expected[:, y0:y1, x0:x1]).sum()
                )


def test_networks_that_cannot_go_back_on_crops_are_projected_too():
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.second(self.first(x).relu().transpose(2, 3)).relu().mean((2, 3)))

    torch.manual_seed(0)
    pictures = torch.randn(6, 3, 14, 14)
    graph = capture(Turned().eval(), pictures[:2])
    ranking = ranked(graph, pictures, np.zeros(6, np.int64), 4, ["relu#2"])["relu#2"]
    crops = crops_of(ranking, receptive_fields(graph).get("relu#2"), (14, 14))
    living = np.flatnonzero(~ranking.dead)[:1].tolist()
    found = projections(graph, ranking, crops, living, lambda numbers: pictures[numbers])
    assert found.scales[0, 0] > 0
    assert crops[living[0], 0].tolist() == [0, 0, 14, 14]


def test_what_is_no_number_is_refused(graph, images):
    broken = images[:4].clone()
    broken[2, 0, 5, 5] = float("nan")
    with pytest.raises(ConvscopeError, match="image 2 of the data"):
        ranked(graph, broken, np.zeros(4, np.int64), 4)


def test_layers_by_name(graph):
    pools = [node.name for node in graph.nodes if node.kind == "max_pool"]
    # The last pool leaves one pixel: there are no maps any more.
    assert atlas_layers(graph) == [*pools[:-1], "features.29"]
    names = atlas_layers(graph, ["convolutions"])
    assert all(graph[name].kind == "relu" for name in names)
    with pytest.raises(ConvscopeError, match="without rows and columns"):
        atlas_layers(graph, [graph.logits])
    with pytest.raises(ConvscopeError, match="did you mean"):
        atlas_layers(graph, ["features.99"])


def test_a_network_without_convolutions_has_no_atlas():
    graph = capture(nn.Sequential(nn.Flatten(), nn.Linear(48, 3)), torch.zeros(2, 3, 4, 4))
    with pytest.raises(ConvscopeError, match="no convolutions"):
        atlas_layers(graph)
