"""Paired comparison of settings on the same starts and goals.

Each variant plans with the same model to the same goals from the same starts. A difference of success rates then
depends only on the episodes that exactly one of two variants solves, and its interval is far narrower than those of the
rates.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import envs
from envs import Task
from worldmodel.files import write_atomically
from worldmodel.models.checkpoint import Checkpoint

from ... import build
from ...build.recipes import Paths, file_name
from ...engine.artifacts import TableFile
from ...engine.run import run_steps
from ...engine.step import Step, exit_on_failure
from ...evaluation.goals import latency
from ...evaluation.goals.protocols import Pairs, honest
from ...evaluation.goals.rollout import run_episodes
from ...evaluation.policy import ModelPolicy
from ...records import table_file
from ...records.intervals import paired_difference, percentiles, wilson
from ...records.manifest import command, manifest
from ...shell.progress import progress_bar
from ...training.ensure import chosen_checkpoint

REFERENCE, FILE = "reference", "paired.csv"


@dataclass(frozen=True, kw_only=True)
class PairedRow:
    """One variant on one task, compared with the reference on the same pairs."""

    task: str
    variant: str
    settings: str  # overrides of `jepa-mpc plan`
    seed: int  # of the model and of the pairs
    episodes: int
    successes: int
    success_rate: float
    ci_low: float
    ci_high: float
    steps_mean: float  # environment steps of the episodes that succeeded
    only_this: int  # episodes that this variant solves and the reference does not
    only_reference: int
    difference: float  # of the success rates, this variant's minus the reference's
    difference_low: float
    difference_high: float
    plan_ms_p50: float
    plan_ms_p99: float
    command: str


IDENTITY = ("task", "variant", "seed", "episodes")


def run(cfg: DictConfig) -> list[PairedRow]:
    """Measure the reference and every variant, print them side by side, and write their rows.

    Raises:
      ValueError: there is no variant, one is called `reference`, or a setting does not exist.
      SystemExit: with code 1, once all other steps are done, if a step failed.
    """
    if not cfg.suite.variants or REFERENCE in cfg.suite.variants:
        raise ValueError(
            f"suite.variants must name settings to compare, none of them called {REFERENCE}; got "
            f"{list(cfg.suite.variants)}"
        )
    suite, path = Suite(cfg), Path(cfg.results) / FILE
    failed = run_steps(cfg, __name__, suite.steps(), TableFile(FILE, PairedRow, IDENTITY))
    wanted = [(str(cfg.suite.task), name, suite.seed, int(cfg.suite.episodes)) for name in suite.overrides]
    measured = {tuple(getattr(row, name) for name in IDENTITY): row for row in table_file.read(path, PairedRow)}
    rows = [measured[identity] for identity in wanted if identity in measured]
    if rows:
        show(rows)
    exit_on_failure(failed)
    return rows


class Suite:
    """Model, outcomes and rows of one run of the suite."""

    def __init__(self, cfg: DictConfig):
        self._cfg, self.seed = cfg, int(cfg.seed)
        self.overrides: dict[str, Any] = {REFERENCE: cfg.suite.reference, **cfg.suite.variants}
        setting = f"task={cfg.suite.task}", f"runs={cfg.runs}", f"seed={self.seed}"
        self._composed = {
            name: build.compose("plan", *setting, *overrides) for name, overrides in self.overrides.items()
        }
        self._checkpoint = cache(self._model)

    def steps(self) -> list[Step]:
        """The model, the outcome of the reference and of each variant, and their comparison, which writes the rows."""
        reference, needs, reads = self._composed[REFERENCE], tuple[str, ...](), tuple[Path, ...]()
        found = []
        if reference.checkpoint is None:
            model = Paths.of(reference, self.seed).model
            reads = (model,)
            if not model.exists():
                needs = (f"model of {reference.task.name}, seed {self.seed}",)
                found.append(Step(needs[0], "model", self._checkpoint))
        for name in self.overrides:
            found.append(Step(name, "outcome", partial(self.measure, name), needs, reads))
        files = tuple(self._outcome_file(name) for name in self.overrides)
        return [*found, Step("comparison", "comparison", self.compare, tuple(self.overrides), files)]

    def measure(self, name: str) -> None:
        """Measure one variant and write its outcome."""
        task = envs.make(str(self._cfg.suite.task))
        pairs = honest(task, int(self._cfg.suite.episodes), self.seed)
        plans = int(self._cfg.suite.plans)
        outcome = measure(name, self._composed[name], task, self._checkpoint(), pairs, self.seed, plans)
        write_atomically(self._outcome_file(name), json.dumps([each.tolist() for each in outcome]))

    def compare(self) -> None:
        """Write the rows from the outcomes, and remove those."""
        found = {name: _outcome(self._outcome_file(name)) for name in self.overrides}
        rows = [
            paired_row(
                self._cfg.suite, name, self.overrides[name], self.seed, solved, found[REFERENCE][0], steps, times
            )
            for name, (solved, steps, times) in found.items()
        ]
        made = manifest(self._cfg, [self.seed])
        table_file.add(Path(self._cfg.results) / FILE, PairedRow, rows, IDENTITY, made)
        for name in self.overrides:
            self._outcome_file(name).unlink(missing_ok=True)

    def _model(self) -> Checkpoint:
        return chosen_checkpoint(self._composed[REFERENCE], self.seed, "bench")

    def _outcome_file(self, name: str) -> Path:
        return Path(self._cfg.runs) / "paired" / f"{file_name(f'{self._cfg.suite.task}-{self.seed}-{name}')}.json"


def _outcome(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether each episode succeeded, steps of those, and milliseconds of single plans."""
    solved, steps, times = json.loads(path.read_text())
    return np.array(solved, bool), np.array(steps, int), np.array(times, float)


def show(rows: list[PairedRow]) -> None:
    """Print one line per variant."""
    table = Table(title=f"{rows[0].task}: {rows[0].episodes} pairs, the same for all", box=SIMPLE_HEAD)
    for column in ("variant", "success (95 %)", "only this / only reference", "difference (95 %)", "steps", "plan ms"):
        table.add_column(column, justify="left" if column == "variant" else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.variant,
            f"{row.success_rate:.1%} ({100 * row.ci_low:.1f}–{100 * row.ci_high:.1f})",
            f"{row.only_this} / {row.only_reference}",
            f"{row.difference:+.1%} ({100 * row.difference_low:+.1f}–{100 * row.difference_high:+.1f})",
            f"{row.steps_mean:.1f}",
            f"{row.plan_ms_p50:.1f} / {row.plan_ms_p99:.1f}",
        )
    Console().print(table)


def measure(
    name: str, cfg: DictConfig, task: Task, checkpoint: Checkpoint, pairs: Pairs, seed: int, plans: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether each episode succeeds, steps of the successful ones, and milliseconds of single plans."""
    agent = build.agent(cfg, checkpoint.model, task)
    with progress_bar(f"{name} on {task.name}", task.budget, compiles=True) as bar:
        records = run_episodes(task, ModelPolicy(agent, seed), pairs, bar, model=agent.model)
        bar(task.budget, task.budget)
    solved = np.array([record.success for record in records])
    steps = np.array([len(record.states) - 1 for record in records])[solved]
    return solved, steps, latency.measure(task, agent, pairs, plans)


def paired_row(
    suite: DictConfig,
    name: str,
    overrides: Any,
    seed: int,
    solved: np.ndarray,
    reference: np.ndarray,
    steps: np.ndarray,
    times: np.ndarray,
) -> PairedRow:
    """The row of one variant, compared with the reference on the same pairs."""
    successes = int(solved.sum())
    low, high = wilson(successes, len(solved))
    only_this, only_reference = int((solved & ~reference).sum()), int((reference & ~solved).sum())
    difference, difference_low, difference_high = paired_difference(only_this, only_reference, len(solved))
    p50, _, p99 = percentiles(times)
    return PairedRow(
        task=str(suite.task),
        variant=name,
        settings=" ".join(str(each) for each in overrides),
        seed=seed,
        episodes=len(solved),
        successes=successes,
        success_rate=successes / len(solved),
        ci_low=low,
        ci_high=high,
        steps_mean=float(steps.mean()) if len(steps) else 0.0,
        only_this=only_this,
        only_reference=only_reference,
        difference=difference,
        difference_low=difference_low,
        difference_high=difference_high,
        plan_ms_p50=p50,
        plan_ms_p99=p99,
        command=command(),
    )
