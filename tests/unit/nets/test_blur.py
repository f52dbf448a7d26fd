"""Pooling with a low-pass filter: its output, its buffers, its graph."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convscope import arithmetic, build_model, capture, receptive_fields, summary, trace
from convscope.graph.blocks import blocks
from convscope.graph.kinds import Kind
from convscope.lenses.atlas.ranking import atlas_layers
from convscope.lenses.pathways.downstream import pathway_layers
from convscope.nets.blur import BlurPool


def twin(maps):
    """Slow: every output value from nine maxima of 2 x 2, weighted 1 2 1 both ways."""
    batch, channels, height, width = maps.shape
    weights = (1, 2, 1)
    result = torch.zeros(batch, channels, height // 2, width // 2, dtype=maps.dtype)
    for row in range(height // 2):
        for column in range(width // 2):
            for i in range(3):
                for j in range(3):
                    top = min(max(2 * row + i - 1, 0), height - 2)
                    left = min(max(2 * column + j - 1, 0), width - 2)
                    window = maps[:, :, top : top + 2, left : left + 2]
                    share = weights[i] * weights[j] / 16
                    result[:, :, row, column] += share * window.amax(dim=(2, 3))
    return result


@pytest.mark.parametrize("size", [(8, 8), (7, 6), (3, 9), (2, 2)])
def test_values_are_those_of_a_loop_over_every_window(size):
    maps = torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(BlurPool(3).double()(maps), twin(maps))


def test_the_shape_is_that_of_a_max_pool_of_two():
    for size in ((28, 28), (7, 11), (2, 3)):
        maps = torch.randn(1, 4, *size)
        assert BlurPool(4)(maps).shape == F.max_pool2d(maps, 2).shape


def test_constant_maps_stay_constant_up_to_the_border():
    assert torch.equal(BlurPool(2)(torch.full((1, 2, 8, 8), 3.0)), torch.full((1, 2, 4, 4), 3.0))


def test_the_filter_is_stored_and_is_nothing_that_training_changes():
    pool = BlurPool(5)
    assert list(pool.parameters()) == []
    assert list(pool.state_dict()) == ["kernel"]
    assert pool.kernel.sum(dim=(1, 2, 3)).tolist() == [1.0] * 5


def test_the_blurred_network_has_the_parameters_of_the_other():
    shapes = [
        {name: value.shape for name, value in build_model(name_of).module.named_parameters()}
        for name_of in ("vgg-small", "vgg-small-blur")
    ]
    assert shapes[0] == shapes[1]


def test_a_graph_knows_the_filter_as_a_depthwise_convolution_that_ends_its_block():
    model = build_model("vgg-small-blur", num_classes=10, input_shape=(1, 32, 32), seed=0)
    graph = capture(model.module.eval(), torch.zeros(1, 1, 32, 32))
    filters = [node for node in graph.nodes if node.parameters.get("weight", "").endswith("kernel")]
    assert [node.kind for node in filters] == [Kind.CONVOLUTION] * 3
    assert [node.settings["groups"] for node in filters] == [16, 32, 64]
    assert [blocks(graph)[node.name] for node in filters] == ["block 1", "block 2", "block 3"]
    assert set(blocks(graph).values()) == {"block 1", "block 2", "block 3", "head"}
    fields = receptive_fields(graph)
    # 5 after two convolutions; the max pool adds 1, the filter 2 of stride 1.
    assert [fields[node.name].size for node in filters] == [(8, 8), (22, 22), (50, 50)]
    assert [fields[node.name].stride for node in filters] == [(2, 2), (4, 4), (8, 8)]
    counted = summary(graph).totals.parameters
    assert counted == sum(p.numel() for p in model.module.parameters())


def test_the_ledger_explains_a_number_behind_the_filter():
    model = build_model("vgg-small-blur", num_classes=10, input_shape=(1, 32, 32), seed=0)
    graph = capture(model.module.eval(), torch.zeros(1, 1, 32, 32))
    record = trace(graph, torch.randn(2, 1, 32, 32))
    name = next(n.name for n in graph.nodes if n.parameters.get("weight", "").endswith("kernel"))
    ledger = arithmetic(record, name, (3, 0, 7))
    assert ledger.agrees
    assert len(ledger.terms) == 9


def test_the_filter_is_not_taken_for_a_convolution_that_learned():
    model = build_model("vgg-small-blur", num_classes=10, input_shape=(1, 32, 32), seed=0)
    graph = capture(model.module.eval(), torch.zeros(1, 1, 32, 32))
    assert list(pathway_layers(graph)) == ["features.19", "classifier.1"]
    last_of_blocks = [
        "features.6 convolution",
        "features.13 convolution",
        "features.20 convolution",
    ]
    assert atlas_layers(graph) == last_of_blocks
    learned = atlas_layers(graph, ["convolutions"])
    assert len(learned) == 6
    assert all(graph[name].kind is Kind.RELU for name in learned)


def test_a_network_of_fixed_kernels_only_has_convolutions_all_the_same():
    module = nn.Conv2d(1, 2, 3)
    kernel = module.weight.data
    del module.weight
    module.register_buffer("weight", kernel)
    network = nn.Sequential(module, nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)).eval()
    graph = capture(network, torch.zeros(1, 1, 8, 8))
    assert atlas_layers(graph, ["convolutions"]) == ["1"]
    assert list(pathway_layers(graph)) == ["1"]


def test_a_step_of_training_leaves_the_filter_as_it_is():
    model = build_model("vgg-small-blur", num_classes=3, input_shape=(1, 16, 16), seed=0).module
    before = {name: value.clone() for name, value in model.named_buffers() if "kernel" in name}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    loss = nn.functional.cross_entropy(model(torch.randn(4, 1, 16, 16)), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    optimiser.step()
    after = dict(model.named_buffers())
    assert len(before) == 3
    assert all(torch.equal(after[name], kernel) for name, kernel in before.items())
