"""Softmax, top-k, intervals and calibration written out as loops."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from convscope.metrics.classification import (
    calibration,
    most_confused,
    softmax,
    wilson_interval,
)


def slow_softmax(row):
    largest = max(row)
    powers = [math.exp(value - largest) for value in row]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize("spread", [0.1, 3, 800])
def test_softmax(spread):
    logits = np.random.default_rng(0).normal(0, spread, (20, 7)).astype(np.float32)
    expected = [slow_softmax(row.tolist()) for row in logits]
    np.testing.assert_allclose(softmax(logits), expected, rtol=1e-12, atol=1e-300)


def closed_wilson(successes, n, confidence):
    """Wilson 1927, the two solutions of (p - share)^2 = z^2 p (1 - p) / n."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return centre - half, centre + half


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 50), (50, 50), (3, 7), (9_312, 10_000)]
)
def test_wilson_interval(successes, n, confidence):
    expected = closed_wilson(successes, n, confidence)
    got = wilson_interval(successes, n, confidence)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def slow_calibration(probabilities, targets, bins):
    members = [[] for _ in range(bins)]
    for row, target in zip(probabilities.tolist(), targets.tolist(), strict=True):
        top = max(row)
        for place in range(bins):
            if place / bins < top <= (place + 1) / bins:
                members[place].append((top, row.index(top) == target))
    counts = [len(group) for group in members]
    confidence = [sum(t for t, _ in group) / max(1, len(group)) for group in members]
    accuracy = [sum(r for _, r in group) / max(1, len(group)) for group in members]
    error = sum(
        count / len(targets) * abs(a - c)
        for count, a, c in zip(counts, accuracy, confidence, strict=True)
    )
    return counts, confidence, accuracy, error


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("classes", [2, 10])
def test_calibration(bins, classes):
    generator = np.random.default_rng(classes)
    probabilities = softmax(generator.normal(0, 3, (400, classes)))
    targets = generator.integers(0, classes, 400)
    counts, confidence, accuracy, error = slow_calibration(probabilities, targets, bins)
    found = calibration(probabilities, targets, bins)
    assert found.counts.tolist() == counts
    np.testing.assert_allclose(found.confidence, confidence, atol=1e-12)
    np.testing.assert_allclose(found.accuracy, accuracy, atol=1e-12)
    assert found.error == pytest.approx(error, abs=1e-12)
    np.testing.assert_allclose(found.edges, [i / bins for i in range(bins + 1)])


def test_most_confused():
    confusion = np.random.default_rng(1).integers(0, 4, (6, 6))
    cells = [(target, predicted) for target in range(6) for predicted in range(6)]
    pairs = [(t, p, int(confusion[t, p])) for t, p in cells if t != p and confusion[t, p] > 0]
    pairs.sort(key=lambda pair: -pair[2])
    assert most_confused(confusion, 100) == pairs
    assert most_confused(confusion, 4) == pairs[:4]
