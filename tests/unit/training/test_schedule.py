"""The learning-rate schedule and the plan of a time budget."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope.training.recipe import Optim
from convscope.training.schedule import Plan, learning_rate


def test_one_cycle_goes_up_and_down_to_zero():
    optim = Optim(learning_rate=0.2, warmup=0.25)
    rates = [learning_rate(optim, step / 100) for step in range(101)]
    assert max(rates) == rates[25] == pytest.approx(0.2)
    assert rates[:26] == sorted(rates[:26])
    assert rates[25:] == sorted(rates[25:], reverse=True)
    assert rates[0] > 0
    assert rates[100] == pytest.approx(0, abs=1e-12)


def test_cosine_without_warmup_starts_at_the_peak():
    optim = Optim(learning_rate=0.2, schedule="cosine", warmup=0)
    assert learning_rate(optim, 0.0) == 0.2
    assert learning_rate(optim, 0.5) == pytest.approx(0.1)


def test_plateau_divides_by_ten_for_each_drop():
    optim = Optim(learning_rate=1e-2, schedule="plateau")
    rates = [learning_rate(optim, 0.1, drops) for drops in range(4)]
    assert rates == pytest.approx([1e-2, 1e-3, 1e-4, 1e-5])


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 500)), max_size=8))
def test_progress_never_goes_back_and_ends_at_one(changes):
    plan, step = Plan(((0, 0.0, 1000),)), 0
    for ahead, more in changes:
        step = min(step + ahead, plan.total)
        plan = plan.replanned(step, step + more)
    marks = [plan.progress(s) for s in range(plan.total + 1)]
    assert all(a <= b + 1e-12 for a, b in pairwise(marks))
    assert marks[-1] == pytest.approx(1)
    assert all(0 <= mark <= 1 for mark in marks)


def test_a_replan_keeps_the_progress_made():
    before = Plan(((0, 0.0, 100),))
    after = before.replanned(40, 60)
    assert after.progress(40) == before.progress(40) == 0.4
    assert after.progress(50) == pytest.approx(0.7)
    assert after.progress(20) == before.progress(20)
