"""Figures under shifts, beside loops over every pair and by hand."""

from itertools import combinations

import numpy as np
import pytest

from convscope.lenses.shift.statistics import (
    agreement,
    changed,
    difference_of,
    gap_of,
    mean_of,
    neighbours,
    one_pixel,
    share_of,
)


def test_agreement_is_the_share_of_all_pairs_of_different_shifts():
    predicted = np.random.default_rng(0).integers(0, 4, (7, 25))
    for row, share in zip(predicted, agreement(predicted), strict=True):
        pairs = [a == b for a, b in combinations(row.tolist(), 2)]
        assert share == pytest.approx(sum(pairs) / len(pairs), abs=1e-15)


def test_agreement_is_one_for_one_class_and_zero_for_all_different():
    assert agreement(np.array([[2, 2, 2, 2], [0, 1, 2, 3]])).tolist() == [1.0, 0.0]


def test_the_interval_of_a_mean_is_over_images_and_stays_possible():
    estimate = mean_of(np.array([0.9, 1.0, 1.0, 1.0]), (0.0, 1.0))
    assert estimate.value == pytest.approx(0.975)
    assert estimate.low == pytest.approx(0.975 - 1.96 * 0.05 / 2)
    assert estimate.high == 1.0
    assert mean_of(np.array([0.5]), (0.0, 1.0)).interval == (0.0, 1.0)


def test_the_interval_covers_the_truth_about_95_times_in_100():
    draw = np.random.default_rng(3)
    inside = [
        estimate.low <= 0.5 <= estimate.high
        for estimate in (mean_of(draw.uniform(size=200), (0.0, 1.0)) for _ in range(2000))
    ]
    assert 0.93 < np.mean(inside) < 0.97


def test_a_paired_difference_is_narrower_than_the_figures_where_images_agree():
    figures = np.random.default_rng(1).uniform(0.2, 0.9, 500)
    difference = difference_of(figures + 0.05, figures)
    assert difference.value == pytest.approx(0.05)
    assert difference.high - difference.low < 1e-9
    assert difference.excludes_zero


def test_a_gap_has_the_interval_of_newcombes_example():
    """Newcombe 1998, table II, example (a): 56/70 less 48/80, 0.0524 to 0.3339."""
    gap = gap_of(np.arange(70) < 56, np.arange(80) < 48)
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_one_pixel_looks_at_the_eight_neighbours_of_no_shift_and_at_nothing_else():
    predicted = np.zeros((3, 5, 5), dtype=np.int64)
    predicted[0, 0] = predicted[0, 4] = 1  # two pixels away
    predicted[1, 1, 3] = 1  # a corner
    probability = np.full((3, 5, 5), 0.5)
    probability[2, 2, 1], probability[2, 2, 3] = 0.9, 0.1
    assert changed(predicted).tolist() == [False, True, False]
    found = one_pixel(predicted, probability)
    assert found.changed.value == pytest.approx(1 / 3)
    assert found.moved.value == pytest.approx(0.8 / 8 / 3)
    assert found.gained.value == pytest.approx(0, abs=1e-12)
    assert neighbours(np.arange(25).reshape(1, 5, 5)).tolist() == [[6, 7, 8, 11, 13, 16, 17, 18]]


def test_the_share_of_no_image_of_ten_still_has_an_upper_end():
    assert share_of(np.zeros(10, dtype=bool)).high > 0.2
