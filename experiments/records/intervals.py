"""The statistics of results: intervals, pooling over seeds, percentiles of latency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .results import Row


def wilson(successes: int, episodes: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a success rate; it stays inside [0, 1] and is not empty at 0 or 1.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927); the form of Brown,
    Cai and DasGupta, "Interval estimation for a binomial proportion", Statistical Science 16 (2001), equation (4).

    Raises:
      ValueError: no episodes, or more successes than episodes.
    """
    if not 0 <= successes <= episodes or episodes == 0:
        raise ValueError(
            f"successes must lie between 0 and a positive number of episodes; got {successes} of {episodes}"
        )
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / episodes
    middle = (rate + z**2 / (2 * episodes)) / (1 + z**2 / episodes)
    half = z / (1 + z**2 / episodes) * math.sqrt(rate * (1 - rate) / episodes + z**2 / (4 * episodes**2))
    # At the ends the formula gives exactly 0 and 1, and rounding must not take that away.
    return (0.0 if successes == 0 else middle - half, 1.0 if successes == episodes else middle + half)


def spearman(one: ArrayLike, other: ArrayLike) -> float:
    """Rank correlation of two samples, ties at their mean rank; NaN where one of them is constant.

    Spearman, "The proof and measurement of association between two things", American Journal of Psychology 15 (1904).
    """
    ranks = np.stack([_ranks(np.asarray(each)) for each in (one, other)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    norm = math.sqrt(float(np.prod(np.square(ranks).sum(axis=1))))
    return float(ranks[0] @ ranks[1]) / norm if norm > 0 else math.nan


def _ranks(values: Any) -> Any:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which.ravel()]


def paired_difference(
    only_this: int, only_other: int, episodes: int, confidence: float = 0.95
) -> tuple[float, float, float]:
    """This success rate less another's on the same episodes, and its interval.

    Only the episodes that just one of the two solves count. Agresti and Min, "Simple improved confidence intervals for
    comparing matched proportions", Statistics in Medicine 24 (2005): Wald's interval after adding 1/2 to each of the
    four cells, so that it is not empty where the two agree everywhere.

    Raises:
      ValueError: no episodes, or more that differ than there are.
    """
    if not 0 <= only_this + only_other <= episodes or min(only_this, only_other) < 0 or episodes == 0:
        raise ValueError(
            f"the episodes that one alone solves must be among {episodes}; got {only_this} and {only_other}"
        )
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    total, first, second = episodes + 2.0, only_this + 0.5, only_other + 0.5
    middle = (first - second) / total
    half = z * math.sqrt(first + second - (first - second) ** 2 / total) / total
    return (only_this - only_other) / episodes, max(middle - half, -1.0), min(middle + half, 1.0)


def unpaired_difference(one: tuple[int, int], other: tuple[int, int]) -> tuple[float, float, float]:
    """One success rate less another on other episodes, and its 95 % interval; each given as (successes, episodes).

    Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17
    (1998), method 10: the two Wilson intervals, combined.

    Raises:
      ValueError: as `wilson`.
    """
    (low, high), (other_low, other_high) = wilson(*one), wilson(*other)
    rate, other_rate = one[0] / one[1], other[0] / other[1]
    difference = rate - other_rate
    below = math.hypot(rate - low, other_high - other_rate)
    above = math.hypot(high - rate, other_rate - other_low)
    return difference, max(difference - below, -1.0), min(difference + above, 1.0)


def stratified_bootstrap(
    strata: Sequence[ArrayLike], confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean over tasks, from scores of a few training seeds each.

    Seeds are drawn with replacement within each task, so that every resample holds all tasks: Agarwal et al., "Deep
    reinforcement learning at the edge of the statistical precipice", NeurIPS 2021, section 4.1. One stratum is the
    ordinary bootstrap over seeds; with three seeds it is narrow, as every bootstrap of three numbers.

    Args:
      strata: for each task, one score per seed; counts may differ.
      confidence: of the interval.
      resamples: number of draws.
      seed: of the draws; the interval is a function of its arguments.

    Raises:
      ValueError: no stratum, or an empty one.
    """
    scores = [np.asarray(stratum, np.float64).ravel() for stratum in strata]
    if not scores or any(stratum.size == 0 for stratum in scores):
        raise ValueError(f"every task needs the score of at least one seed; got {[s.size for s in scores]} scores")
    rng = np.random.default_rng(seed)
    means = [rng.choice(stratum, (resamples, stratum.size)).mean(axis=1) for stratum in scores]
    low, high = np.quantile(np.mean(means, axis=0), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def pool(rows: Sequence[Row]) -> Row:
    """Pool the seeds of one setting into one row: episodes are counted together, with their Wilson interval.

    Training time is the mean over seeds; each percentile of latency is that of the slowest seed, because percentiles do
    not average. The commands are listed in sequence; other numbers that the seeds do not share are empty.

    Raises:
      ValueError: no rows, rows without counts, of several settings, or a repeated seed.
    """
    if not rows:
        raise ValueError("there are no rows to pool")
    if len({replace(row, seed=None).identity() for row in rows}) > 1:
        raise ValueError(f"only rows that differ in their seed can be pooled; got {[row.identity() for row in rows]}")
    if len({row.seed for row in rows}) < len(rows):
        raise ValueError(f"each seed can be pooled once; got the seeds {[row.seed for row in rows]}")
    episodes = [row.episodes for row in rows if row.episodes is not None]
    successes = [row.successes for row in rows if row.successes is not None]
    if not len(episodes) == len(successes) == len(rows):
        raise ValueError("only rows that count episodes and successes can be pooled")
    low, high = wilson(sum(successes), sum(episodes))
    returns = [row.return_mean for row in rows if row.return_mean is not None]
    seconds = [row.train_seconds for row in rows if row.train_seconds is not None]
    slowest: dict[str, Any] = {
        name: max((getattr(row, name) for row in rows if getattr(row, name) is not None), default=None)
        for name in ("plan_ms_p50", "plan_ms_p95", "plan_ms_p99")
    }
    differing: dict[str, Any] = {
        name: None for name in ("budget", "env_steps", "parameters") if len({getattr(row, name) for row in rows}) > 1
    }
    return replace(
        rows[0],
        seed=None,
        episodes=sum(episodes),
        successes=sum(successes),
        success_rate=sum(successes) / sum(episodes),
        ci_low=low,
        ci_high=high,
        return_mean=float(np.average(returns, weights=episodes)) if len(returns) == len(rows) else None,
        train_seconds=float(np.mean(seconds)) if seconds else None,
        command="; ".join(dict.fromkeys(row.command for row in rows)),
        **slowest,
        **differing,
    )


def percentiles(milliseconds: ArrayLike) -> tuple[float, float, float]:
    """The 50th, 95th and 99th percentile of measured times.

    Raises:
      ValueError: no times.
    """
    times = np.asarray(milliseconds, np.float64)
    if times.size == 0:
        raise ValueError("there are no times to take percentiles of")
    p50, p95, p99 = np.percentile(times, [50, 95, 99])
    return float(p50), float(p95), float(p99)
