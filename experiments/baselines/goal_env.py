"""A task as a goal-conditioned Gymnasium environment, as Stable-Baselines3 and its hindsight replay expect it.

`observation` and the goals are what the sensors read, scaled to a spread of about one: where a task's places lie close
together, as those of a gripper in its workspace do, networks cannot tell them apart otherwise. The task itself decides
whether a goal is reached, from simulator states, which the goals carry along behind their `visible` first numbers: no
network sees them, and hindsight relabels them together.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import Float
from numpy import ndarray

from envs import Task

from ..evaluation.moments import goal_rows, spec_of, true_rows

Observation = dict[str, ndarray]


class GoalEnv(gymnasium.Env[Observation, ndarray]):
    """Reward 0 where the goal is reached and -1 elsewhere; an episode lasts the task's budget and never ends early.

    A goal is `[goal observation (O, scaled), state (S), goal (G)]`; for a goal that was not achieved the state is 0.

    Args:
      draws: number of starts and goals for the mean and the spread of each sensor; a sensor that is constant
        in all of them, such as speed at rest, is scaled by its bounds.
    """

    def __init__(self, task: Task, draws: int):
        self.task = task
        self.action_space = task.action_space
        self._middle, self._scale = _spread(task, draws)
        self.visible = len(self._scale)
        self._state_size = len(task.state)
        size = self.visible + self._state_size + len(task.goal)
        self.observation_space: Any = spaces.Dict(
            {
                "achieved_goal": spaces.Box(-np.inf, np.inf, (size,), np.float64),
                "desired_goal": spaces.Box(-np.inf, np.inf, (size,), np.float64),
                "observation": spaces.Box(-np.inf, np.inf, (self.visible,), np.float64),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode with a new start and goal drawn by the task."""
        super().reset(seed=seed)
        _, info = self.task.reset(seed=seed, options=options)
        return self._seen(), info

    def step(self, action: ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Execute one control period."""
        _, _, _, truncated, info = self.task.step(action)
        seen = self._seen()
        reward = float(self.compute_reward(seen["achieved_goal"], seen["desired_goal"], info))
        return seen, reward, False, truncated, info

    def compute_reward(self, achieved: Float[ndarray, "... W"], desired: Float[ndarray, "... W"], info: Any) -> ndarray:
        """Reward: 0 where the state in `achieved` fulfils the goal in `desired`, -1 elsewhere."""
        states = achieved[..., self.visible : self.visible + self._state_size]
        goals = desired[..., self.visible + self._state_size :]
        return np.asarray(self.task.success(states, goals), np.float32) - np.float32(1.0)

    def scaled(self, observations: Float[ndarray, "... O"]) -> Float[ndarray, "... O"]:
        """Observations scaled for the networks."""
        return (observations - self._middle) / self._scale

    def _seen(self) -> Observation:
        state, goal = self.task.state, self.task.goal
        achieved = np.asarray(self.task.achieved_goal(state))
        return {
            "achieved_goal": self._goal(achieved, state),
            "desired_goal": self._goal(goal, np.zeros_like(state)),
            "observation": self.scaled(true_rows(self.task, state)).astype(np.float64),
        }

    def _goal(self, goal: Float[ndarray, "G"], state: Float[ndarray, "S"]) -> Float[ndarray, "W"]:
        return np.concatenate([self.scaled(goal_rows(self.task, goal)), state, goal])


def _spread(task: Task, draws: int) -> tuple[Float[ndarray, "O"], Float[ndarray, "O"]]:
    """Mean and standard deviation of each sensor over starts and goals; 0 and its bound if it is constant."""
    rng = np.random.default_rng(0)
    starts = true_rows(task, np.stack([task.sample_state(rng) for _ in range(draws)]))
    goals = goal_rows(task, np.stack([task.sample_goal(rng) for _ in range(draws)]))
    seen = np.concatenate([starts, goals]).astype(np.float64)
    space: Any = task.observation_space
    high = spec_of(task).numpy_row(
        {name: box.high for name, box in space.spaces.items()} if hasattr(space, "spaces") else space.high
    )
    bound = np.where(np.isfinite(high) & (high > 0), high, 1.0)
    varies = seen.std(axis=0) > 1e-3 * bound
    return np.where(varies, seen.mean(axis=0), 0.0), np.where(varies, seen.std(axis=0), bound)
