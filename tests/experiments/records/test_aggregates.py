from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.records.aggregates import (
    area_under_curve,
    first_reach,
    geometric_mean,
    improvement_interval,
    interquartile_interval,
    interquartile_mean,
    probability_of_improvement,
)

SCORES = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=5)
STRATA = st.lists(SCORES, min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("strata", "expected"),
    [
        ([[0, 1, 2, 100]], 1.5),
        ([[8, 1], [2, 100]], 5.0),  # over runs and tasks together
        ([[0, 0, 3, 4, 5, 6, 99, 99]], 4.5),
        ([[1, 2, 30]], (0.25 * 1 + 2 + 0.25 * 30) / 1.5),  # half of three scores: the middle one and a quarter of each
        ([[7]], 7.0),
        ([[0, 0, 0, 0], [10]], 5.0),  # each task has half of the mass, however many runs
    ],
)
def test_interquartile_mean_by_hand(strata, expected):
    assert interquartile_mean(strata) == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(STRATA, st.randoms(use_true_random=False))
def test_order_of_runs_and_tasks_does_not_matter(strata, random):
    shuffled = [random.sample(scores, len(scores)) for scores in random.sample(strata, len(strata))]
    assert interquartile_mean(shuffled) == pytest.approx(interquartile_mean(strata), abs=1e-6)
    flat = [score for scores in strata for score in scores]
    assert min(flat) - 1e-6 <= interquartile_mean(strata) <= max(flat) + 1e-6


def test_interval_covers_about_as_often_as_it_says():
    rng, inside, trials = np.random.default_rng(0), 0, 300
    for _ in range(trials):
        strata = [rng.normal(centre, 0.1, 10) for centre in (0.3, 0.5, 0.7)]  # symmetric about 0.5
        low, high = interquartile_interval(strata, rng, resamples=400)
        inside += low <= 0.5 <= high
    assert 0.88 <= inside / trials <= 0.98


def test_interval_of_tasks_that_differ_and_runs_that_agree_is_a_point():
    rng = np.random.default_rng(0)
    assert interquartile_interval([[1.0, 1.0], [5.0, 5.0], [9.0, 9.0]], rng) == pytest.approx((5.0, 5.0))


def test_intervals_are_functions_of_the_generator():
    strata, other = [[0.1, 0.5, 0.9], [0.2, 0.3]], [[0.0, 0.6], [0.1, 0.4]]
    once, again = (interquartile_interval(strata, np.random.default_rng(3)) for _ in range(2))
    assert once == again
    once, again = (improvement_interval(strata, other, np.random.default_rng(3)) for _ in range(2))
    assert once == again and once[0] < probability_of_improvement(strata, other) < once[1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=4))
def test_one_of_two_is_better(pairs):
    ours, others = [list(each) for each in zip(*pairs, strict=True)]
    both = probability_of_improvement(ours, others) + probability_of_improvement(others, ours)
    assert both == pytest.approx(1.0)
    assert probability_of_improvement(ours, ours) == pytest.approx(0.5)


def test_probability_of_improvement_by_hand():
    assert probability_of_improvement([[2, 3]], [[1, 2]]) == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert probability_of_improvement([[5], [1, 1]], [[1, 1, 1], [2]]) == pytest.approx(
        0.5
    )  # each task counts the same


@pytest.mark.parametrize("bad", [[], [[1.0], []], [[1.0, float("nan")]], [[float("inf")]]])
def test_what_is_no_score_is_refused(bad):
    for statistic in (interquartile_mean, lambda strata: probability_of_improvement(strata, strata)):
        with pytest.raises(ValueError, match="at least one run|not a finite number"):
            statistic(bad)


def test_intervals_need_several_runs_and_the_same_tasks():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="two runs or more of every task"):
        interquartile_interval([[1.0, 2.0], [3.0]], rng)
    with pytest.raises(ValueError, match="two runs or more of every task"):
        improvement_interval([[1.0, 2.0]], [[3.0]], rng)
    with pytest.raises(ValueError, match="the same tasks; got 1 and 2"):
        probability_of_improvement([[1.0]], [[1.0], [2.0]])


def test_area_is_the_mean_height():
    assert area_under_curve([0, 10], [0, 10], 0, 10) == pytest.approx(5.0)
    assert area_under_curve([0, 10, 20], [0, 10, 10], 5, 20) == pytest.approx((5 * 7.5 + 10 * 10) / 15)
    assert area_under_curve([0, 1, 50, 100], [3, 3, 3, 3], 0.5, 99) == pytest.approx(3.0)
    with pytest.raises(ValueError, match="from step 0 to 10; asked for 5 to 20"):
        area_under_curve([0, 10], [0, 10], 5, 20)


def test_first_reach_is_linear_between_points():
    steps, values = [0, 10, 20, 30], [0, 4, 2, 8]
    assert first_reach(steps, values, 3) == pytest.approx(7.5)
    assert first_reach(steps, values, 5) == pytest.approx(25)
    assert first_reach(steps, values, 0) == 0 and first_reach(steps, values, 9) is None
    with pytest.raises(ValueError, match="which increase"):
        first_reach([0, 0], [1, 2], 1)
    with pytest.raises(ValueError, match="not a finite number"):
        first_reach([0, 1], [1, float("nan")], 1)


def test_geometric_mean():
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    assert geometric_mean([0.0, 2.0]) == 0.0
    with pytest.raises(ValueError, match="not negative"):
        geometric_mean([-1.0])
