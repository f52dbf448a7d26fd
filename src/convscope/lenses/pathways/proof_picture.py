"""The test of a pathway as bars: the drop of the logit beside that of the controls."""

from collections.abc import Sequence

import numpy as np
from PIL import ImageDraw

from convscope.base.numbers import number
from convscope.drawing.page import INK, SMALL, font, wrapped
from convscope.lenses.pathways.compute import PathwayLayer
from convscope.lenses.pathways.proof import Proof

STRIP = 268  # pixels of height
_ROW, _BAR, _THIN = 44, 17, 9
_LABEL, _VALUE = 96, 132
_PATHWAY, _CONTROL, _CONTRAST = (202, 80, 16), (120, 120, 120), (186, 200, 214)


def draw_proofs(
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    width: int,
    proofs: Sequence[Proof],
    layers: Sequence[PathwayLayer],
) -> None:
    """One chart for each proof, on a common scale, and a line for each layer without one."""
    left, top = corner
    bold, small = font(SMALL, bold=True), font(SMALL)
    heading = "the proof: how far the logit falls when these units are switched off"
    pen.text((left, top + 8), heading, INK, bold)
    _draw_key(pen, (left + round(bold.getlength(heading)) + 28, top + 8))
    reasons = [layer.no_proof_reason for layer in layers if layer.no_proof_reason]
    for row, line in enumerate(reasons):
        pen.text((left, top + 34 + row * 20), line, INK, small)
    if not proofs:
        return
    values = [v for proof in proofs for v in _values(proof)]
    low, high = min(0.0, *values), max(0.0, *values)
    each = (width - 24 * (len(proofs) - 1)) // max(3, len(proofs))
    top += 36 + 20 * len(reasons)
    for place, proof in enumerate(proofs):
        _draw_chart(pen, (left + place * (each + 24), top), each, proof, (low, high))


def proof_title(proof: Proof) -> str:
    """What was switched off: `features.19: 69 of 1,387 active units`."""
    return f"{proof.layer}: {len(proof.switched):,} of {proof.active:,} active {proof.by}"


def _values(proof: Proof) -> list[float]:
    return [
        proof.drop, proof.contrast_drop, proof.activation_drop, proof.activation_contrast_drop,
        *proof.random_drops, proof.random_mean + proof.random_std,
        proof.random_mean - proof.random_std,
    ]  # fmt: skip


def _draw_key(pen: ImageDraw.ImageDraw, corner: tuple[int, int]) -> None:
    """What the bars' colours mean."""
    small, left = font(SMALL), corner[0]
    key = [("target, pathway", _PATHWAY), ("target, controls", _CONTROL),
           ("contrast class", _CONTRAST)]  # fmt: skip
    for text, colour in key:
        pen.rectangle((left, corner[1] + 3, left + 13, corner[1] + 16), colour)
        pen.text((left + 19, corner[1]), text, INK, small)
        left += 40 + round(small.getlength(text))


def _draw_chart(
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    width: int,
    proof: Proof,
    ends: tuple[float, float],
) -> None:
    left, top = corner
    small = font(SMALL)
    pen.text((left, top), wrapped(proof_title(proof), small, width)[0], INK, small)
    top += 24
    scale = (width - _LABEL - _VALUE) / ((ends[1] - ends[0]) or 1.0)
    zero = left + _LABEL + round(-ends[0] * scale)
    random_contrast = float(np.mean(proof.random_contrast_drops))
    rows = [
        ("pathway", proof.drop, proof.contrast_drop, _PATHWAY),
        ("most active", proof.activation_drop, proof.activation_contrast_drop, _CONTROL),
        ("random", proof.random_mean, random_contrast, _CONTROL),
    ]
    for row, (label, drop, contrast, colour) in enumerate(rows):
        y = top + row * _ROW
        pen.text((left, y + 2), label, INK, small)
        drops = proof.random_drops if label == "random" else (drop,)
        _draw_bar(pen, (zero, y), drop, scale, _BAR, colour)
        _draw_bar(pen, (zero, y + _BAR + 3), contrast, scale, _THIN, _CONTRAST)
        text = number(drop)
        if len(drops) > 1:
            text = f"{number(drop)} ± {number(proof.random_std)}"
            _draw_spread(pen, (zero, y + _BAR // 2), scale, proof)
            sizes = f"of {np.mean(proof.random_counts):,.0f}"
            pen.text((left, y + 20), sizes, INK, small)
        pen.text((zero + round(max(0, *drops) * scale) + 10, y - 2), text, INK, small)
    pen.line((zero, top - 4, zero, top + 3 * _ROW - 8), INK)
    bold = font(SMALL, bold=True)
    claim = f"claimed {number(proof.claimed)} · drop less contrast's {number(proof.specific)}"
    pen.text((left, top + 3 * _ROW - 4), claim, INK, small)
    good = proof.beats_random and proof.beats_activation
    line = proof.verdict if good else proof.verdict.replace("not", "NOT", 1)
    for row, text in enumerate(wrapped(line, bold, width)[:2]):
        pen.text((left, top + 3 * _ROW + 16 + row * 19), text, INK, bold)


def _draw_bar(
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int],
    value: float,
    scale: float,
    height: int,
    colour: tuple[int, int, int],
) -> None:
    """A bar from zero."""
    zero, top = place
    end = zero + round(value * scale)
    pen.rectangle((min(zero, end), top, max(zero, end), top + height - 1), colour)


def _draw_spread(
    pen: ImageDraw.ImageDraw, place: tuple[int, int], scale: float, proof: Proof
) -> None:
    """A dot for each random set, and below them a whisker of one sd on both sides of the mean."""
    zero, middle = place
    for drop in proof.random_drops:
        x = zero + round(drop * scale)
        pen.ellipse((x - 2, middle - 5, x + 2, middle - 1), INK)
    low, high = (
        zero + round((proof.random_mean + side * proof.random_std) * scale) for side in (-1, 1)
    )
    pen.line((low, middle + 5, high, middle + 5), INK, 2)
    for x in (low, high):
        pen.line((x, middle + 2, x, middle + 8), INK, 2)
