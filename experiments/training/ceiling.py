"""`jepa-mpc train method=ceiling`: the return of planning on the true dynamics, a constant among learning curves."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from rich.console import Console

from envs.registry import make_reward_task

from .. import build
from ..build.recipes import file_name
from ..build.reward_tasks import action_repeat
from ..evaluation.rewards.rollout import episode_returns
from ..evaluation.rewards.true_dynamics import TrueDynamics
from ..records import curves
from ..records.manifest import command, manifest
from ..shell.progress import progress_bar


def run(cfg: DictConfig) -> Path:
    """Measure the ceiling of one task, as a constant line in a table of learning curves, and return the table's path.

    A ceiling already in the table is kept.

    Raises:
      ValueError: invalid settings, or an environment that cannot be planned in.
    """
    seed, name, method = int(cfg.seed), str(cfg.task.name), str(cfg.online.method)
    repeat = action_repeat(cfg)
    default = Path(cfg.runs) / f"{file_name(name)}-true-dynamics-seed{seed}.csv"
    table, steps = Path(cfg.online.curves) if cfg.online.curves else default, int(cfg.online.steps)
    if steps < 1:
        raise ValueError(f"online.steps must be at least 1; got {steps}")
    if any(row.key() == (method, name, seed) and row.env_steps >= steps for row in curves.read(table)):
        Console().print(f"{method} on {name}, seed {seed}, is in {table} already", markup=False, soft_wrap=True)
        return table
    make_task = partial(make_reward_task, name, repeat)
    policy = TrueDynamics(make_task, build.planner(cfg), build.reward_spec(make_task()), seed)
    episodes = int(cfg.online.evaluate_episodes)
    with progress_bar(f"{method} on {name}", 1) as bar:
        returns = episode_returns(make_task, policy, episodes, seed, bar)
    made = manifest(cfg, [seed])
    for env_steps in (0, steps):  # nothing is learned between them
        row = curves.CurveRow(
            method=method,
            task=name,
            seed=seed,
            env_steps=env_steps,
            gradient_steps=0,
            wall_s=0.0,
            mean_return=float(returns.mean()),
            action_repeat=repeat,
            command=command(),
        )
        curves.append(table, row, made)
    Console().print(
        f"return {returns.mean():.0f} ({returns.min():.0f} to {returns.max():.0f} in {episodes} episodes), "
        f"{np.mean(policy.milliseconds):.0f} ms a decision; its rows are in {table}",
        markup=False,
        soft_wrap=True,
    )
    return table
