"""A reward task of ours as a Gymnasium environment, as Stable-Baselines3 expects it."""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from jaxtyping import Float
from numpy import ndarray


class RewardTask(Protocol):
    """Interface of a reward task: one step is one decision, and the task repeats the action itself."""

    observation_size: int
    low: ndarray  # [A] float32, raw bounds of the actions
    high: ndarray

    def reset(self, seed: int | None = None) -> ndarray:
        """Begin an episode and return its first observation [O]."""
        ...

    def step(self, action: Any) -> Any:
        """Execute one decision: `observation`, `reward`, `terminated`, `truncated`."""
        ...


class RewardEnv(gymnasium.Env[ndarray, ndarray]):
    """Gymnasium environment with the episodes, rewards and bounds of a reward task."""

    def __init__(self, task: RewardTask):
        self.task = task
        self.observation_space = Box(-np.inf, np.inf, (task.observation_size,), np.float32)
        self.action_space = Box(np.asarray(task.low, np.float32), np.asarray(task.high, np.float32))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float[ndarray, "O"], dict[str, Any]]:
        """Begin an episode: that of `seed`, or the next one that the task draws."""
        super().reset(seed=seed)
        return self.task.reset(seed), {}

    def step(self, action: Float[ndarray, "A"]) -> tuple[Float[ndarray, "O"], float, bool, bool, dict[str, Any]]:
        """Execute one decision."""
        done = self.task.step(action)
        return done.observation, float(done.reward), bool(done.terminated), bool(done.truncated), {}
