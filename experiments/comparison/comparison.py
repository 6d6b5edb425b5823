"""Comparison of methods at one number of environment steps, as `jepa-mpc compare` reports it.

Only runs that were evaluated up to that step count, and an aggregate over tasks covers those that all its methods have.
Published scores are kept apart from measured ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..records import aggregates
from ..records.curves import MeanCurve, Run
from .published import SUITE, PublishedScore, published_name
from .time_to_score import Race, run_races

HIGHEST = 1000.0  # upper bound of returns on DeepMind Control
MEASURED, PUBLISHED = "measured", "published"


@dataclass(frozen=True)
class Score:
    """A method on a task at the step of comparison."""

    task: str
    method: str
    kind: str  # measured or published
    env_steps: int
    runs: int | None  # None where a publication does not state it
    mean: float
    low: float | None  # of the runs
    high: float | None
    values: tuple[float, ...]  # of the runs; empty where only the mean was published
    action_repeat: str  # as in the rows, or empty
    gradient_steps: float | None  # mean over the runs
    wall_s: float | None
    area: float | None  # mean height of the mean curve, from the first step that all measured runs of the task have
    source: str


@dataclass(frozen=True)
class Aggregate:
    """A method over all tasks that every measured method has."""

    method: str
    kind: str
    tasks: int
    runs: int | None
    mean: float
    iqm: float | None  # of runs, normalised; None where the single runs are not known
    interval: tuple[float, float] | None  # None where a task has a single run


@dataclass(frozen=True)
class Improvement:
    """Probability that a run of ours is better than one of another method."""

    method: str
    tasks: int
    probability: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Comparison:
    """Contents of the tables."""

    at: int
    ours: str
    baseline: str | None
    tasks: tuple[str, ...]
    shared: tuple[str, ...]  # the DeepMind Control tasks that every measured method has
    scores: tuple[Score, ...]
    aggregates: tuple[Aggregate, ...]
    improvements: tuple[Improvement, ...]
    races: tuple[Race, ...]
    left_out: tuple[Run, ...]  # not evaluated up to `at`

    def geometric_mean(self, column: int) -> float | None:
        """Geometric mean of the races' ratios of steps (column 0) or seconds (1); None if any of them is unknown."""
        ratios = [race.ratios[column] for race in self.races]
        known = [each for each in ratios if each is not None]
        return aggregates.geometric_mean(known) if known and len(known) == len(ratios) else None

    def all_reached(self) -> bool:
        """Whether the geometric means are exact; otherwise they are lower bounds."""
        return all(race.reached for race in self.races)


def compare(
    runs: Sequence[Run], published: Sequence[PublishedScore], at: int, ours: str, baseline: str | None, seed: int
) -> Comparison:
    """Compare runs at `at` environment steps; the bootstrap draws from `seed`.

    Raises:
      ValueError: no run of `ours` or of the baseline was evaluated up to `at`.
    """
    complete = [run for run in runs if run.reaches(at)]
    for name in dict.fromkeys((ours, *([baseline] if baseline else []))):
        if not any(run.method == name for run in complete):
            raise ValueError(_nothing_at(runs, at, name))
    tasks = tuple(dict.fromkeys(run.task for run in complete))
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in complete:
        groups.setdefault((run.method, run.task), []).append(run)
    scores = [_measured(groups, task, method, at) for method, task in groups]
    scores += [_published(score, task) for score in published if score.step == at for task in _called(score, tasks)]
    methods = list(dict.fromkeys(run.method for run in complete))
    shared = tuple(t for t in tasks if t.startswith(SUITE) and all((method, t) in groups for method in methods))
    by_method = {name: [s for s in scores if s.method == name and s.kind == MEASURED] for name in methods}
    others = [name for name in methods if name != ours]
    return Comparison(
        at=at,
        ours=ours,
        baseline=baseline,
        tasks=tasks,
        shared=shared,
        scores=tuple(scores),
        aggregates=tuple(_aggregates(scores, shared, seed)),
        improvements=tuple(
            found for name in others if (found := _improvement(by_method[ours], by_method[name], name, seed))
        ),
        races=tuple(run_races(groups, tasks, at, ours, baseline)) if baseline and baseline != ours else (),
        left_out=tuple(run for run in runs if not run.reaches(at)),
    )


def _nothing_at(runs: Sequence[Run], at: int, method: str) -> str:
    own = [run for run in runs if run.method == method]
    spans = [f"{run.env_steps[0]:,.0f} to {run.env_steps[-1]:,.0f}" for run in own]
    found = f"its evaluations cover {', '.join(dict.fromkeys(spans))} environment steps" if spans else "it has no rows"
    furthest = max((int(run.env_steps[-1]) for run in own), default=0)
    fix = f"compare earlier, as in at={furthest}, or train further" if furthest else "add the file of its curves"
    return f"no run of {method} can be read at at={at}: {found}; {fix}"


def _measured(groups: dict[tuple[str, str], list[Run]], task: str, method: str, at: int) -> Score:
    runs = groups[method, task]
    values = tuple(run.at(at) for run in runs)
    repeats = sorted({each for run in runs for each in run.action_repeats})
    start = max(run.env_steps[0] for (_, name), found in groups.items() if name == task for run in found)
    mean = MeanCurve.of(runs, at)
    return Score(
        task=task,
        method=method,
        kind=MEASURED,
        env_steps=at,
        runs=len(runs),
        mean=float(np.mean(values)),
        low=min(values),
        high=max(values),
        values=values,
        action_repeat=" ".join(map(str, repeats)),
        gradient_steps=_known(float(np.mean([run.at(at, "gradient_steps") for run in runs]))),
        wall_s=_known(float(np.mean([run.at(at, "wall_s") for run in runs]))),
        area=aggregates.area_under_curve(mean.env_steps, mean.returns, start, at) if start < at else None,
        source="",
    )


def _published(score: PublishedScore, task: str) -> Score:
    seeds = score.seeds
    return Score(
        task=task,
        method=score.method,
        kind=PUBLISHED,
        env_steps=score.step,
        runs=score.n_seeds,
        mean=score.mean,
        low=min(seeds, default=None),
        high=max(seeds, default=None),
        values=seeds,
        action_repeat="",
        gradient_steps=None,
        wall_s=None,
        area=None,
        source=score.source,
    )


def _called(score: PublishedScore, tasks: Sequence[str]) -> list[str]:
    return [task for task in tasks if published_name(task) == score.task]


def _aggregates(scores: Sequence[Score], shared: Sequence[str], seed: int) -> list[Aggregate]:
    found = []
    for kind, method in dict.fromkeys((score.kind, score.method) for score in scores):
        own = {score.task: score for score in scores if (score.kind, score.method) == (kind, method)}
        if not shared or any(task not in own for task in shared):
            continue
        strata = [np.asarray(own[task].values) / HIGHEST for task in shared]
        known = all(each.size for each in strata)
        several = all(each.size > 1 for each in strata)
        counts = [own[task].runs for task in shared]
        interval = aggregates.interquartile_interval(strata, np.random.default_rng(seed)) if several else None
        found.append(
            Aggregate(
                method=method,
                kind=kind,
                tasks=len(shared),
                runs=None if None in counts else sum(each or 0 for each in counts),
                mean=float(np.mean([own[task].mean for task in shared])),
                iqm=aggregates.interquartile_mean(strata) if known else None,
                interval=interval,
            )
        )
    return found


def _improvement(ours: Sequence[Score], others: Sequence[Score], method: str, seed: int) -> Improvement | None:
    """Improvement over the tasks that both methods have; None if they share none."""
    pairs = [(one.values, other.values) for one in ours for other in others if one.task == other.task]
    if not pairs:
        return None
    strata: tuple[list[tuple[float, ...]], list[tuple[float, ...]]] = ([p[0] for p in pairs], [p[1] for p in pairs])
    several = all(len(values) > 1 for each in strata for values in each)
    interval = aggregates.improvement_interval(*strata, np.random.default_rng(seed)) if several else None
    return Improvement(method, len(pairs), aggregates.probability_of_improvement(*strata), interval)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
