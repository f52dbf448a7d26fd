"""Classification metrics on cases small enough to check by hand."""

import numpy as np
import pytest

from convscope.metrics.classification import (
    calibration,
    most_confused,
    softmax,
    wilson_interval,
)


def test_softmax_of_equal_logits_is_uniform():
    np.testing.assert_allclose(softmax(np.full((1, 4), 7, np.float32)), np.full((1, 4), 0.25))


def test_softmax_is_double_precision_and_survives_huge_logits():
    probabilities = softmax(np.array([[1e4, 0, -1e4]], np.float32))
    assert probabilities.dtype == np.float64
    np.testing.assert_array_equal(probabilities, [[1, 0, 0]])


def test_wilson_of_the_published_example():
    """Newcombe 1998, table I, method 3: 81 of 263 give 0.2553 to 0.3662."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_wilson_never_leaves_the_unit_interval():
    assert wilson_interval(0, 3)[0] == 0
    assert wilson_interval(3, 3)[1] == 1


def test_calibration_of_a_perfect_and_of_a_boastful_classifier():
    sure = np.tile([1.0, 0.0], (4, 1))
    assert calibration(sure, np.zeros(4, int)).error == 0
    assert calibration(sure, np.ones(4, int)).error == 1
    assert calibration(sure, np.array([0, 1, 0, 1])).error == pytest.approx(0.5)


def test_calibration_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    found = calibration(probabilities, np.array([0, 1, 1, 1]), bins=2)
    assert found.counts.tolist() == [0, 4]
    assert found.accuracy.tolist() == [0, 0.75]
    assert found.confidence[1] == pytest.approx(0.75)
    assert found.error == pytest.approx(0)


def test_an_edge_belongs_to_the_bin_below():
    found = calibration(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 0]), bins=4)
    assert found.counts.tolist() == [0, 1, 0, 1]
    assert found.edges.tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_most_confused_by_falling_count_without_the_diagonal():
    confusion = np.array([[9, 2, 0], [1, 9, 2], [0, 3, 9]])
    assert most_confused(confusion, 3) == [(2, 1, 3), (0, 1, 2), (1, 2, 2)]
    assert most_confused(np.eye(3, dtype=int), 3) == []
