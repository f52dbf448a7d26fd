"""Contributions and bias share against the logit, against autograd, and where they must fail."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import zoo
from convscope import build_model
from convscope.base.errors import ConvscopeError
from convscope.graph.capture import capture
from convscope.graph.trace import trace
from convscope.lenses.pathways.compute import pathways
from convscope.lenses.pathways.downstream import downstream, passes_all, pathway_layers

LINEAR_IN_PIECES = ["vgg", "vgg-bn", "vgg-lrn", "mlp", "resnet", "inception", "densenet",
                    "functional"]  # fmt: skip


def with_biases(module):
    """The same network with biases that matter."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            parameter.data = torch.randn(parameter.shape, generator=generator) / 4
    return module


@functools.cache
def traced(name):
    module = with_biases(zoo.network(name))
    return module, trace(capture(module, zoo.images(2)), zoo.images(2))


def network(*parts):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(*[part() if isinstance(part, type) else part for part in parts]).eval()


def record_of(module):
    images = zoo.images(1)
    return trace(capture(module, images), images)


# --- the identity


@pytest.mark.parametrize("name", LINEAR_IN_PIECES)
def test_contributions_and_bias_share_give_the_logit(name):
    _, record = traced(name)
    for image in (0, 1):
        for target in range(0, 10, 3):
            found = pathways(record, target, image=image)
            for layer in found.layers:
                assert layer.logits[0] == float(record.logits[image, target])
                for contributions, bias, logit in zip(
                    layer.contribution_sum, layer.bias_share, layer.logits, strict=True
                ):
                    assert contributions + bias == pytest.approx(logit, abs=1e-4, rel=1e-5)
                assert layer.identity_holds


@pytest.mark.parametrize("name", LINEAR_IN_PIECES)
def test_without_the_biases_the_identity_fails(name):
    found = pathways(traced(name)[1])
    for layer in found.layers:
        assert any(layer.bias_share)
        assert not replace(layer, biases={}).identity_holds


@pytest.mark.parametrize(("name", "culprit"), [("depthwise", "head.1"), ("activations", "acts.1")])
def test_behind_a_curved_function_the_residue_and_its_name_are_told(name, culprit):
    layer = pathways(traced(name)[1]).layers[0]
    assert not layer.identity_holds
    assert culprit in layer.not_piecewise_linear
    rest = layer.logits[0] - layer.contribution_sum[0] - layer.bias_share[0]
    assert layer.residue[0] == pytest.approx(rest, rel=1e-9)
    assert abs(layer.residue[0]) > 1e-4


def test_a_clamp_adds_its_height_where_it_is_flat():
    for clamp in (nn.ReLU6(), nn.Hardtanh(-0.1, 0.2), nn.Hardsigmoid()):
        head = [nn.Flatten(), nn.Linear(4 * 30 * 30, 12), clamp, nn.Linear(12, 3)]
        module = network(nn.Conv2d(3, 4, 3), nn.ReLU(), *head)
        module[3].weight.data.mul_(40)  # so that some lie beyond the clamp
        layer = pathways(record_of(module)).layers[0]
        assert layer.identity_holds
        assert any(layer.biases["4"])


# --- against autograd


@pytest.mark.parametrize("name", [*LINEAR_IN_PIECES, "depthwise", "activations"])
def test_a_contribution_is_activation_times_the_traces_gradient(name):
    _, record = traced(name)
    found = pathways(record, 4, 7, image=1)
    for target, row in ((4, 0), (7, 1)):
        again = trace(record.graph, record.images, torch.tensor([0, target]))
        for layer in found.layers:
            expected = (again[layer.name].output * again[layer.name].gradient)[1].double().numpy()
            assert np.allclose(layer.contributions[row], expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["vgg", "mlp", "resnet"])
def test_the_bias_share_is_the_sum_of_biases_times_their_gradients(name):
    """Where only linear layers follow: d(logit) / d(bias) . bias, by autograd on the module."""
    module, record = traced(name)
    found = pathways(record, 2, image=0)
    for layer in found.layers:
        later = {node.module_path for node in downstream(record.graph, layer.name)}
        biases = [p for n, p in module.named_parameters() if n.endswith("bias")
                  and n.removesuffix(".bias") in later]  # fmt: skip
        gradients = torch.autograd.grad(module(record.images)[0, 2], biases)
        expected = sum(
            float((b.detach() * g).sum()) for b, g in zip(biases, gradients, strict=True)
        )
        assert biases
        assert layer.bias_share[0] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_edges_of_all_channels_add_up_to_the_units_contribution():
    module = zoo.network("vgg")  # its biases are zero
    record = record_of(module)
    found = pathways(record)
    maps, units = found.layers
    assert found.edges.shape == (len(units.drawn), len(maps.activations))
    expected = units.contributions[0, list(units.drawn)]
    assert np.allclose(found.edges.sum(axis=1), expected, rtol=1e-4, atol=1e-10)


# --- layers


def test_the_layers_are_where_all_ways_have_met():
    expected = {
        "vgg": ["features.29", "classifier.1"], "vgg-bn": ["features.27", "classifier.1"],
        "mlp": ["layers.1"], "resnet": ["blocks.1.relu#2"], "inception": ["mixed2 concatenate"],
        "densenet": ["transition.0"], "depthwise": ["silu", "head.1"],
    }  # fmt: skip
    for name, layers in expected.items():
        graph = traced(name)[1].graph
        assert list(pathway_layers(graph)) == layers, name
        assert all(passes_all(graph, layer) for layer in layers)
    assert not passes_all(traced("resnet")[1].graph, "blocks.1.conv2")


@pytest.mark.parametrize("name", zoo.FAMILIES)
def test_running_on_from_a_layer_gives_the_networks_logits(name):
    _, record = traced(name)
    graph = record.graph
    for layer in pathway_layers(graph):
        logits = graph.run({layer: record[layer].output}, [graph.logits])[graph.logits]
        assert torch.allclose(logits, record.logits, rtol=1e-5, atol=1e-7)


def test_a_convolution_that_gives_the_classes_maps_is_no_layer_of_the_pathway():
    module = network(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 5, 1), nn.AdaptiveAvgPool2d(1),
                     nn.Flatten())  # fmt: skip
    record = record_of(module)
    found = pathways(record)
    assert [layer.name for layer in found.layers] == ["1"]
    assert found.layers[0].identity_holds
    assert "no fully connected layer" in found.notes[0]
    assert found.edges is None


def test_an_mlp_begins_at_its_first_dense_layer_and_says_so():
    found = pathways(traced("mlp")[1])
    assert "no convolution" in found.notes[0]
    assert found.layers[0].role == "first fully connected layer"


# --- classes


def test_target_and_contrast_are_the_two_most_probable_classes():
    _, record = traced("vgg")
    order = record.logits[1].argsort(descending=True).tolist()
    found = pathways(record, image=1)
    assert (found.target, found.contrast, found.predicted) == (order[0], order[1], order[0])
    assert pathways(record, order[4], image=1).contrast == order[0]
    expected = record.logits[1].double().softmax(0).numpy()
    assert np.allclose(found.probabilities, expected, rtol=1e-12)


def test_all_that_is_shown_gives_something_and_the_targets_largest_comes_first():
    for layer in pathways(traced("resnet")[1]).layers:
        values = layer.channels[0, list(layer.drawn)]
        assert len(set(layer.drawn)) == len(layer.drawn) <= 8
        assert (np.diff(values) <= 0).all()
        assert int(np.abs(layer.channels[0]).argmax()) in layer.drawn


# --- what cannot be explained


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": 10}, r"target must be in 0..9, got 10"),
        ({"contrast": -1}, r"contrast must be in 0..9, got -1"),
        ({"target": 3, "contrast": 3}, "both class 3"),
        ({"image": 2}, r"image must be in 0..1, got 2"),
    ],
)
def test_classes_and_images_that_do_not_fit(arguments, message):
    with pytest.raises(ConvscopeError, match=message):
        pathways(traced("vgg")[1], **arguments)


def test_a_trunk_has_no_logit_to_explain():
    trunk = build_model("vgg11", num_classes=None, input_shape=(3, 32, 32), seed=0).module
    with pytest.raises(ConvscopeError, match="trunk"):
        pathways(record_of(trunk))


def test_one_class_has_nothing_to_compare_with():
    with pytest.raises(ConvscopeError, match="one class"):
        pathways(record_of(network(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(3600, 1))))


def test_a_single_linear_layer_has_no_pathway():
    with pytest.raises(ConvscopeError, match="no layer between pixels and logits"):
        pathways(record_of(network(nn.Flatten(), nn.Linear(3072, 4))))


def test_numbers_that_are_not_finite():
    module = zoo.network("resnet")
    module.fc.bias.data[3] = torch.nan
    with pytest.raises(ConvscopeError, match="not all finite"):
        pathways(record_of(module))


def test_units_switched_off_behind_the_layer_are_refused():
    _, record = traced("vgg")
    edited = trace(record.graph, record.images, edits={"classifier.4": torch.zeros(16)})
    with pytest.raises(ConvscopeError, match=r"classifier\.4"):
        pathways(edited)


def test_a_trace_without_the_layers_says_what_to_keep():
    _, record = traced("vgg")
    with pytest.raises(ConvscopeError, match="keep"):
        pathways(trace(record.graph, record.images, keep=[]))


def test_where_every_unit_is_dead_the_logit_is_all_bias():
    module = with_biases(zoo.network("vgg"))
    for part in (module.features[28], module.classifier[0]):
        part.weight.data.zero_()
        part.bias.data.fill_(-1)
    found = pathways(record_of(module))
    for layer in found.layers:
        assert layer.contribution_sum == (0, 0)
        assert layer.bias_share == pytest.approx(layer.logits, rel=1e-5)
        assert layer.drawn == ()
        assert "every unit" in (layer.no_proof_reason or "")
