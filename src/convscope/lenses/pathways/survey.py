"""Pathways over many images: how often they beat their controls, and by how much."""

from collections.abc import Sequence

import numpy as np

from convscope.contract.lens import Result
from convscope.lenses.pathways.proof import Proof


class SurveyRow(Result):
    """One layer over many images. Drops are means over the images, in units of the logit.

    Attributes:
        layer: the node whose units were switched off.
        by: "units" or "channels".
        images: how many images have such a proof.
        count: mean number of units switched off.
        drop: of the target, without the pathway.
        random_drop: of the target, mean over the random sets.
        activation_drop: of the target, without the most active units.
        contrast_drop: of the contrast class, without the pathway.
        specific: drop of the target less that of the contrast class, without the pathway.
        random_specific: the same without random units.
        activation_specific: the same without the most active units.
        claimed: mean sum of the contributions switched off.
        beat_random: images whose drop exceeds the random mean by more than 3 sd.
        beat_activation: images whose drop exceeds that of the most active units.
    """

    layer: str
    by: str
    images: int
    count: float
    drop: float
    random_drop: float
    activation_drop: float
    contrast_drop: float
    specific: float
    random_specific: float
    activation_specific: float
    claimed: float
    beat_random: int
    beat_activation: int


class SurveyResult(Result):
    """Pathways over images of a data set: `--json` and `pathways.json` of `--split`."""

    network: str
    split: str
    images: int
    seed: int
    sets: int
    rows: list[SurveyRow]


def survey(proofs: Sequence[Sequence[Proof]]) -> tuple[SurveyRow, ...]:
    """One row for each layer and way of switching off, over the proofs of many images."""
    groups: dict[tuple[str, str], list[Proof]] = {}
    for of_image in proofs:
        for proof in of_image:
            groups.setdefault((proof.layer, proof.by), []).append(proof)
    return tuple(_row(layer, by, group) for (layer, by), group in groups.items())


def _row(layer: str, by: str, group: Sequence[Proof]) -> SurveyRow:
    def mean(values: list[float]) -> float:
        return float(np.mean(values))

    return SurveyRow(
        layer=layer,
        by=by,
        images=len(group),
        count=mean([len(p.switched) for p in group]),
        drop=mean([p.drop for p in group]),
        random_drop=mean([p.random_mean for p in group]),
        activation_drop=mean([p.activation_drop for p in group]),
        contrast_drop=mean([p.contrast_drop for p in group]),
        specific=mean([p.specific for p in group]),
        random_specific=mean(
            [p.random_mean - float(np.mean(p.random_contrast_drops)) for p in group]
        ),
        activation_specific=mean([p.activation_drop - p.activation_contrast_drop for p in group]),
        claimed=mean([p.claimed for p in group]),
        beat_random=sum(p.beats_random for p in group),
        beat_activation=sum(p.beats_activation for p in group),
    )
