"""Time at which one method reaches the final score of another.

On tasks where the baseline learned something, both mean curves are searched for the first moment at that score, so that
a baseline which peaks early is credited with the earlier moment.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..records import aggregates
from ..records.curves import MeanCurve, Run

LEARNED = 300.0  # a lower final score of the baseline is not worth a race


@dataclass(frozen=True)
class Race:
    """First moments at which the mean curves of two methods reach the baseline's final score."""

    task: str
    score: float
    ours: tuple[float, float | None]  # environment steps, seconds (None: unknown); the end of our curve if not reached
    baseline: tuple[float, float | None]
    ratios: tuple[float | None, float | None]
    reached: bool  # otherwise the true ratios are larger


def run_races(
    groups: Mapping[tuple[str, str], Sequence[Run]], tasks: Sequence[str], at: int, ours: str, baseline: str
) -> list[Race]:
    """The races on tasks of both methods where the baseline learned something; `groups`: runs by method and task."""
    races = []
    for task in tasks:
        if (ours, task) not in groups or (baseline, task) not in groups:
            continue
        mine, theirs = (MeanCurve.of(groups[name, task], at) for name in (ours, baseline))
        score = float(theirs.returns[-1])
        if score < LEARNED:
            continue
        reached = bool(mine.returns.max() >= score)
        own, goal = _moment(mine, score), _moment(theirs, score)
        races.append(Race(task, score, own, goal, (_ratio(own[0], goal[0]), _ratio(own[1], goal[1])), reached))
    return races


def _moment(curve: MeanCurve, score: float) -> tuple[float, float | None]:
    """Environment steps and seconds until a curve first reaches a score, or until its end if it does not."""
    found = aggregates.first_reach(curve.env_steps, curve.returns, score)
    step = float(curve.env_steps[-1]) if found is None else found
    return step, _known(float(np.interp(step, curve.env_steps, curve.wall_s)))


def _ratio(ours: float | None, baseline: float | None) -> float | None:
    return None if ours is None or not baseline else ours / baseline


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
