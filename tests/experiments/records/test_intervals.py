from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from experiments.records.intervals import (
    paired_difference,
    percentiles,
    pool,
    stratified_bootstrap,
    unpaired_difference,
    wilson,
)
from experiments.records.results import Row


@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [
        (0, 10, 0.0, 0.27753),
        (1, 10, 0.01788, 0.40415),
        (5, 10, 0.23659, 0.76341),
        (10, 10, 0.72247, 1.0),
        (95, 100, 0.88825, 0.97846),
        (81, 263, 0.25529, 0.36621),  # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (15, 148, 0.06239, 0.16053),
        (0, 20, 0.0, 0.16113),
        (1, 29, 0.00611, 0.17176),
    ],
)
def test_wilson_at_known_values(successes: int, episodes: int, low: float, high: float) -> None:
    assert wilson(successes, episodes) == pytest.approx((low, high), abs=6e-5)


def test_wilson_ends_are_exact() -> None:
    for episodes in (1, 3, 7, 10, 100, 999):
        assert wilson(0, episodes)[0] == 0.0
        assert wilson(episodes, episodes)[1] == 1.0


def test_wilson_solves_its_equation() -> None:
    """At both ends the observed rate lies z standard errors away, with the error of the end itself."""
    for end in wilson(37, 120):
        assert abs(37 / 120 - end) / np.sqrt(end * (1 - end) / 120) == pytest.approx(1.959964, abs=1e-5)


@pytest.mark.parametrize("bad", [(0, 0), (3, 2), (-1, 5)])
def test_wilson_refuses_impossible_counts(bad: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="between 0 and a positive number of episodes"):
        wilson(*bad)


def test_bootstrap_matches_the_normal_interval_of_many_seeds() -> None:
    scores = np.random.default_rng(1).normal(0.5, 0.1, 400)
    low, high = stratified_bootstrap([scores])
    half = 1.96 * scores.std() / np.sqrt(scores.size)
    assert (low, high) == pytest.approx((scores.mean() - half, scores.mean() + half), abs=1e-3)


def test_bootstrap_keeps_the_tasks_apart() -> None:
    """Tasks that differ much and seeds that agree: no uncertainty, which mixing the tasks would invent."""
    assert stratified_bootstrap([[0.2, 0.2], [0.9, 0.9, 0.9]]) == pytest.approx((0.55, 0.55))


def test_bootstrap_is_a_function_of_its_arguments() -> None:
    strata = [[0.1, 0.5, 0.9]]
    assert stratified_bootstrap(strata, seed=3) == stratified_bootstrap(strata, seed=3)
    narrow, wide = stratified_bootstrap(strata, confidence=0.5), stratified_bootstrap(strata)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@pytest.mark.parametrize("bad", [[], [[0.5], []]])
def test_bootstrap_refuses_empty_strata(bad: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="at least one seed"):
        stratified_bootstrap(bad)


def rows() -> list[Row]:
    row = Row(task="two_room", policy="model", budget=100, parameters=7, command="jepa-mpc plan seed=0")
    return [
        replace(row, seed=0, episodes=100, successes=97, train_seconds=100.0, plan_ms_p50=9.0, plan_ms_p99=30.0),
        replace(row, seed=1, episodes=50, successes=50, train_seconds=200.0, plan_ms_p50=8.0, plan_ms_p99=40.0),
    ]


def test_pool_weighs_returns_by_their_episodes() -> None:
    first, second = rows()
    assert pool([replace(first, return_mean=3.0), replace(second, return_mean=6.0)]).return_mean == pytest.approx(4.0)
    assert pool([replace(first, return_mean=3.0), second]).return_mean is None


def test_pool_counts_episodes_together() -> None:
    pooled = pool(rows())
    assert (pooled.task, pooled.policy, pooled.seed) == ("two_room", "model", None)
    assert (pooled.episodes, pooled.successes) == (150, 147)
    assert pooled.success_rate == pytest.approx(0.98)
    assert (pooled.ci_low, pooled.ci_high) == wilson(147, 150)
    assert pooled.train_seconds == 150.0
    assert (pooled.plan_ms_p50, pooled.plan_ms_p95, pooled.plan_ms_p99) == (9.0, None, 40.0)
    assert (pooled.budget, pooled.parameters, pooled.command) == (100, 7, "jepa-mpc plan seed=0")


def test_pool_leaves_empty_what_the_seeds_do_not_share() -> None:
    first, second = rows()
    pooled = pool([first, replace(second, budget=200, command="jepa-mpc plan seed=1")])
    assert pooled.budget is None
    assert pooled.command == "jepa-mpc plan seed=0; jepa-mpc plan seed=1"


@pytest.mark.parametrize(
    ("change", "message"),
    [({"policy": "random"}, "differ in their seed"), ({"seed": 0}, "once"), ({"episodes": None}, "count episodes")],
)
def test_pool_refuses_what_does_not_belong_together(change: dict, message: str) -> None:
    first, second = rows()
    with pytest.raises(ValueError, match=message):
        pool([first, replace(second, **change)])


def test_percentiles() -> None:
    assert percentiles(np.arange(101.0)) == (50.0, 95.0, 99.0)
    with pytest.raises(ValueError, match="no times"):
        percentiles([])


def test_paired_difference_at_a_known_value() -> None:
    """The formula worked out for 7 against 2 of 60 pairs."""
    n, b, c = 60 + 2.0, 7.5, 2.5
    half = 1.959964 * np.sqrt(b + c - (b - c) ** 2 / n) / n
    assert paired_difference(7, 2, 60) == pytest.approx((5 / 60, (b - c) / n - half, (b - c) / n + half), abs=1e-6)


def test_paired_difference_covers_what_is_true() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        kind = rng.choice(3, 200, p=[0.05, 0.02, 0.93])
        _, low, high = paired_difference(int((kind == 0).sum()), int((kind == 1).sum()), 200)
        inside += low <= 0.03 <= high
    assert 0.93 <= inside / 2000 <= 0.98


def test_paired_difference_of_what_agrees_is_zero_and_not_certain() -> None:
    difference, low, high = paired_difference(0, 0, 100)
    assert difference == 0 and low == pytest.approx(-high) and high > 0
    with pytest.raises(ValueError, match="must be among 3"):
        paired_difference(2, 2, 3)


def test_the_difference_of_independent_rates_is_newcombes():
    """Table II of Newcombe (1998), examples (a), (b) and (h), method 10."""
    difference, low, high = unpaired_difference((56, 70), (48, 80))
    assert (difference, low, high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert unpaired_difference((9, 10), (3, 10)) == pytest.approx((0.6, 0.1705, 0.8090), abs=5e-5)
    assert unpaired_difference((10, 10), (0, 10)) == pytest.approx((1.0, 0.6075, 1.0), abs=5e-5)
    assert unpaired_difference((5, 5), (5, 5))[1] < 0 < unpaired_difference((5, 5), (5, 5))[2]
