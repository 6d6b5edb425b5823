"""What is right and wrong with a task that has a reward."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np

from envs.reward_task import RewardTask, check_reward_task

from .finding import Finding, judged

STEPS = 300  # random decisions


def rewards(task: RewardTask, steps: int) -> Iterator[Finding]:
    """What random decisions earn, and how long learning steps the environment.

    Args:
      task: with a reward.
      steps: environment steps of the learning.
    """
    began = time.perf_counter()
    tried = check_reward_task(task, STEPS)
    rate = STEPS * task.action_repeat / max(time.perf_counter() - began, 1e-9)
    low, high = float(tried.rewards.min()), float(tried.rewards.max())
    yield judged(
        "reward",
        high > low,
        f"{STEPS} random decisions earn from {low:.3g} to {high:.3g} each"
        if high > low
        else f"{STEPS} random decisions earn {low:.3g} each: nothing to learn from",
        "reward progress as well: what random actions never earn is not found",
        value=high - low,
    )
    size = float(np.abs(tried.rewards).max())
    yield judged(
        "reward's size",
        size <= 1e3,
        f"at most {size:.3g} in a decision",
        "divide the reward: values beyond a few thousand are learned badly",
        value=size,
    )
    yield judged(
        "control period",
        math.isfinite(task.control_period),
        f"{1e3 * task.control_period:g} ms" if math.isfinite(task.control_period) else "unknown",
        "give the environment an attribute dt, or add control_period=SECONDS",
    )
    yield judged(
        "time limit",
        task.episode_steps is not None,
        f"{task.episode_steps} steps" if task.episode_steps else "none",
        "give gymnasium.register max_episode_steps=..., or episodes may never end",
    )
    resumes = task.snapshot() is not None
    yield judged(
        "states",
        resumes,
        "an interrupted episode resumes exactly" if resumes else "an interrupted training begins its episode again",
        "nothing to do, unless runs have to be the same bit for bit",
    )
    yield Finding(
        "speed", "pass", f"{rate:,.0f} steps a second: {steps:,} steps take {_minutes(steps / rate)}", "", rate
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
