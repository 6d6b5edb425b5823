"""Rate of limit violations in the true simulator: without the limit, with it as a penalty, and as a constraint.

The same model plans to the same held-out goals from the same starts. Violations are read from the true states with the
limit itself; the constraint is given a tighter limit, since it sees predicted and decoded states.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from omegaconf import DictConfig, OmegaConf
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import envs
from envs import Task
from envs.task import planar_view
from planning import KeepOut, SpeedLimit
from worldmodel.models.checkpoint import Checkpoint

from ... import build
from ...evaluation.goals.protocols import Pairs, honest
from ...evaluation.goals.rollout import run_episodes
from ...evaluation.policy import ModelPolicy
from ...records.episodes import EpisodeRecord
from ...records.manifest import manifest
from ...records.promises import require
from ...records.results import Value, append_values
from ...shell.progress import progress_bar
from ...training.ensure import ensure_model

Limit = KeepOut | SpeedLimit


def run(cfg: DictConfig) -> list[Value]:
    """Measure and print every case, and add its values to `robot_loop.csv`.

    Raises:
      SystemExit: with code 1, if one of the suite's promises is broken.
    """
    values: list[Value] = []
    table = Table(title="share of the steps that break the limit", box=SIMPLE_HEAD)
    for column in ("case", "variant", "steps broken", "episodes broken", "success"):
        table.add_column(column, justify="right" if column not in ("case", "variant") else "left", no_wrap=True)
    for case, settings in cfg.suite.cases.items():
        for variant, (steps, episodes, success) in measure(cfg, settings).items():
            name = f"constraint_violations_{case}_{variant}"
            values += [Value(name, steps, "share of steps"), Value(f"{name}_success", success, "share of episodes")]
            table.add_row(str(case), variant, f"{steps:.3%}", f"{episodes:.1%}", f"{success:.1%}")
    Console().print(table)
    append_values(Path(cfg.results) / "robot_loop.csv", values, manifest(cfg, [int(cfg.suite.seed)]))
    require(cfg.suite, values)
    return values


def measure(cfg: DictConfig, settings: DictConfig) -> dict[str, tuple[float, float, float]]:
    """Shares of steps and episodes that break the limit, and of successes, for each variant of the planner."""
    seed, limit = int(cfg.suite.seed), OmegaConf.to_container(settings.limit)
    base = build.compose("plan", f"task={settings.task}", f"runs={cfg.runs}", f"seed={seed}")
    task, checkpoint = envs.make(str(settings.task)), ensure_model(base, seed)
    true_limit: Limit = build.make(settings.limit, "limit")
    pairs = feasible(task, true_limit, honest(task, int(cfg.suite.episodes), seed))
    slack = OmegaConf.merge(settings.limit, settings.slack)
    variants: dict[str, Any] = {"untold": {}}
    for weight in cfg.suite.penalties:
        penalty = {"_target_": "planning.Penalty", "of": limit, "weight": float(weight)}
        variants[f"penalty_{weight}"] = {"cost": {"penalty": penalty}}
    variants["guarded"] = {"constraint": {"limit": OmegaConf.to_container(slack)}}
    found = {}
    for name, change in variants.items():
        OmegaConf.set_struct(base, False)
        found[name] = measure_variant(OmegaConf.merge(base, change), name, task, checkpoint, pairs, true_limit, seed)
    return found


def feasible(task: Task, limit: Limit, pairs: Pairs) -> Pairs:
    """The pairs that can be solved within the limit: neither start nor goal is in a forbidden place."""
    if isinstance(limit, SpeedLimit):
        return pairs
    view = planar_view(task)
    ends = (view.keypoints(pairs.states), view.goal_keypoints(pairs.goals))
    free = np.all([_depth(limit, points[..., limit.point, :]) < 0 for points in ends], axis=0)
    return replace(pairs, states=pairs.states[free], goals=pairs.goals[free])


def broken(task: Task, limit: Limit, record: EpisodeRecord) -> Bool[ndarray, "T"]:
    """Whether the true state breaks the limit at each step of an episode, the start excluded."""
    path = np.asarray(record.keypoints)[:, limit.point]
    if isinstance(limit, KeepOut):
        return _depth(limit, path[1:]) > 0
    return np.linalg.norm(np.diff(path, axis=0), axis=-1) / task.control_period > float(limit.limit)


def _depth(limit: KeepOut, points: Float[ndarray, "... 2"]) -> Float[ndarray, "..."]:
    return float(limit.radius) - np.linalg.norm(points - np.asarray(limit.center), axis=-1)


def measure_variant(
    cfg: Any, name: str, task: Task, checkpoint: Checkpoint, pairs: Pairs, limit: Limit, seed: int
) -> tuple[float, float, float]:
    """Shares of steps and episodes that break the limit, and of successes, with one setting of the planner."""
    agent = build.agent(cfg, checkpoint.model, task)
    with progress_bar(f"{name} on {task.name}", task.budget, compiles=True) as bar:
        records = run_episodes(task, ModelPolicy(agent, seed), pairs, bar, model=agent.model)
        bar(task.budget, task.budget)
    steps = [broken(task, limit, record) for record in records]
    return (
        float(np.concatenate(steps).mean()),
        float(np.mean([each.any() for each in steps])),
        float(np.mean([record.success for record in records])),
    )
