"""Pathways and surveys of them as CSV and lines of text."""

import csv
import io
import math
import re
from collections.abc import Sequence

from convscope.base.numbers import number, signed
from convscope.lenses.pathways.compute import PathwayLayer, Pathways
from convscope.lenses.pathways.proof import Proof
from convscope.lenses.pathways.result import proof_result


def short(value: float, largest: float) -> str:
    """`value` with its sign, beside others of which `largest` is the largest magnitude.

    >>> short(0.512, 1.7), short(-0.001, 1.7), short(0.0004, 0.0006), short(31.4, 314.2)
    ('+0.51', '-0.00', '+4e-4', '+31')
    """
    if not 0.01 <= largest < 1e5:
        return re.sub(r"e([+-])0", r"e\1", f"{value:+.0e}") if value else "0"
    decimals = 2 - math.floor(math.log10(largest))
    return f"{value:+.{min(3, max(0, decimals))}f}"


def sum_lines(layer: PathwayLayer, pathways: Pathways, class_names: Sequence[str]) -> list[str]:
    """The sums in words, for target and contrast, and a warning where the identity fails."""
    lines = []
    for which, index in enumerate((pathways.target, pathways.contrast)):
        total, bias = layer.contribution_sum[which], layer.bias_share[which]
        lines.append(
            f"{layer.name}: {class_names[index]}: contributions {signed(total, 5)}, bias share "
            f"{signed(bias, 5)}, sum {signed(total + bias, 5)}; "
            f"logit {signed(layer.logits[which], 5)}, residue {number(layer.residue[which])}"
        )
    return lines if layer.identity_holds else [*lines, f"THE IDENTITY DOES NOT HOLD: {_why(layer)}"]


def _why(layer: PathwayLayer) -> str:
    nodes = layer.not_piecewise_linear
    if not nodes:
        return "the precision does not suffice"
    more = f" and {len(nodes) - 2} more" if len(nodes) > 2 else ""
    names = f"{', '.join(nodes[:2])}{more}"
    return f"{names} {'is' if len(nodes) == 1 else 'are'} not piecewise linear"


_COLUMNS = (
    "image", "target", "contrast", "layer", "by", "active", "switched", "claimed", "drop",
    "contrast_drop", "activation_drop", "activation_contrast_drop", "random_mean", "random_std",
    "beats_random", "beats_activation",
)  # fmt: skip


def survey_csv(
    rows: Sequence[tuple[str, Pathways, Sequence[Proof]]], class_names: Sequence[str]
) -> str:
    """One line for each image, layer and way of switching off."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for image, pathways, proofs in rows:
        classes = class_names[pathways.target], class_names[pathways.contrast]
        for proof in proofs:
            figures = {**proof_result(proof).model_dump(), "switched": len(proof.switched)}
            writer.writerow([image, *classes, *(figures[name] for name in _COLUMNS[3:])])
    return text.getvalue()
