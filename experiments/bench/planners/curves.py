"""Curves of `jepa-mpc bench suite=planners`, and the evaluations that a planner needs for a given success."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...records.intervals import wilson
from .rows import PlannerRow, Run


@dataclass(frozen=True)
class Reference:
    """The planner and budget that the others are compared with."""

    planner: str
    plan_budget: int


@dataclass(frozen=True)
class Success:
    """A point of a curve: one setting, pooled over its seeds."""

    plan_budget: int
    evaluations: int
    seeds: tuple[int, ...]
    episodes: int
    successes: int

    @property
    def rate(self) -> float:
        """Share of successful episodes."""
        return self.successes / self.episodes

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson interval of the rate, 95 %."""
        return wilson(self.successes, self.episodes)


def curve(rows: Sequence[PlannerRow], task: str, policy: str, planner: str, budget: int) -> list[Success]:
    """Success of a planner at each of its evaluation budgets, within `budget` environment steps."""
    key = (task, policy, planner, budget)
    groups: dict[tuple[int, int], list[PlannerRow]] = {}
    for row in rows:
        if (row.task, row.policy, row.planner, row.budget) == key:
            groups.setdefault((row.evaluations, row.plan_budget), []).append(row)
    return [
        Success(
            plan_budget,
            evaluations,
            tuple(sorted(row.seed for row in group)),
            sum(row.episodes for row in group),
            sum(row.successes for row in group),
        )
        for (evaluations, plan_budget), group in sorted(groups.items())
    ]


def comparable(curve: Sequence[Success], reference: Success) -> list[Success]:
    """The points on the same seeds and number of episodes, and hence on the same starts and goals."""
    return [point for point in curve if (point.seeds, point.episodes) == (reference.seeds, reference.episodes)]


def needed(curve: Sequence[Success], reference: Success) -> Success | None:
    """The comparable point with the fewest evaluations and at least the reference's success; None without one.

    This is a point estimate: it ignores the intervals of both rates.
    """
    return next((point for point in comparable(curve, reference) if point.rate >= reference.rate), None)


def tight_steps(runs: Sequence[Run], share: float) -> int:
    """The number of steps within which the share of successful episodes is nearest to `share`; the fewest if tied."""
    steps = [each for run in runs for each in run.steps]
    candidates = range(1, max(run.budget for run in runs) + 1)
    within = [sum(each is not None and each <= candidate for each in steps) for candidate in candidates]
    return candidates[int(np.argmin([abs(number / len(steps) - share) for number in within]))]


def step_budgets(rows: Sequence[PlannerRow], task: str) -> list[int]:
    """The step budgets at which a task was evaluated, its own first."""
    return sorted({row.budget for row in rows if row.task == task}, reverse=True)


def needed_text(
    rows: Sequence[PlannerRow], task: str, policy: str, planner: str, budget: int, reference: Reference
) -> str:
    """Text of `needed`: the evaluations and their share of the reference's, or `> N` if the largest N is not enough.

    Empty if the reference or the planner was not measured on the same episodes.
    """
    target = reference_success(rows, task, policy, budget, reference)
    points = comparable(curve(rows, task, policy, planner, budget), target) if target else []
    if target is None or not points:
        return ""
    found = needed(points, target)
    return f"> {points[-1].evaluations}" if found is None else _share(found, target)


def reference_success(
    rows: Sequence[PlannerRow], task: str, policy: str, budget: int, reference: Reference
) -> Success | None:
    """Success of the reference within `budget` steps; None if not measured."""
    points = curve(rows, task, policy, reference.planner, budget)
    return next((point for point in points if point.plan_budget == reference.plan_budget), None)


def _share(found: Success, target: Success) -> str:
    return f"{found.evaluations} ({found.evaluations / target.evaluations:.0%})"
