"""Success against planning budget, for every planner, on learned models and on the true dynamics.

Every planner controls the same held-out episodes with the same models. configs/suite/planners.yaml defines the split of
a budget into samples and iterations, and the step budgets within which success counts.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

import envs
from planning import Agent, AskTell, Planner

from ... import build
from ...evaluation.goals import latency
from ...evaluation.goals.policies import SimulatedPolicy
from ...evaluation.goals.protocols import honest
from ...evaluation.goals.rollout import run_episodes
from ...evaluation.policy import ModelPolicy
from ...records.intervals import percentiles
from ...records.manifest import manifest
from ...shell.progress import progress_bar
from ...training.ensure import ensure_model
from ..missing import missing
from . import figure
from . import points as planners_grid
from .curves import Reference, curve, needed_text, step_budgets, tight_steps
from .points import Point, Split
from .rows import Entry, PlannerRow, Run, read_entries, write

logger = logging.getLogger(__name__)


def run(cfg: DictConfig) -> list[PlannerRow]:
    """Measure the points that the table lacks, write each run immediately, then print and draw the whole table.

    A stored run counts if its planner has the same settings and it has at least as many episodes.
    """
    path = Path(cfg.results) / "planners.csv"
    planners_grid.check(cfg)
    planners = planners_grid.planners(cfg)
    points = planners_grid.points(cfg, planners)
    entries = read_entries(path)
    known = {run.identity(): run for entry in entries for run in entry.runs}

    def is_measured(point: Point) -> bool:
        return _is_measured(cfg, points[point], known.get(dataclasses.astuple(point)))

    todo = missing(points, is_measured, cfg.redo)
    tight = {str(task): int(steps) for task, steps in cfg.suite.tight.items()}
    if todo:
        made, earlier, new = manifest(cfg, sorted({point.seed for point in todo})), entries, []
        agents = cache(lambda task, seed: recipe_agent(cfg, task, seed))
        with progress_bar("planners", len(todo), compiles=True) as bar:
            for point in todo:
                agent = dataclasses.replace(agents(point.task, point.seed), planner=points[point])
                new.append(measure(cfg, point, agent))
                entries = [*_without(earlier, new), Entry(made, tuple(new))]
                write(path, entries, tight)
                bar(len(new), len(todo))
    rows = write(path, entries, tight)  # the tight steps may have changed since the runs were made
    show(cfg, list(planners), rows, [run for entry in entries for run in entry.runs])
    figure.draw(rows, path, reference_of(cfg))
    return rows


def measure(cfg: DictConfig, point: Point, agent: Agent) -> Run:
    """Run one planner on the held-out pairs of its seed; also time it, with the first seed's model and batch 1."""
    task = envs.make(point.task)
    agent.validate()
    pairs = honest(task, episodes_of(cfg, point.policy), point.seed)
    seed = point.seed
    of_model = point.policy == "model"
    policy = ModelPolicy(agent, seed) if of_model else SimulatedPolicy(point.policy, task, agent, seed)
    records = run_episodes(task, policy, pairs)
    timed = of_model and seed == cfg.suite.seeds[0] and cfg.suite.plans > 0
    count: Any = agent.planner
    return Run(
        **dataclasses.asdict(point),
        evaluations=Split.of(cfg).evaluations(agent.planner),
        num_samples=count.num_samples if isinstance(agent.planner, AskTell) else count.num_starts,
        iterations=agent.planner.iterations,
        budget=task.budget,
        settings=repr(agent.planner),
        steps=tuple(record.steps if record.success else None for record in records),
        plan_ms_p50=percentiles(latency.measure(task, agent, pairs, int(cfg.suite.plans)))[0] if timed else None,
    )


def show(cfg: DictConfig, planners: Sequence[str], rows: Sequence[PlannerRow], runs: Sequence[Run]) -> None:
    """Print success at each budget, the evaluations needed for the reference's success, and the tight steps."""
    console = Console()
    tasks, policies = [str(each) for each in cfg.suite.tasks], [str(each) for each in cfg.suite.policies]
    for policy, task in product(policies, tasks):
        found = [row for row in rows if (row.task, row.policy) == (task, policy)]
        if found:
            steps = " / ".join(map(str, step_budgets(rows, task)))
            console.print(f"\n{task}, {policy}: success (%) within {steps} steps, by evaluations a plan")
            console.print(_successes(found, planners))
    reference = reference_of(cfg)
    for policy in policies:
        of = f"{reference.planner} at {reference.plan_budget}"
        console.print(f"\n{policy}: evaluations for the success of {of}, also as a share of its evaluations")
        console.print(_needs(rows, policy, tasks, planners, reference))
    for task in tasks:
        key = (task, "model", reference.planner, reference.plan_budget)
        reference_runs = [run for run in runs if (run.task, run.policy, run.planner, run.plan_budget) == key]
        if reference_runs:
            nearest = tight_steps(reference_runs, float(cfg.suite.tight_share))
            console.print(f"tight steps of {task}: {cfg.suite.tight[task]}; by the rule and these rows {nearest}")


def reference_of(cfg: DictConfig) -> Reference:
    """The reference in the suite's settings."""
    return Reference(str(cfg.suite.reference.planner), int(cfg.suite.reference.budget))


def _successes(rows: Sequence[PlannerRow], planners: Sequence[str]) -> Table:
    """Table of success in per cent for one policy and task, at the task's own step budget and at the tight one."""
    task, policy = rows[0].task, rows[0].policy
    steps = step_budgets(rows, task)
    budgets = sorted({row.plan_budget for row in rows})
    table = _table(*map(str, budgets))
    for planner in planners:
        curves = [{each.plan_budget: each for each in curve(rows, task, policy, planner, step)} for step in steps]
        cells = [[f"{100 * points[budget].rate:.0f}" for points in curves if budget in points] for budget in budgets]
        table.add_row(planner, *("/".join(each) for each in cells))
    return table


def _needs(
    rows: Sequence[PlannerRow], policy: str, tasks: Sequence[str], planners: Sequence[str], reference: Reference
) -> Table:
    columns = [(task, steps) for task in tasks for steps in step_budgets(rows, task)]
    table = _table(*(f"{task}\n{steps} steps" for task, steps in columns))
    for planner in planners:
        table.add_row(planner, *(needed_text(rows, task, policy, planner, steps, reference) for task, steps in columns))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("planner", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def recipe_agent(cfg: DictConfig, task: str, seed: int) -> Agent:
    """The agent of `jepa-mpc plan` with the recipe's model, which is trained if missing."""
    settings = build.compose("plan", f"task={task}")
    settings.runs = cfg.runs
    return build.agent(settings, ensure_model(settings, seed).model, envs.make(task))


def episodes_of(cfg: DictConfig, policy: str) -> int:
    """Number of episodes of a point with this policy."""
    return int(cfg.suite.episodes if policy == "model" else cfg.suite.simulated_episodes)


def _is_measured(cfg: DictConfig, planner: Planner[Any], run: Run | None) -> bool:
    if run is None:
        return False
    same = run.settings == repr(planner) and run.budget == envs.make(run.task).budget
    return same and len(run.steps) >= episodes_of(cfg, run.policy)


def _without(entries: Sequence[Entry], new: Sequence[Run]) -> list[Entry]:
    """The earlier entries without the runs that were measured again."""
    again = {run.identity() for run in new}
    left = [Entry(each.manifest, tuple(run for run in each.runs if run.identity() not in again)) for each in entries]
    return [each for each in left if each.runs]
