"""Success against planning budget, for every planner, on learned models and on the true dynamics.

Every planner controls the same held-out episodes with the same models. configs/suite/planners.yaml defines the split of
a budget into samples and iterations, and the step budgets within which success counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

import envs
from planning import Agent, AskTell, Planner

from ... import build
from ...build.recipes import Paths
from ...engine.run import run_steps
from ...engine.step import Step, exit_on_failure
from ...evaluation.goals import latency
from ...evaluation.goals.policies import SimulatedPolicy
from ...evaluation.goals.protocols import honest
from ...evaluation.goals.rollout import run_episodes
from ...evaluation.policy import ModelPolicy
from ...records.intervals import percentiles
from ...records.manifest import manifest
from ...training.ensure import ensure_model
from ..data_steps import data_steps
from ..missing import missing
from . import figure
from . import points as planners_grid
from .curves import Reference, curve, needed_text, step_budgets, tight_steps
from .points import Point, Split
from .rows import Entry, PlannerRow, PlannersTable, Run, add, read_entries, rows_of

FILE = "planners.csv"


def run(cfg: DictConfig) -> list[PlannerRow]:
    """Measure the points that the table lacks, write each run immediately, then print and draw the whole table.

    A stored run counts if its planner has the same settings and it has at least as many episodes.

    Raises:
      ValueError: a planner, policy, task or setting does not exist, or no planner has anything to do.
      SystemExit: with code 1, once all other steps are done, if a step failed.
    """
    path = Path(cfg.results) / FILE
    planners_grid.check(cfg)
    planners = planners_grid.planners(cfg)
    points = planners_grid.points(cfg, planners)
    known = {run.identity(): run for entry in read_entries(path) for run in entry.runs}

    def is_measured(point: Point) -> bool:
        return _is_measured(cfg, points[point], known.get(dataclasses.astuple(point)))

    tight = {str(task): int(steps) for task, steps in cfg.suite.tight.items()}
    todo = missing(points, is_measured, cfg.redo)
    failed = run_steps(cfg, __name__, Suite(cfg, points, todo, tight).steps(), PlannersTable(FILE, tight))
    if not cfg.dry_run:
        add(path, Entry({}, ()), tight)  # the tight steps may have changed since the runs were made
    entries = read_entries(path)
    found = rows_of(entries, tight)
    show(cfg, list(planners), found, [run for entry in entries for run in entry.runs])
    if not cfg.dry_run:
        figure.draw(found, path, reference_of(cfg))
    exit_on_failure(failed)
    return found


class Suite:
    """Models and runs of one run of the suite, each made if missing."""

    def __init__(
        self,
        cfg: DictConfig,
        points: Mapping[Point, Planner[Any]],
        todo: Sequence[Point],
        tight: Mapping[str, int],
    ):
        self._cfg, self._points, self._todo, self._tight = cfg, points, todo, tight
        self._made = manifest(cfg, sorted({point.seed for point in todo}))
        self._agent = cache(lambda task, seed: recipe_agent(cfg, task, seed))

    def steps(self) -> list[Step]:
        """Steps for the points to measure and the models that they need."""
        found: dict[str, Step] = {}
        for point in self._todo:
            plan, needs = plan_settings(self._cfg, point.task, point.seed), tuple[str, ...]()
            paths = Paths.of(plan, point.seed)
            if not paths.model.exists():
                data, model = (f"{what} of {point.task}, seed {point.seed}" for what in ("data", "model"))
                if data not in found:
                    found |= {step.name: step for step in data_steps(self._cfg, data, plan, point.seed)}
                train = partial(ensure_model, plan, point.seed)
                found.setdefault(model, Step(model, "model", train, (data,), (paths.data,)))
                needs = (model,)
            kind = f"{point.policy} {point.plan_budget}"
            found[str(point)] = Step(str(point), kind, partial(self.measure, point), needs, (paths.model,))
        return list(found.values())

    def measure(self, point: Point) -> None:
        """Measure one run and add it to the table."""
        agent = dataclasses.replace(self._agent(point.task, point.seed), planner=self._points[point])
        entry = Entry(self._made, (measure(self._cfg, point, agent),))
        add(Path(self._cfg.results) / FILE, entry, self._tight)


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


def plan_settings(cfg: DictConfig, task: str, seed: int) -> DictConfig:
    """Settings of `jepa-mpc plan` for a task and a seed."""
    settings = build.compose("plan", f"task={task}", f"seed={seed}")
    settings.runs = cfg.runs
    return settings


def recipe_agent(cfg: DictConfig, task: str, seed: int) -> Agent:
    """The agent of `jepa-mpc plan` with the recipe's model, which is trained if missing."""
    settings = plan_settings(cfg, task, seed)
    return build.agent(settings, ensure_model(settings, seed).model, envs.make(task))


def episodes_of(cfg: DictConfig, policy: str) -> int:
    """Number of episodes of a point with this policy."""
    return int(cfg.suite.episodes if policy == "model" else cfg.suite.simulated_episodes)


def _is_measured(cfg: DictConfig, planner: Planner[Any], run: Run | None) -> bool:
    if run is None:
        return False
    same = run.settings == repr(planner) and run.budget == envs.make(run.task).budget
    return same and len(run.steps) >= episodes_of(cfg, run.policy)
