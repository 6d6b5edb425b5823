"""Aggregate statistics of a few training runs on several tasks, and scalar summaries of a learning curve.

The interquartile mean, its stratified bootstrap and the probability of improvement are those of Agarwal et al., "Deep
reinforcement learning at the edge of the statistical precipice", NeurIPS 2021 (arXiv 2108.13264). A stratum is a task,
its scores are those of its runs; strata may differ in size, and each task counts the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

Strata = Sequence[ArrayLike]
RESAMPLES = 10_000


def interquartile_mean(strata: Strata) -> float:
    """Mean of the middle half of all scores, where every task has the same mass; a score can count in part.

    With as many runs on every task, and a multiple of four in all, it is the 25 % trimmed mean of Agarwal et al.

    Raises:
      ValueError: no stratum, an empty one, or a score that is not finite.
    """
    scores = _scores(strata)
    return float(_interquartile_mean([each[None] for each in scores])[0])


def interquartile_interval(
    strata: Strata, rng: np.random.Generator, confidence: float = 0.95, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Percentile interval of `interquartile_mean`: runs are drawn with replacement within each task.

    Raises:
      ValueError: as `interquartile_mean`, or a task with a single run, whose spread is unknown.
    """
    scores = _several(_scores(strata))
    return _interval(_interquartile_mean([_draw(each, rng, resamples) for each in scores]), confidence)


def probability_of_improvement(ours: Strata, others: Strata) -> float:
    """Probability that a run of ours beats a run of theirs on a random task; a tie is half a win.

    On each task the statistic of Mann and Whitney over all pairs of runs, then the mean over tasks.

    Raises:
      ValueError: other tasks than ours, or invalid scores as in `interquartile_mean`.
    """
    pairs = _paired(ours, others)
    return float(np.mean([_wins(one[None], other[None])[0] for one, other in pairs]))


def improvement_interval(
    ours: Strata, others: Strata, rng: np.random.Generator, confidence: float = 0.95, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Percentile interval of `probability_of_improvement`: runs of both are drawn within each task.

    Raises:
      ValueError: as `probability_of_improvement`, or a task with a single run of either.
    """
    pairs = _paired(ours, others)
    _several([each for pair in pairs for each in pair])
    drawn = [_wins(_draw(one, rng, resamples), _draw(other, rng, resamples)) for one, other in pairs]
    return _interval(np.mean(drawn, axis=0), confidence)


def area_under_curve(steps: ArrayLike, values: ArrayLike, start: float, end: float) -> float:
    """Mean height of a learning curve between two steps, linear between its points.

    Raises:
      ValueError: the curve does not span both steps, or its steps do not increase.
    """
    x, y = _curve(steps, values)
    if not x[0] <= start < end <= x[-1]:
        raise ValueError(f"the curve goes from step {x[0]:g} to {x[-1]:g}; asked for {start:g} to {end:g}")
    inside = (x > start) & (x < end)
    x, y = np.r_[start, x[inside], end], np.r_[np.interp(start, x, y), y[inside], np.interp(end, x, y)]
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1])) / (2 * (end - start)))


def first_reach(steps: ArrayLike, values: ArrayLike, threshold: float) -> float | None:
    """Step at which a curve first reaches a threshold, linear between its points; None if it never does.

    `steps` can be seconds as well. A curve that starts above the threshold reaches it at its first point.

    Raises:
      ValueError: steps that do not increase, or a count that differs from that of the values.
    """
    x, y = _curve(steps, values)
    above = np.flatnonzero(y >= threshold)
    if above.size == 0:
        return None
    last = int(above[0])
    if last == 0:
        return float(x[0])
    share = (threshold - y[last - 1]) / (y[last] - y[last - 1])
    return float(x[last - 1] + share * (x[last] - x[last - 1]))


def geometric_mean(ratios: ArrayLike) -> float:
    """Geometric mean of positive numbers; 0 among them makes it 0.

    Raises:
      ValueError: none, a negative one, or one that is not finite.
    """
    values = _scores([ratios])[0]
    if values.min() < 0:
        raise ValueError(f"a geometric mean is of numbers that are not negative; got {values.min():g}")
    return 0.0 if values.min() == 0 else math.exp(float(np.log(values).mean()))


def _interquartile_mean(samples: Sequence[Float[ndarray, "R _"]]) -> Float[ndarray, "R"]:
    """Interquartile mean of each of R resamples, given per task."""
    mass = np.concatenate([np.full(each.shape[1], 1 / (len(samples) * each.shape[1])) for each in samples])
    values = np.concatenate(samples, axis=1)
    order = np.argsort(values, axis=1)
    upper = np.cumsum(mass[order], axis=1)
    lower = upper - mass[order]
    kept = np.clip(np.minimum(upper, 0.75) - np.maximum(lower, 0.25), 0.0, None)
    return np.sum(kept * np.take_along_axis(values, order, axis=1), axis=1) / np.sum(kept, axis=1)


def _wins(ours: Float[ndarray, "R N"], others: Float[ndarray, "R M"]) -> Float[ndarray, "R"]:
    difference = ours[:, :, None] - others[:, None, :]
    return np.mean((difference > 0) + 0.5 * (difference == 0), axis=(1, 2))


def _draw(scores: Float[ndarray, "N"], rng: np.random.Generator, resamples: int) -> Float[ndarray, "R N"]:
    return rng.choice(scores, (resamples, scores.size))


def _interval(statistics: Float[ndarray, "R"], confidence: float) -> tuple[float, float]:
    low, high = np.quantile(statistics, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _paired(ours: Strata, others: Strata) -> list[tuple[ndarray, ndarray]]:
    if len(ours) != len(others):
        raise ValueError(f"both need scores on the same tasks; got {len(ours)} and {len(others)} tasks")
    return list(zip(_scores(ours), _scores(others), strict=True))


def _scores(strata: Strata) -> list[Float[ndarray, "_"]]:
    scores = [np.asarray(stratum, np.float64).ravel() for stratum in strata]
    if not scores or any(each.size == 0 for each in scores):
        raise ValueError(f"every task needs the score of at least one run; got {[s.size for s in scores]} scores")
    if not all(np.isfinite(each).all() for each in scores):
        raise ValueError("a score is not a finite number: leave that run out, or run it again")
    return scores


def _several(scores: list[ndarray]) -> list[ndarray]:
    if min(each.size for each in scores) < 2:
        raise ValueError(f"an interval needs two runs or more of every task; got {[s.size for s in scores]} runs")
    return scores


def _curve(steps: ArrayLike, values: ArrayLike) -> tuple[ndarray, ndarray]:
    x, y = np.asarray(steps, np.float64), np.asarray(values, np.float64)
    if x.ndim != 1 or x.shape != y.shape or x.size == 0 or not (np.diff(x) > 0).all():
        raise ValueError(f"a curve needs as many values as steps, which increase; got {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("a point of a learning curve is not a finite number: leave it out, or measure it again")
    return x, y
