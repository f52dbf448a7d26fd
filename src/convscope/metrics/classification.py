"""How good a classifier is: scikit-learn's figures, intervals and calibration."""

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


def softmax(logits: Array) -> Array:
    """Probabilities (n, classes) in float64: rows sum to 1."""
    from scipy import special

    return special.softmax(logits.astype(np.float64), axis=1)


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval for a proportion.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    >>> [round(bound, 4) for bound in wilson_interval(92, 100)]
    [0.85, 0.9589]
    """
    from scipy import stats

    interval = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class Calibration:
    """Equal-width bins of the top probability: how often it was right in each."""

    edges: Array
    counts: Array
    confidence: Array
    accuracy: Array
    error: float


def calibration(probabilities: Array, targets: Array, bins: int = 15) -> Calibration:
    """The expected calibration error (ECE) and the bins behind it.

    ECE is the mean over images of |accuracy - mean confidence| of their bin; empty bins count
    nothing. Bin i holds confidences in (i / bins, (i + 1) / bins].

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2.
    """
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    place = np.clip(np.ceil(top * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    filled = np.maximum(counts, 1)
    confidence = np.bincount(place, top, minlength=bins) / filled
    accuracy = np.bincount(place, right, minlength=bins) / filled
    error = float(np.sum(counts * np.abs(accuracy - confidence)) / len(targets))
    return Calibration(np.linspace(0, 1, bins + 1), counts, confidence, accuracy, error)


def most_confused(confusion: Array, limit: int) -> list[tuple[int, int, int]]:
    """The off-diagonal cells (target, predicted, count) by falling count, zeros left out."""
    pairs = [
        (int(target), int(predicted), int(confusion[target, predicted]))
        for target, predicted in np.argwhere(confusion > 0)
        if target != predicted
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))[:limit]
