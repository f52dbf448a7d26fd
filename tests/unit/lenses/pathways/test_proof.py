"""Switching units off: against masked traces, matched controls, and where it proves nothing."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

import zoo
from convscope.base.errors import ConvscopeError
from convscope.graph.capture import capture
from convscope.graph.trace import trace
from convscope.lenses.pathways.compute import pathways
from convscope.lenses.pathways.proof import prove
from convscope.lenses.pathways.survey import survey


@functools.cache
def proved(name):
    module = zoo.network(name)
    for part in module.modules():
        if isinstance(part, nn.Linear):
            part.weight.data.mul_(5)
    record = trace(capture(module, zoo.images(1)), zoo.images(1))
    found = pathways(record)
    return record, found, prove(record, found, share=0.1)


def logits_without(record, layer, units):
    mask = torch.ones(record.graph[layer].output_shape)
    for unit in units:
        mask[unit] = 0
    return trace(record.graph, record.images, edits={layer: mask}).logits[0].double().numpy()


@pytest.mark.parametrize("name", ["vgg-bn", "resnet", "depthwise", "mlp", "functional"])
def test_drops_are_those_of_a_trace_with_masks(name):
    record, found, proofs = proved(name)
    before = record.logits[0].double().numpy()
    assert proofs
    for proof in proofs:
        drops = before - logits_without(record, proof.layer, proof.switched)
        assert proof.drop == pytest.approx(drops[found.target], rel=1e-3, abs=1e-6)
        assert proof.contrast_drop == pytest.approx(drops[found.contrast], rel=1e-3, abs=1e-6)
        assert proof.specific == pytest.approx(proof.drop - proof.contrast_drop)


def test_what_is_switched_off_has_the_largest_contributions():
    _, found, proofs = proved("resnet")
    for proof in proofs:
        layer = next(layer for layer in found.layers if layer.name == proof.layer)
        scores = layer.contributions[0] if proof.by == "units" else layer.channels[0]
        own = [float(scores[unit]) for unit in proof.switched]
        assert own == sorted(scores.ravel().tolist(), reverse=True)[: len(own)]
        assert min(own) > 0
        assert proof.claimed == pytest.approx(sum(own))


def test_behind_which_all_is_linear_the_drop_is_what_was_claimed():
    for proof in proved("resnet")[2]:
        assert proof.drop == pytest.approx(proof.claimed, rel=1e-4)


def test_random_sets_match_the_pathways_summed_activation():
    from convscope.lenses.pathways.proof import _choice, _random_sets

    layer = proved("resnet")[1].layers[0]
    choice = _choice(layer, "units", 0.1)
    strengths = np.abs(layer.activations).ravel()
    wanted = strengths[choice.top].sum()
    for units in _random_sets(choice, 30, np.random.default_rng(0)):
        assert len(set(units.tolist())) == len(units)
        assert (strengths[units] > 0).all()
        assert abs(strengths[units].sum() - wanted) <= strengths.max() / 2 + 1e-9


def test_the_same_seed_draws_the_same_sets_and_another_one_others():
    record, found, _ = proved("resnet")
    assert prove(record, found, seed=3) == prove(record, found, seed=3)
    one, other = prove(record, found, seed=3)[0], prove(record, found, seed=4)[0]
    assert one.random_drops != other.random_drops
    assert one.drop == other.drop
    assert len(prove(record, found, sets=7)[0].random_drops) == 7


def test_whole_channels_are_switched_off_only_where_they_are_few():
    record, found, _ = proved("resnet")
    by = [proof.by for proof in prove(record, found, share=0.05)]
    assert by == ["units", "channels"]
    assert [proof.by for proof in prove(record, found, share=0.5)] == ["units"]


class Planted(nn.Module):
    """Maps of a constant: each channel has its level, and the dense layer its weight."""

    def __init__(self, levels, weights):
        super().__init__()
        self.conv = nn.Conv2d(3, len(levels), 1)
        self.fc = nn.Linear(len(levels), 2, bias=False)
        self.conv.weight.data.zero_()
        self.conv.bias.data = torch.tensor(levels)
        self.fc.weight.data = torch.tensor([weights, [0.0] * len(levels)])

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))


def planted(levels, weights):
    images = zoo.images(1)
    record = trace(capture(Planted(levels, weights).eval(), images), images)
    return next(p for p in prove(record, pathways(record, 0)) if p.by == "channels")


def test_a_planted_pathway_is_found_and_proved():
    weights = [5.0 if place in range(40, 50) else 0.01 for place in range(200)]
    proof = planted([1.0] * 200, weights)
    assert sorted(proof.switched) == [(place,) for place in range(40, 50)]
    assert proof.drop == pytest.approx(50, rel=1e-4)
    assert proof.contrast_drop == 0
    assert proof.activation_drop == pytest.approx(0.1, rel=1e-2)
    assert proof.random_counts == (10,) * 20
    assert proof.verdict == "better than both controls"


def test_where_activation_alone_does_as_well_the_verdict_says_so():
    proof = planted([float(1 + (place == 3)) for place in range(20)], [1.0] * 20)
    assert proof.switched == ((3,),)
    assert not proof.beats_activation
    assert "not better than" in proof.verdict
    assert "the most active units" in proof.verdict


def test_where_all_units_do_the_same_random_ones_do_as_well():
    proof = planted([1.0] * 20, [1.0] * 20)
    assert proof.random_std == pytest.approx(0, abs=1e-5)
    assert not proof.beats_activation
    assert proof.verdict != "better than both controls"


def test_a_dead_layer_has_no_proof():
    module = zoo.network("vgg")
    module.features[28].weight.data.zero_()
    record = trace(capture(module, zoo.images(1)), zoo.images(1))
    found = pathways(record)
    assert prove(record, found) == ()
    assert all(layer.no_proof_reason for layer in found.layers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sets": 0}, "2 or more random sets"),
        ({"sets": 1}, "2 or more random sets"),
        ({"share": 0.0}, r"must be in 0..1"),
        ({"share": 1.5}, r"must be in 0..1"),
        ({"share": float("nan")}, r"must be in 0..1"),
    ],
)
def test_shares_and_sets_that_prove_nothing_are_refused(arguments, message):
    record, found, _ = proved("resnet")
    with pytest.raises(ConvscopeError, match=message):
        prove(record, found, **arguments)


def test_a_survey_counts_and_averages_by_layer():
    proofs = [proved(name)[2] for name in ("resnet", "resnet")] + [()]
    rows = survey(proofs)
    assert [(row.layer, row.by) for row in rows] == [(p.layer, p.by) for p in proofs[0]]
    for row, proof in zip(rows, proofs[0], strict=True):
        assert row.images == 2
        assert row.beat_random == 2 * proof.beats_random
        assert row.beat_activation == 2 * proof.beats_activation
        for name in ("drop", "contrast_drop", "activation_drop", "claimed", "specific"):
            assert getattr(row, name) == pytest.approx(getattr(proof, name))
        assert row.random_drop == pytest.approx(np.mean(proof.random_drops))
        assert row.count == len(proof.switched)
