"""Pathways, their proofs and surveys of them as JSON, CSV and lines of text."""

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from convscope.drawing.page import number
from convscope.lenses.pathways.compute import PathwayLayer, Pathways
from convscope.lenses.pathways.proof import UNITS, Proof
from convscope.lenses.pathways.survey import SurveyRow


def signed(value: float, digits: int = 3) -> str:
    """`value` with its sign and as many significant digits.

    >>> signed(0.51234), signed(-12.0), signed(3.14159, 5)
    ('+0.512', '-12', '+3.1416')
    """
    return f"{value:+.{digits}g}"


def short(value: float, largest: float) -> str:
    """`value` with its sign, beside others of which `largest` is the largest magnitude.

    >>> short(0.512, 1.7), short(-0.001, 1.7), short(0.0004, 0.0006), short(31.4, 314.2)
    ('+0.51', '-0.00', '+4e-4', '+31')
    """
    if not 0.01 <= largest < 1e5:
        return re.sub(r"e([+-])0", r"e\1", f"{value:+.0e}") if value else "0"
    decimals = 2 - math.floor(math.log10(largest))
    return f"{value:+.{min(3, max(0, decimals))}f}"


def sum_lines(layer: PathwayLayer, found: Pathways, class_names: Sequence[str]) -> list[str]:
    """The identity in words, for target and contrast; where it fails, that it does."""
    lines = []
    for which, index in enumerate((found.target, found.contrast)):
        carried, bias = layer.carried[which], layer.bias_share[which]
        lines.append(
            f"{layer.name}: {class_names[index]}: contributions {signed(carried, 5)}, bias share "
            f"{signed(bias, 5)}, sum {signed(carried + bias, 5)}; "
            f"logit {signed(layer.logits[which], 5)}, residue {number(layer.residue[which])}"
        )
    return lines if layer.holds else [*lines, f"THE IDENTITY DOES NOT HOLD: {_why(layer)}"]


def _why(layer: PathwayLayer) -> str:
    if not layer.curved:
        return "the precision does not suffice"
    more = f" and {len(layer.curved) - 2} more" if len(layer.curved) > 2 else ""
    names = f"{', '.join(layer.curved[:2])}{more}"
    return f"{names} {'is' if len(layer.curved) == 1 else 'are'} not piecewise linear"


def pathways_json(
    found: Pathways, proofs: Sequence[Proof], class_names: Sequence[str], image: str
) -> dict[str, Any]:
    """One JSON object. Of each layer, the units' contributions and its bias share give the logit.

    `bias_share`, `residue` and the drops beside the target's logit are those of the first layer and
    of its units; `units` are channels of maps, and those that give nothing to either logit are left
    out. Drops of a layer without proof are null.
    """
    first = found.layers[0]
    shown = next((p for p in proofs if p.layer == first.name and p.by == UNITS), None)
    return {
        "image": image,
        "target": class_names[found.target],
        "contrast": class_names[found.contrast],
        "predicted": class_names[found.predicted],
        "logit": first.logits[0],
        "contrast_logit": first.logits[1],
        "bias_share": first.bias_share[0],
        "residue": first.residue[0],
        "identity_holds": all(layer.holds for layer in found.layers),
        "units": [unit for layer in found.layers for unit in _units(layer)],
        "ablated_drop": shown and shown.drop,
        "random_drop_mean": shown and shown.random_mean,
        "random_drop_std": shown and shown.random_std,
        "activation_drop": shown and shown.activation_drop,
        "contrast_drop": shown and shown.contrast_drop,
        "layers": [_layer(layer) for layer in found.layers],
        "proofs": [proof_json(proof) for proof in proofs],
        "notes": [*found.notes, *(layer.silence for layer in found.layers if layer.silence)],
    }


def _units(layer: PathwayLayer) -> list[dict[str, Any]]:
    """Channels or units with what they gave, the largest for the target first."""
    pairs = layer.channels.T.tolist()
    order = sorted(range(len(pairs)), key=lambda unit: -pairs[unit][0])
    return [
        {
            "layer": layer.name,
            "unit": unit,
            "contribution": pairs[unit][0],
            "contrast_contribution": pairs[unit][1],
        }
        for unit in order
        if any(pairs[unit])
    ]


def _layer(layer: PathwayLayer) -> dict[str, Any]:
    return {
        "layer": layer.name,
        "role": layer.role,
        "shape": list(layer.activations.shape),
        "contributions": layer.carried[0],
        "bias_share": layer.bias_share[0],
        "biases": {name: pair[0] for name, pair in layer.biases.items()},
        "residue": layer.residue[0],
        "identity_holds": layer.holds,
        "not_piecewise_linear": list(layer.curved),
    }


def proof_json(proof: Proof) -> dict[str, Any]:
    """A proof with what follows from it."""
    return {
        **asdict(proof),
        "random_mean": proof.random_mean,
        "random_std": proof.random_std,
        "specific": proof.specific,
        "beats_random": proof.beats_random,
        "beats_activation": proof.beats_activation,
        "verdict": proof.verdict,
    }


def survey_json(
    rows: Sequence[SurveyRow], *, network: str, split: str, images: int, seed: int, sets: int
) -> dict[str, Any]:
    """A survey with what it was made of."""
    return {
        "network": network,
        "split": split,
        "images": images,
        "seed": seed,
        "sets": sets,
        "rows": [asdict(row) for row in rows],
    }


_COLUMNS = (
    "image", "target", "contrast", "layer", "by", "active", "switched", "claimed", "drop",
    "contrast_drop", "activation_drop", "activation_contrast_drop", "random_mean", "random_std",
    "beats_random", "beats_activation",
)  # fmt: skip


def survey_csv(
    found: Sequence[tuple[str, Pathways, Sequence[Proof]]], class_names: Sequence[str]
) -> str:
    """One line for each image, layer and way of switching off."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for image, pathways, proofs in found:
        classes = class_names[pathways.target], class_names[pathways.contrast]
        for proof in proofs:
            figures = {**proof_json(proof), "switched": len(proof.switched)}
            writer.writerow([image, *classes, *(figures[name] for name in _COLUMNS[3:])])
    return text.getvalue()
