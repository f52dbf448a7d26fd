"""The guide's table of VGG-16 to the digit, blocks of every family, and the JSON."""

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import zoo
from convscope.graph.blocks import blocks
from convscope.graph.capture import capture
from convscope.graph.summary import CONVENTIONS, summary
from convscope.nets.catalog import build_module


def summed_up(name, shape=(3, 224, 224)):
    with torch.device("meta"):
        module = build_module(name, num_classes=1000, input_shape=shape)
    return summary(capture(module, torch.zeros(1, *shape)), name)


@pytest.fixture(scope="module")
def vgg16():
    return summed_up("vgg16")


STAGES = {
    "block 1": ((64, 112, 112), [1_792, 36_928]),
    "block 2": ((128, 56, 56), [73_856, 147_584]),
    "block 3": ((256, 28, 28), [295_168, 590_080, 590_080]),
    "block 4": ((512, 14, 14), [1_180_160, 2_359_808, 2_359_808]),
    "block 5": ((512, 7, 7), [2_359_808, 2_359_808, 2_359_808]),
    "head": ((1000,), [102_764_544, 16_781_312, 4_097_000]),
}


def test_the_stages_of_the_guide(vgg16):
    assert list(vgg16.blocks) == list(STAGES)
    for block, (shape, parameters) in STAGES.items():
        layers = vgg16.blocks[block]
        assert layers[-1].output_shape == shape
        assert [la.parameters for la in layers if la.parameters] == parameters
    assert [la.name for la in vgg16.blocks["head"]] == [
        "avgpool", "flatten", *(f"classifier.{i}" for i in range(7)),
    ]  # fmt: skip
    for block in list(STAGES)[:5]:
        kinds = [str(la.kind) for la in vgg16.blocks[block]]
        convolutions = len(STAGES[block][1])
        assert kinds == ["convolution", "relu"] * convolutions + ["max_pool"]
    flat = next(la for la in vgg16.layers if la.name == "flatten")
    assert flat.output_shape == (25_088,)


def test_the_totals_of_the_guide(vgg16):
    totals = vgg16.totals
    assert totals.parameters == 138_357_544
    assert totals.parameter_memory == 4 * 138_357_544
    assert totals.macs == 15_470_264_320
    assert totals.convolution_macs == 15_346_630_656
    assert totals.linear_macs == 123_633_664
    head = sum(la.parameters for la in vgg16.blocks["head"])
    assert (head, totals.parameters - head) == (123_642_856, 14_714_688)
    assert totals.memory == 4 * totals.activations == 4 * sum(la.activations for la in vgg16.layers)


FIELDS = {
    "features.0": (3, 1, 1), "features.4": (6, 2, 2), "features.5": (10, 2, 4),
    "features.9": (16, 4, 6), "features.10": (24, 4, 10), "features.16": (44, 8, 18),
    "features.23": (100, 16, 42), "features.28": (196, 16, 90), "features.30": (212, 32, 90),
    "avgpool": (212, 32, 90),
}  # fmt: skip


def test_the_receptive_fields_of_the_guide(vgg16):
    by_name = {la.name: la.receptive_field for la in vgg16.layers}
    for name, numbers in FIELDS.items():
        field = by_name[name]
        assert [field.size, field.stride, field.padding] == [(n, n) for n in numbers], name
        assert field.exact


def test_the_comparisons_of_the_guide(vgg16):
    beside = vgg16.comparisons
    assert beside.mlp.parameters_before_output == 19_300_736
    assert beside.mlp.parameters == 19_300_736 + 129_000
    assert beside.first_convolution.parameters == 1_792
    assert beside.first_convolution.dense_parameters == 483_388_358_656
    assert beside.first_dense.layer == "classifier.0"
    assert beside.first_dense.parameters == 102_764_544
    assert beside.first_dense.parameters_without_pools == 105_226_702_848


TOTALS = {
    "vgg11": 132_863_336, "vgg11-lrn": 132_863_336, "vgg13": 133_047_848,
    "vgg16-c": 133_638_952, "vgg16": 138_357_544, "vgg19": 143_667_240,
    "vgg11-bn": 132_868_840, "vgg11-lrn-bn": 132_868_840, "vgg13-bn": 133_053_736,
    "vgg16-c-bn": 133_647_400, "vgg16-bn": 138_365_992, "vgg19-bn": 143_678_248,
}  # fmt: skip


@pytest.mark.parametrize("name", TOTALS)
def test_every_configuration_of_the_paper(name):
    found = summed_up(name)
    assert found.totals.parameters == TOTALS[name]
    assert list(found.blocks) == list(STAGES)
    assert [block[-1].output_shape for block in found.blocks.values()] == [
        shape for shape, _ in STAGES.values()
    ]


def of_family(family):
    return summary(capture(zoo.network(family), zoo.images(1)), family)


def names(found, block):
    return [la.name for la in found.blocks[block]]


def test_blocks_of_a_residual_network():
    found = of_family("resnet")
    assert list(found.blocks) == ["block 1", "block 2", "block 3", "head"]
    assert names(found, "block 1") == ["stem.0", "stem.1", "stem.2", "pool"]
    assert {name.split(" ")[0][:8] for name in names(found, "block 2")} == {"blocks.0"}
    assert "blocks.1.shortcut.0" in names(found, "block 3")
    assert names(found, "head") == ["avgpool", "flatten", "fc"]


def test_blocks_of_branches_side_by_side():
    found = of_family("inception")
    assert list(found.blocks) == ["block 1", "block 2", "head"]
    assert names(found, "block 1")[-1] == "max_pool"
    assert names(found, "block 2")[:2] == ["reduce", "concatenate"]
    assert "mixed1 average_pool" in names(found, "block 1")  # it reduces nothing
    assert names(found, "head") == ["adaptive_average_pool", "fc"]


def test_a_gate_stays_in_its_block():
    found = of_family("depthwise")
    assert names(found, "block 1") == ["expand.0", "expand.1", "hardswish"]
    assert {"adaptive_average_pool", "squeeze", "excite"} < set(names(found, "block 2"))
    assert names(found, "head")[0] == "adaptive_average_pool#2"


class GatedAtTheEnd(nn.Module):
    """The gate of the last block, with linear layers: no convolution follows it."""

    def __init__(self):
        super().__init__()
        self.conv, self.down, self.up = nn.Conv2d(3, 8, 3), nn.Linear(8, 2), nn.Linear(2, 8)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = self.conv(x)
        gate = self.up(self.down(x.mean((2, 3)))).sigmoid()
        x = x * gate[:, :, None, None]
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def test_a_gate_at_the_end_is_no_head():
    graph = capture(GatedAtTheEnd(), zoo.images(1))
    head = [name for name, block in blocks(graph).items() if block == "head"]
    assert head == ["adaptive_average_pool#2", "flatten", "fc"]
    assert summary(graph).comparisons.first_dense is None  # the gate fixes its size


def test_a_perceptron_is_all_head():
    found = of_family("mlp")
    assert list(found.blocks) == ["head"]
    assert found.comparisons.first_convolution is found.comparisons.first_dense is None
    assert all(la.dense_parameters is None for la in found.layers)


def test_a_trunk_has_no_head_and_an_average_pool_of_blocks_is_not_global():
    module = build_module("vgg11", num_classes=None, input_shape=(3, 32, 32), pooling="average")
    found = summary(capture(module, zoo.images(1)))
    assert list(found.blocks) == [f"block {i}" for i in range(1, 6)]
    assert found.comparisons.mlp.parameters is None
    pooled = nn.Sequential(nn.Conv2d(3, 4, 3, 4, 1), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(4, 2))
    places = blocks(capture(pooled, zoo.images(1)))
    assert list(places.values()) == ["block 1", "head", "head", "head"]


def test_upsampling_begins_a_block():
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1), nn.ConvTranspose2d(4, 4, 2, 2)
    )
    found = summary(capture(module, zoo.images(1)))
    assert [la.block for la in found.layers] == ["block 1", "block 2", "block 3"]
    assert found.unknown_operations == ("conv_transpose2d",)
    assert found.as_json()["conventions"]["macs"].endswith("none counted for conv_transpose2d")


@pytest.mark.parametrize("family", ["vgg", "vgg-bn", "vgg-lrn"])
def test_without_pools_as_built_without_pools(family):
    """The comparison's number against the same network, its pool modules replaced."""
    found = of_family(family).comparisons.first_dense
    module = zoo.network(family)
    module.avgpool = nn.Identity()
    for index, part in enumerate(module.features):
        if isinstance(part, nn.MaxPool2d):
            module.features[index] = nn.Identity()
    maps = torch.flatten(module.features(zoo.images(1)), 1)
    inputs = module.classifier[0].out_features * maps.shape[1]
    assert found.parameters_without_pools == inputs + module.classifier[0].out_features


PER_LAYER = {
    "name": str, "kind": str, "output_shape": list, "parameters": int, "macs": int,
    "receptive_field": dict | None, "activations": int, "memory": int, "block": str,
    "module": str, "operation": str, "inputs": list, "dense_parameters": int | None,
}  # fmt: skip


@pytest.mark.parametrize("family", zoo.FAMILIES)
def test_json(family):
    found = of_family(family)
    data = found.as_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert list(data) == ["name", "input_shape", "layers", "totals", "conventions", "comparisons"]
    assert (data["name"], data["input_shape"]) == (family, [3, 32, 32])
    assert data["conventions"] == CONVENTIONS
    for layer in data["layers"]:
        assert set(layer) == set(PER_LAYER)
        for key, kind in PER_LAYER.items():
            assert isinstance(layer[key], kind), key
        field = layer["receptive_field"]
        if field is not None:
            assert set(field) == {"size", "stride", "padding", "exact"}
            assert all(isinstance(side, int) for key in ("size", "stride") for side in field[key])
            assert isinstance(field["exact"], bool)
    for key in ("parameters", "macs", "activations", "memory"):
        assert data["totals"][key] == sum(layer[key] for layer in data["layers"])
    assert "input" not in [layer["name"] for layer in data["layers"]]
