"""Paired comparison of settings on the same starts and goals.

Each variant plans with the same model to the same goals from the same starts. A difference of success rates then
depends only on the episodes that exactly one of two variants solves, and its interval is far narrower than those of the
rates.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import envs
from envs import Task
from worldmodel.models.checkpoint import Checkpoint

from ... import build
from ...evaluation.goals import latency
from ...evaluation.goals.protocols import Pairs, honest
from ...evaluation.goals.rollout import run_episodes
from ...evaluation.policy import ModelPolicy
from ...records import table_file
from ...records.intervals import paired_difference, percentiles, wilson
from ...records.manifest import command, manifest
from ...shell.progress import progress_bar
from ...training.ensure import chosen_checkpoint

logger = logging.getLogger(__name__)

REFERENCE = "reference"


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
    """
    suite, seed = cfg.suite, int(cfg.seed)
    if not suite.variants or REFERENCE in suite.variants:
        raise ValueError(
            f"suite.variants must name settings to compare, none of them called {REFERENCE}; got {list(suite.variants)}"
        )
    settings = {REFERENCE: suite.reference, **suite.variants}
    composed = {
        name: build.compose("plan", f"task={suite.task}", f"runs={cfg.runs}", f"seed={seed}", *overrides)
        for name, overrides in settings.items()
    }
    task, checkpoint = envs.make(str(suite.task)), chosen_checkpoint(composed[REFERENCE], seed, "bench")
    pairs = honest(task, int(suite.episodes), seed)
    rows: list[PairedRow] = []
    solved: dict[str, np.ndarray] = {}
    for name, plan_cfg in composed.items():
        solved[name], steps, times = measure(name, plan_cfg, task, checkpoint, pairs, seed, int(suite.plans))
        rows.append(paired_row(suite, name, settings[name], seed, solved[name], solved[REFERENCE], steps, times))
    path = Path(cfg.results) / "paired.csv"
    table_file.add(path, PairedRow, rows, IDENTITY, manifest(cfg, [seed]))
    show(rows)
    return rows


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
