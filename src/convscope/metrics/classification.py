"""Classification metrics that scikit-learn lacks: Wilson intervals, calibration, confused pairs."""

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


def softmax(logits: Array) -> Array:
    """Probabilities (n, classes) in float64 from logits (n, classes). Each row sums to 1."""
    from scipy import special

    return special.softmax(logits.astype(np.float64), axis=1)


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a proportion: (lower bound, upper bound), each 0..1.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    >>> [round(bound, 4) for bound in wilson_interval(92, 100)]
    [0.85, 0.9589]
    """
    from scipy import stats

    interval = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class Calibration:
    """Accuracy in equal-width bins of the confidence, which is the predicted class's probability.

    Attributes:
        edges: (bins + 1,) from 0 to 1.
        counts: (bins,) images in each bin.
        confidence: (bins,) mean confidence; 0 in an empty bin.
        accuracy: (bins,) share of correct predictions, 0..1; 0 in an empty bin.
        error: the expected calibration error, 0..1.
    """

    edges: Array
    counts: Array
    confidence: Array
    accuracy: Array
    error: float


def calibration(probabilities: Array, targets: Array, bins: int = 15) -> Calibration:
    """The expected calibration error (ECE) with its bins.

    ECE is the mean over images of |accuracy - mean confidence| of the image's bin. Bin i holds
    confidences in (i / bins, (i + 1) / bins].

    Args:
        probabilities: (n, classes).
        targets: (n,) class indices.
        bins: number of bins.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2.
    """
    top = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == targets
    bin_of = np.clip(np.ceil(top * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    divisors = np.maximum(counts, 1)  # empty bins: 0 / 1
    confidence = np.bincount(bin_of, top, minlength=bins) / divisors
    accuracy = np.bincount(bin_of, correct, minlength=bins) / divisors
    error = float(np.sum(counts * np.abs(accuracy - confidence)) / len(targets))
    return Calibration(np.linspace(0, 1, bins + 1), counts, confidence, accuracy, error)


def most_confused(confusion: Array, limit: int) -> list[tuple[int, int, int]]:
    """The largest off-diagonal cells of a confusion matrix, at most `limit`, without zeros.

    Args:
        confusion: (classes, classes) counts; rows are targets, columns are predictions.
        limit: the largest number of cells.

    Returns:
        (target, predicted, count), in decreasing order of count.
    """
    pairs = [
        (int(target), int(predicted), int(confusion[target, predicted]))
        for target, predicted in np.argwhere(confusion > 0)
        if target != predicted
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))[:limit]
