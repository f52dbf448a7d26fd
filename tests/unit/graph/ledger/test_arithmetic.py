"""Ledgers over whole networks: every number agrees, and a changed one does not."""

import dataclasses
import functools
import json
import math
import random

import jaxtyping
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import zoo
from convscope import build_model
from convscope.base.errors import ConvscopeError
from convscope.graph.capture import capture
from convscope.graph.kinds import Kind
from convscope.graph.ledger.arithmetic import arithmetic
from convscope.graph.trace import LayerRecord, Trace, trace

TARGETS = torch.tensor([3, 7])
PLACES = 1000


class Rearranged(nn.Module):
    """Rearrangements, constants and norms that the zoo's families do not have."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 4, 4)
        self.scale = nn.Parameter(torch.rand(4, 1, 1) + 0.5)
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = self.conv(x).clone().flip(3).transpose(2, 3)
        x = F.pad(x, (1, 1, 1, 1), value=0.25) / self.scale
        x = F.dropout(F.pixel_unshuffle(x, 2), 0.5, self.training)
        x = F.max_pool2d(2 - x * self.scale.repeat(4, 1, 1), 2, padding=1)
        return self.fc(x[:, :, 1:, 1:].reshape(-1, 4, 4, 4).flatten(1))


NETWORKS = [*zoo.FAMILIES, "rearranged"]


def built(name):
    if name != "rearranged":
        return zoo.network(name)
    torch.manual_seed(1)
    return Rearranged().eval()


@functools.cache
def traced(name):
    images = zoo.images(2)
    return trace(capture(built(name), images), images, TARGETS)


def independent(record):
    """The same trace without memory in common: neither views of each other nor others' weights."""
    layers = tuple(LayerRecord(x.node, x.output.clone()) for x in record.layers)
    tensors = {name: tensor.detach().clone() for name, tensor in record.graph.tensors.items()}
    graph = dataclasses.replace(record.graph, tensors=tensors)
    return Trace(graph, record.images.clone(), record.logits, record.targets, layers)


def random_places(record, count, seed=0):
    """(node, index, image), every node in turn."""
    generator = random.Random(seed)
    for number in range(count):
        output = record.layers[number % len(record.layers)].output
        image, *index = (generator.randrange(side) for side in output.shape)
        yield record.layers[number % len(record.layers)].node, tuple(index), image


@pytest.mark.parametrize("name", NETWORKS)
def test_random_numbers_of_every_node_agree(name):
    record = traced(name)
    for node, index, image in random_places(record, PLACES):
        ledger = arithmetic(record, node.name, index, image)
        assert ledger.agrees, ledger
        assert ledger.error <= 2e-6
        assert ledger.value == float(record[node.name].output[(image, *index)])
        if ledger.weighted and len(ledger.terms) < 100:
            total = sum(term.product for term in ledger.terms) + (ledger.bias or 0.0)
            assert total == pytest.approx(ledger.sum, abs=1e-12 * max(1.0, ledger.scale))


def test_every_kind_is_visited():
    kinds = {record.node.kind for name in NETWORKS for record in traced(name).layers}
    assert kinds == set(Kind) - {Kind.OTHER}


@pytest.mark.parametrize("name", NETWORKS)
def test_json(name):
    record = traced(name)
    for node, index, image in random_places(record, 2 * len(record.layers)):
        ledger = arithmetic(record, node.name, index, image)
        read = json.loads(json.dumps(ledger.as_json(), allow_nan=False))
        assert {"layer", "kind", "index", "terms", "bias", "sum", "value", "difference"} <= set(
            read
        )
        assert (read["layer"], read["kind"]) == (node.name, str(node.kind))
        assert (tuple(read["index"]), read["image"]) == (index, image)
        assert (read["sum"], read["value"], read["bias"]) == (ledger.sum, ledger.value, ledger.bias)
        assert read["difference"] == read["value"] - read["sum"]
        assert len(read["terms"]) == len(ledger.terms)
        for entry, term in zip(read["terms"], ledger.terms, strict=True):
            value = term.value if math.isfinite(term.value) else None
            assert entry == {
                "node": term.node, "index": list(term.index), "weight": term.weight,
                "value": value, "padding": term.padding,
            }  # fmt: skip


# Corruption: what is changed, and that it shows.


def responsive(record, kind, seed=0):
    """A number of a node of that kind that follows its largest term."""
    of_kind = [layer for layer in record.layers if layer.node.kind is kind]
    generator = random.Random(seed)
    for layer in of_kind * 500:
        image, *index = (generator.randrange(side) for side in layer.output.shape)
        ledger = arithmetic(record, layer.node.name, tuple(index), image)
        terms = [term for term in ledger.terms if not term.padding]
        if kind is Kind.INPUT:
            return ledger, None
        if not terms or abs(ledger.sum) < 1e-3:
            continue
        if kind in (Kind.HARDTANH, Kind.RELU6, Kind.HARDSIGMOID) and not 0 < terms[0].value < 0.9:
            continue
        return ledger, max(terms, key=lambda term: abs(term.product))
    raise AssertionError(f"no number of kind {kind} that follows its inputs")


def home(kind):
    """A network with that kind."""
    return next(n for n in NETWORKS if any(x.node.kind is kind for x in traced(n).layers))


KINDS = sorted(set(Kind) - {Kind.OTHER})


def again(record, ledger):
    return arithmetic(record, ledger.layer, ledger.index, ledger.image)


def check_changed(record, ledger, tensor, place):
    """Changing tensor[place] breaks the agreement; putting it back mends it."""
    before = tensor[place].clone()
    assert again(record, ledger).agrees
    tensor[place] += 0.05 * (1 + before.abs())
    assert not again(record, ledger).agrees
    tensor[place] = before
    assert again(record, ledger).agrees


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_output_is_noticed(kind):
    record = independent(traced(home(kind)))
    ledger, _ = responsive(record, kind)
    check_changed(record, ledger, record[ledger.layer].output, (ledger.image, *ledger.index))


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_input_is_noticed(kind):
    record = independent(traced(home(kind)))
    ledger, term = responsive(record, kind)
    if term is None:  # the input's own source is the images
        check_changed(record, ledger, record.images, (ledger.image, *ledger.index))
    else:
        check_changed(record, ledger, record[term.node].output, (ledger.image, *term.index))


def parameters():
    """Every (kind, role) that the networks have."""
    wanted = {
        Kind.CONVOLUTION: ("weight", "bias"),
        Kind.LINEAR: ("weight", "bias"),
        Kind.BATCH_NORM: ("weight", "bias", "running_mean", "running_var"),
        Kind.MULTIPLY: ("other",),
        Kind.DIVIDE: ("other",),
    }
    return [(kind, role) for kind, roles in wanted.items() for role in roles]


@pytest.mark.parametrize(("kind", "role"), parameters())
def test_a_changed_parameter_is_noticed(kind, role):
    def fits(layer):
        name = layer.node.parameters.get(role)
        return layer.node.kind is kind and name in layer_graph.tensors

    for name in NETWORKS:
        layer_graph = traced(name).graph
        layers = [layer for layer in traced(name).layers if fits(layer)]
        if layers:
            break
    record = independent(traced(name))
    only = dataclasses.replace(record, layers=(*layers[:1],))
    layer = record[only.layers[0].node.name]
    image, *index = (side // 2 for side in layer.output.shape)
    while abs(float(layer.output[(image, *index)])) < 1e-3:
        index[-1] -= 1
    ledger = arithmetic(record, layer.node.name, tuple(index), image)
    tensor = record.graph.tensors[layer.node.parameters[role]]
    place = (index[0],) if kind not in (Kind.LINEAR,) else (index[-1],)
    if role == "weight" and kind in (Kind.CONVOLUTION, Kind.LINEAR):
        values = torch.tensor([term.value for term in ledger.terms])
        place += torch.unravel_index(values.abs().argmax(), tensor.shape[1:])
    check_changed(record, ledger, tensor, place)


# Edits, precisions, numbers that are none.


@pytest.mark.parametrize(
    "mask",
    [torch.tensor([0.0, 1, 0.5, 1]).reshape(4, 1, 1), torch.zeros(2, 1, 1, 1), torch.tensor(0.5)],
    ids=["channels", "images", "all"],
)
def test_masked_units_say_so_and_consumers_see_them(mask):
    graph = traced("vgg").graph
    record = trace(graph, zoo.images(2), edits={"features.1": mask})
    whole = torch.broadcast_to(mask, record["features.1"].output.shape)
    generator = random.Random(0)
    for _ in range(100):
        image, *index = (generator.randrange(side) for side in whole.shape)
        masked = arithmetic(record, "features.1", tuple(index), image)
        plain = arithmetic(traced("vgg"), "features.1", tuple(index), image)
        factor = float(whole[(image, *index)])
        assert masked.agrees
        assert masked.details["mask"] == factor
        assert "mask" in masked.formula
        assert "mask" in str(masked)
        assert masked.sum == plain.sum * factor
        after = arithmetic(record, "features.2", tuple(index), image)
        assert after.agrees
        for term in after.terms:
            if not term.padding:
                assert term.value == float(record["features.1"].output[image][term.index])


def test_a_masked_input():
    graph = traced("mlp").graph
    record = trace(graph, zoo.images(2), edits={"input": torch.full((3, 32, 32), 0.5)})
    ledger = arithmetic(record, "input", (1, 2, 3), 1)
    assert ledger.agrees
    assert ledger.value == 0.5 * float(record.images[1, 1, 2, 3])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["resnet", "inception", "activations"])
def test_the_tolerance_follows_the_precision(name, dtype):
    images = zoo.images(2).to(dtype)
    record = trace(capture(built(name).to(dtype), images), images, TARGETS)
    eps = torch.finfo(dtype).eps
    tolerance = 2e-6 + eps if eps > 1e-6 else 2e-6 * eps / torch.finfo(torch.float32).eps
    worst = 0.0
    for node, index, image in random_places(record, 500):
        ledger = arithmetic(record, node.name, index, image)
        assert ledger.tolerance == pytest.approx(tolerance)
        assert ledger.agrees, ledger
        worst = max(worst, ledger.error)
    assert 0 < worst <= tolerance


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", NETWORKS)
def test_ledgers_of_what_is_no_number(name, number):
    images = zoo.images(2)
    images[:, :, ::5, ::3] = number
    record = trace(traced(name).graph, images, TARGETS)
    for node, index, image in random_places(record, 2 * len(record.layers)):
        ledger = arithmetic(record, node.name, index, image)
        json.dumps(ledger.as_json(), allow_nan=False)
        assert str(ledger)


# Errors.


@pytest.fixture
def as_a_user(monkeypatch):
    """Without the type checks of the test run."""
    traced("vgg")
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


class Unknown(nn.Module):
    def forward(self, x):
        return torch.cumsum(x, 1).flatten(1)


@pytest.mark.parametrize(
    ("node", "index", "message"),
    [
        ("features.99", (0, 0, 0), "no layer 'features.99'; did you mean features"),
        ("features.0", (0, 0), r"the index \(0, 0\) has 2 numbers, not 3"),
        ("features.0", 1, r"the index \(1,\) has 1 number, not 3"),
        ("features.0", (0, 0, 32), r"number 3 of the index \(0, 0, 32\) must be in 0..31"),
        ("features.0", (0, -1, 0), "number 2 of the index .* must be in 0..31"),
        ("features.0", (4, 0, 0), "must be in 0..3"),
        ("features.0", (0, 0.0, 0), "an index is made of whole numbers"),
        ("features.0", "abc", "an index is made of whole numbers"),
        ("features.0", None, "an index is made of whole numbers"),
        ("cross_entropy", (0,), r"one number, index \(\); the index \(0,\) has 1 number, not 0"),
        ("classifier.6", 10, "must be in 0..9"),
    ],
)
def test_places_that_do_not_exist(as_a_user, node, index, message):
    with pytest.raises(ConvscopeError, match=message):
        arithmetic(traced("vgg"), node, index)


@pytest.mark.parametrize("image", [2, -1, 0.5, None, "0"])
def test_images_that_do_not_exist(as_a_user, image):
    with pytest.raises(ConvscopeError, match=r"image must be a whole number in 0\.\.1, got"):
        arithmetic(traced("vgg"), "features.0", (0, 0, 0), image)


@pytest.mark.parametrize(
    "index", [(1, 2, 3), [1, 2, 3], tuple(np.arange(1, 4)), tuple(torch.arange(1, 4))]
)
def test_whole_numbers_of_every_type(index):
    ledger = arithmetic(traced("vgg"), "features.0", index, np.int64(1))
    assert ledger.index == (1, 2, 3)
    assert all(type(i) is int for i in (*ledger.index, ledger.image))
    assert arithmetic(traced("vgg"), "classifier.6", np.int32(3)).index == (3,)


def test_records_that_were_not_kept():
    record = trace(traced("vgg").graph, zoo.images(1), keep=["features.0"])
    with pytest.raises(ConvscopeError, match=r"did not keep 'features\.1'; add it to keep="):
        arithmetic(record, "features.1", (0, 0, 0))
    with pytest.raises(ConvscopeError, match="did not keep 'input'; add it to keep="):
        arithmetic(record, "features.0", (0, 0, 0))
    with pytest.raises(ConvscopeError, match="cross_entropy"):  # there are no targets
        arithmetic(record, "cross_entropy", ())


def test_an_operation_without_a_formula():
    images = zoo.images(1)
    record = trace(capture(Unknown(), images), images)
    with pytest.raises(ConvscopeError, match="no formula for what cumsum does"):
        arithmetic(record, "cumsum", (0, 0, 0))


@pytest.mark.slow
def test_ten_thousand_numbers_of_vgg16(record_property):
    model = build_model("vgg16", seed=0)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    record = trace(capture(model.module, images), images, torch.tensor([7]))
    worst = 0.0
    for node, index, image in random_places(record, 10_000):
        ledger = arithmetic(record, node.name, index, image)
        assert ledger.agrees, ledger
        worst = max(worst, ledger.error)
    record_property("worst error", worst)
    print(f"worst error {worst:.2e}")
    assert worst <= 2e-6
