"""Costs against brute-force counts, the guide's numbers and torch's own counter."""

from math import prod

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import zoo
from convscope.graph.capture import capture
from convscope.graph.cost import (
    dense_parameters,
    mlp_parameters,
    multiply_adds,
    num_activations,
    num_parameters,
    parameter_bytes,
    value_bytes,
)
from convscope.graph.kinds import Kind
from convscope.nets.catalog import build_module

ONE = torch.zeros(1, 3, 32, 32)


def graph_of(module, shape=(3, 32, 32)):
    return capture(module, torch.zeros(1, *shape))


@pytest.mark.parametrize("family", zoo.FAMILIES)
def test_all_parameters_are_counted_once(family):
    module = zoo.network(family)
    counts = num_parameters(capture(module, ONE))
    assert sum(counts.values()) == sum(p.numel() for p in module.parameters())


def brute_force(node):
    """Multiplications counted one by one: every output value, every weight that it uses."""
    count = 0
    if node.kind is Kind.CONVOLUTION:
        outputs, rows, columns = node.output_shape
        kernel = node.settings["kernel_size"]
        per_group = node.input_shapes[0][0] // node.settings["groups"]
        for _ in range(outputs):
            for _ in range(rows):
                for _ in range(columns):
                    for _ in range(per_group):
                        count += kernel[0] * kernel[1]
    elif node.kind is Kind.LINEAR:
        for _ in range(node.output_shape[-1]):
            count += node.input_shapes[0][-1]
    return count


@pytest.mark.parametrize("family", zoo.FAMILIES)
def test_multiply_adds_are_those_counted_one_by_one_and_half_of_torchs_operations(family):
    module = zoo.network(family)
    nodes = capture(module, ONE).nodes
    assert [multiply_adds(node) for node in nodes] == [brute_force(node) for node in nodes]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(ONE)
    assert counter.get_total_flops() == 2 * sum(map(multiply_adds, nodes))


def test_grouped_and_depthwise_convolutions():
    grouped = graph_of(nn.Conv2d(4, 6, 3, padding=1, groups=2), (4, 5, 5))
    depthwise = graph_of(nn.Conv2d(4, 4, (3, 1), groups=4), (4, 5, 5))
    assert multiply_adds(grouped.nodes[1]) == 6 * 25 * 2 * 9
    assert multiply_adds(depthwise.nodes[1]) == 4 * 15 * 3
    assert num_parameters(grouped)[grouped.output] == 6 * (2 * 9 + 1)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.second = nn.Conv2d(3, 3, 3, padding=1)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.first(self.second(self.first(x)))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_tied_weights_and_second_calls_count_once(device):
    with torch.device(device):
        module = Tied()
        graph = capture(module, torch.zeros(1, 3, 8, 8))
    assert list(num_parameters(graph).values()) == [0, 84, 3, 0]
    assert list(graph.first_uses.values())[2] == ("second.bias",)
    assert parameter_bytes(graph) == 4 * 87


def test_what_a_weight_is_computed_from_counts_at_its_layer():
    module = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.ReLU())
    graph = graph_of(module, (3, 8, 8))
    counts = num_parameters(graph)
    convolution = next(node.name for node in graph.nodes if node.kind is Kind.CONVOLUTION)
    total = sum(p.numel() for p in module.parameters())
    assert sum(counts.values()) == counts[convolution] == total


def test_batch_norm_statistics_are_no_parameters():
    graph = graph_of(nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4)))
    assert list(num_parameters(graph).values()) == [0, 12, 8]


def test_views_and_the_input_compute_no_values():
    graph = graph_of(
        nn.Sequential(nn.Conv2d(3, 2, 1), nn.Dropout(), nn.ReLU(True), nn.Flatten()), (3, 4, 4)
    )
    assert [num_activations(node) for node in graph.nodes] == [0, 32, 0, 32, 0]
    padded = graph_of(nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(3, 1, 1)), (3, 4, 4))
    assert [num_activations(node) for node in padded.nodes] == [0, 3 * 36, 36]


def test_bytes_follow_the_parameters_precision():
    half = nn.Conv2d(3, 2, 1).to(torch.bfloat16)
    graph = capture(half, torch.zeros(1, 3, 4, 4, dtype=torch.bfloat16))
    assert (value_bytes(graph), parameter_bytes(graph)) == (2, 16)
    assert value_bytes(graph_of(nn.ReLU())) == 4


def test_the_filters_of_the_guide():
    for filters, expected in ((1, 28), (2, 56)):
        graph = graph_of(nn.Conv2d(3, filters, 3))
        assert num_parameters(graph)[graph.output] == expected


def test_the_multilayer_perceptron_of_the_guide():
    inputs = 224 * 224 * 3
    assert inputs == 150_528
    assert mlp_parameters(inputs, (128, 128, 128)) == 19_300_736
    assert inputs * 128**3 == 315_680_096_256  # the guide's 300 billion: multiplied, not added
    with torch.device("meta"):
        trunk = build_module("mlp", num_classes=None, input_shape=(3, 224, 224))
        whole = build_module("mlp", num_classes=1000, input_shape=(3, 224, 224))
    for module, outputs in ((trunk, None), (whole, 1000)):
        counts = num_parameters(capture(module, torch.zeros(1, 3, 224, 224)))
        assert sum(counts.values()) == mlp_parameters(inputs, (128, 128, 128), outputs)


def test_the_dense_twin_has_a_weight_for_each_pair_and_a_bias_for_each_output():
    node = graph_of(nn.Conv2d(3, 5, 3, 2, bias=False)).nodes[1]
    dense = nn.Linear(prod(node.input_shapes[0]), prod(node.output_shape), device="meta")
    assert dense_parameters(node) == sum(p.numel() for p in dense.parameters())
    assert dense_parameters(graph_of(nn.ReLU()).nodes[1]) is None
