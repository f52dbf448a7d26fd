"""The VGG family: parameter counts, shapes, options, initialisation."""

import pytest
import torch
from torch import nn

from convscope import build_model
from convscope.base.errors import ConvscopeError
from convscope.nets.catalog import NETWORKS, build_module, num_parameters

# Configurations of the paper (table 2 gives them in millions) and torchvision's exact counts.
PARAMETERS = {
    "vgg11": 132_863_336,
    "vgg11-bn": 132_868_840,
    "vgg11-lrn": 132_863_336,
    "vgg13": 133_047_848,
    "vgg13-bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16-bn": 138_365_992,
    "vgg16-c": 133_638_952,
    "vgg19": 143_667_240,
    "vgg19-bn": 143_678_248,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts_of_the_configurations(name):
    with torch.device("meta"):
        module = build_module(name, num_classes=1000, input_shape=(3, 224, 224))
    assert num_parameters(module) == PARAMETERS[name]


def test_vgg16_layer_by_layer():
    with torch.device("meta"):
        module = build_module("vgg16", num_classes=1000, input_shape=(3, 224, 224))
    counts = [
        sum(p.numel() for p in layer.parameters())
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    assert counts == [
        1_792, 36_928, 73_856, 147_584, 295_168, 590_080, 590_080, 1_180_160, 2_359_808,
        2_359_808, 2_359_808, 2_359_808, 2_359_808, 102_764_544, 16_781_312, 4_097_000,
    ]  # fmt: skip
    assert sum(counts[:13]) == 14_714_688
    assert sum(counts[13:]) == 123_642_856


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "mlp"])
def test_every_network_answers_with_one_logit_a_class(name):
    small = {} if name.startswith("vgg-small") else {"widths": (4, 4, 8, 8, 8), "head": (8, 8)}
    module = build_module(name, num_classes=7, input_shape=(1, 64, 32), **small)
    assert module(torch.zeros(2, 1, 64, 32)).shape == (2, 7)


def test_a_trunk_ends_with_its_feature_maps():
    trunk = build_model("vgg-small", num_classes=None, input_shape=(3, 32, 48))
    assert trunk.class_names is None
    assert trunk.module(torch.zeros(1, 3, 32, 48)).shape == (1, 64, 4, 6)
    with pytest.raises(ConvscopeError, match="trunk"):
        trunk.logits(torch.zeros(1, 3, 32, 48))


def test_average_pooling_and_dropout_are_free():
    module = build_module(
        "vgg-small", num_classes=3, input_shape=(1, 32, 32), pooling="average", dropout=0.3
    )
    assert any(isinstance(layer, nn.AvgPool2d) for layer in module.modules())
    assert {m.p for m in module.modules() if isinstance(m, nn.Dropout)} == {0.3}


def test_local_response_norm_is_krizhevskys():
    module = build_module("vgg11-lrn", num_classes=2, input_shape=(3, 32, 32), head=())
    (norm,) = (m for m in module.modules() if isinstance(m, nn.LocalResponseNorm))
    x = torch.rand(1, 64, 1, 1, dtype=torch.float64)
    channel, near = 10, slice(8, 13)
    expected = x[0, channel] / (2 + 1e-4 * (x[0, near] ** 2).sum(0)) ** 0.75
    torch.testing.assert_close(norm(x)[0, channel], expected)


@pytest.mark.parametrize(
    ("init", "layer", "std"),
    [
        ("he", nn.Conv2d, (2 / (32 * 9)) ** 0.5),
        ("he", nn.Linear, 0.01),
        ("glorot", nn.Conv2d, (2 / ((16 + 32) * 9)) ** 0.5),
        ("paper-text", nn.Linear, 0.1),
        ("paper-caffe", nn.Conv2d, 0.01),
    ],
)
def test_initialisations_have_their_spread(init, layer, std):
    model = build_model("vgg-small", input_shape=(3, 64, 64), init=init, seed=1)
    of_kind = [m for m in model.module.modules() if isinstance(m, layer)]
    weight = of_kind[2].weight if layer is nn.Conv2d else of_kind[0].weight
    assert weight.std().item() == pytest.approx(std, rel=0.05)
    assert all((m.bias == 0).all() for m in of_kind)


def test_a_seed_gives_the_same_weights_and_leaves_torchs_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = build_model("vgg-small", num_classes=2, seed=3)
    assert torch.equal(torch.rand(1), expected)
    second = build_model("vgg-small", num_classes=2, seed=3)
    pairs = zip(first.module.parameters(), second.module.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vgg61", {}, "unknown model 'vgg61'; choose one of vgg11"),
        ("vgg16", {"width": 3}, "unexpected keyword argument 'width'"),
        ("vgg16", {"widths": (1, 2)}, "5 blocks need 5 widths"),
        ("vgg16", {"input_shape": (3, 16, 16)}, "too small"),
        ("vgg16", {"pooling": "median"}, "unknown pooling 'median'"),
        ("vgg-small", {"init": "zero"}, "unknown initialisation 'zero'"),
        ("nowhere:net", {}, "cannot import nowhere"),
        ("json:nothing", {}, "no function 'nothing'"),
    ],
)
def test_wrong_names_and_options_are_refused_by_name(name, options, message):
    with pytest.raises(ConvscopeError, match=message):
        build_model(name, num_classes=2, **options)
