"""Gymnasium's Reacher as a goal environment: bring the fingertip to a place and hold it still.

jepa-mpc check task=goal/experiments.examples.hold_reacher:HoldReacher-v0
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.mujoco.reacher_v5 import ReacherEnv
from jaxtyping import Bool, Float
from numpy import ndarray

NEAR = 0.02  # metres
SLOW = 1.0  # radians per second, of each joint


class HoldReacher(ReacherEnv):
    """Reacher-v5 with starts and goals anywhere. A goal is a place of the fingertip, with the joints at rest."""

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        seen, goal = (spaces.Box(-np.inf, np.inf, (size,), np.float64) for size in (4, 4))
        self.observation_space = spaces.Dict(observation=seen, achieved_goal=goal, desired_goal=goal)

    def reset_model(self) -> Any:
        """Start at rest in one position of the arm; the goal is the fingertip's place in another."""
        low, high = [-np.pi, -2.8], [np.pi, 2.8]
        self._place(self.np_random.uniform(low, high), np.zeros(2))
        target = self.get_body_com("fingertip")[:2].copy()
        self._place(self.np_random.uniform(low, high), target)
        return self._get_obs()

    def step(self, action: ndarray) -> Any:
        """Hold the torques for a control period."""
        self.do_simulation(action, self.frame_skip)
        seen = self._get_obs()
        return seen, self.compute_reward(seen["achieved_goal"], seen["desired_goal"], {}), False, False, {}

    def compute_reward(self, achieved_goal: ndarray, desired_goal: ndarray, info: Any) -> Any:
        """-1 until the goal is reached, then 0."""
        return self.is_success(achieved_goal, desired_goal) - 1.0

    def is_success(
        self, achieved_goal: Float[ndarray, "... 4"], desired_goal: Float[ndarray, "... 4"]
    ) -> Bool[ndarray, "..."]:
        """Whether the fingertip is near the place, and both joints are slow."""
        off = np.abs(achieved_goal - desired_goal)
        return (np.linalg.norm(off[..., :2], axis=-1) < NEAR) & (off[..., 2:] < SLOW).all(axis=-1)

    def _place(self, angles: ndarray, target: ndarray) -> None:
        self.set_state(np.concatenate([angles, target]), np.zeros(self.model.nv))

    def _get_obs(self) -> dict[str, ndarray]:
        angles, speeds = self.data.qpos[:2], self.data.qvel[:2]
        return {
            "observation": np.concatenate([np.cos(angles), np.sin(angles)]),
            "achieved_goal": np.concatenate([self.get_body_com("fingertip")[:2], speeds]),
            "desired_goal": np.concatenate([self.get_body_com("target")[:2], np.zeros(2)]),
        }


gymnasium.register("HoldReacher-v0", f"{__name__}:HoldReacher", max_episode_steps=75)
