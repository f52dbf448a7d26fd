"""The result of pathways: `--json`, the file and the answer of the route.

Pairs are (target, contrast class). Contributions and drops are in units of the logit.
"""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from convscope.contract.lens import Result
from convscope.lenses.pathways.compute import PathwayLayer, Pathways
from convscope.lenses.pathways.proof import UNITS, Proof

Pair = tuple[float, float]


class PathwayUnit(Result):
    """A channel of maps, or a unit of a vector; of maps `activation` is the mean."""

    layer: str
    unit: int
    contribution: float
    contrast_contribution: float
    activation: float


class PathwayLayerResult(Result):
    """What the units of a layer contributed: contributions + bias share + residue = logit.

    `contributions`, `bias_share`, `biases` and `residue` are those of the target; `sums`,
    `bias_shares` and `residues` those of both classes. `biases` has what the constants of each
    later node add. `identity_holds` says whether the residue is rounding; `not_piecewise_linear`
    names the layers because of which it may not be. `drawn` are the units that are drawn,
    `drawn_sums` and `other_sums` the sums over these and over the `others` that are not drawn.
    `no_proof_reason` says why nothing can be switched off; null where something can.
    """

    layer: str
    role: str
    shape: list[int]
    contributions: float
    bias_share: float
    biases: dict[str, float]
    residue: float
    identity_holds: bool
    not_piecewise_linear: list[str]
    sums: Pair
    bias_shares: Pair
    residues: Pair
    drawn: list[int]
    drawn_sums: Pair
    others: int
    other_sums: Pair
    no_proof_reason: str | None


class ProofResult(Result):
    """How the logits changed when units were switched off; see `proof.Proof`.

    `better`: the drop exceeds both controls.
    """

    layer: str
    by: str
    active: int
    switched: list[list[int]]
    claimed: float
    drop: float
    contrast_drop: float
    activation_drop: float
    activation_contrast_drop: float
    random_drops: list[float]
    random_contrast_drops: list[float]
    random_counts: list[int]
    random_mean: float
    random_std: float
    specific: float
    beats_random: bool
    beats_activation: bool
    better: bool
    verdict: str


class PathwaysResult(Result):
    """Which units contribute to the logits of two classes for one image, and the proof.

    `bias_share` and `residue` are those of the first layer for the target; the drops are those of
    its units, and null where it has no proof. `units` are channels of maps; those that
    contribute nothing to either logit are left out. `edges[j][i]` is what drawn channel i of the
    first layer contributes to the target's logit through drawn unit j of the second; empty with one
    layer. `classes` and `predicted_class` are indices.
    """

    image: str
    target: str
    contrast: str
    predicted: str
    classes: tuple[int, int]
    predicted_class: int
    logit: float
    contrast_logit: float
    probabilities: Pair
    bias_share: float
    residue: float
    identity_holds: bool
    units: list[PathwayUnit]
    edges: list[list[float]]
    ablated_drop: float | None
    random_drop_mean: float | None
    random_drop_std: float | None
    activation_drop: float | None
    contrast_drop: float | None
    layers: list[PathwayLayerResult]
    proofs: list[ProofResult]
    notes: list[str]


def result_of(
    pathways: Pathways, proofs: Sequence[Proof], class_names: Sequence[str], image: str
) -> PathwaysResult:
    """Pathways and their proofs as one value."""
    first = pathways.layers[0]
    unit_proof = next((p for p in proofs if p.layer == first.name and p.by == UNITS), None)
    target, contrast = pathways.target, pathways.contrast
    edges: list[list[float]] = []
    if pathways.edges is not None:
        edges = pathways.edges[:, list(first.drawn)].tolist()
    return PathwaysResult(
        image=image,
        target=class_names[target],
        contrast=class_names[contrast],
        predicted=class_names[pathways.predicted],
        classes=(target, contrast),
        predicted_class=pathways.predicted,
        logit=first.logits[0],
        contrast_logit=first.logits[1],
        probabilities=_pair(pathways.probabilities[[target, contrast]]),
        bias_share=first.bias_share[0],
        residue=first.residue[0],
        identity_holds=all(layer.identity_holds for layer in pathways.layers),
        units=[unit for layer in pathways.layers for unit in _units(layer)],
        edges=edges,
        ablated_drop=unit_proof and unit_proof.drop,
        random_drop_mean=unit_proof and unit_proof.random_mean,
        random_drop_std=unit_proof and unit_proof.random_std,
        activation_drop=unit_proof and unit_proof.activation_drop,
        contrast_drop=unit_proof and unit_proof.contrast_drop,
        layers=[_layer(layer) for layer in pathways.layers],
        proofs=[proof_result(proof) for proof in proofs],
        notes=[
            *pathways.notes,
            *(layer.no_proof_reason for layer in pathways.layers if layer.no_proof_reason),
        ],
    )


def _units(layer: PathwayLayer) -> list[PathwayUnit]:
    """Channels or units with their contributions, the largest for the target first."""
    pairs = layer.channels.T.tolist()
    means = layer.activations.reshape(len(layer.activations), -1).mean(axis=1).tolist()
    order = sorted(range(len(pairs)), key=lambda unit: -pairs[unit][0])
    return [
        PathwayUnit(
            layer=layer.name,
            unit=unit,
            contribution=pairs[unit][0],
            contrast_contribution=pairs[unit][1],
            activation=means[unit],
        )
        for unit in order
        if any(pairs[unit])
    ]


def _layer(layer: PathwayLayer) -> PathwayLayerResult:
    channels, drawn = layer.channels, list(layer.drawn)
    return PathwayLayerResult(
        layer=layer.name,
        role=layer.role,
        shape=list(layer.activations.shape),
        contributions=layer.contribution_sum[0],
        bias_share=layer.bias_share[0],
        biases={name: pair[0] for name, pair in layer.biases.items()},
        residue=layer.residue[0],
        identity_holds=layer.identity_holds,
        not_piecewise_linear=list(layer.not_piecewise_linear),
        sums=layer.contribution_sum,
        bias_shares=layer.bias_share,
        residues=layer.residue,
        drawn=drawn,
        drawn_sums=_pair(channels[:, drawn].sum(axis=1)),
        others=channels.shape[1] - len(drawn),
        other_sums=layer.others,
        no_proof_reason=layer.no_proof_reason,
    )


def proof_result(proof: Proof) -> ProofResult:
    """A proof with the statistics derived from it."""
    return ProofResult(
        **asdict(proof),
        random_mean=proof.random_mean,
        random_std=proof.random_std,
        specific=proof.specific,
        beats_random=proof.beats_random,
        beats_activation=proof.beats_activation,
        better=proof.beats_random and proof.beats_activation,
        verdict=proof.verdict,
    )


def _pair(values: np.ndarray) -> Pair:
    target, contrast = values.tolist()
    return target, contrast
