"""Stable-Baselines3's own `evaluate_policy` on a controller: `python -m experiments.examples.evaluate_policy MODEL`.

A controller has the `predict` of an SB3 policy, so the same code evaluates both. It needs
stable-baselines3, which needs torch: `pip install stable-baselines3`.
"""

from __future__ import annotations

import sys
from typing import Any

import gymnasium
import numpy as np
from numpy import ndarray

import envs
from experiments import build
from planning.control import Controller
from worldmodel.models.checkpoint import load_model


class Reach(gymnasium.Wrapper[ndarray, ndarray, ndarray, ndarray]):
    """Environment wrapper: an episode ends at its goal with return 1, else 0; new goals go to the controller."""

    def __init__(self, env: envs.Task, controller: Controller):
        super().__init__(env)
        self._task, self._controller = env, controller

    def reset(self, **options: Any) -> tuple[ndarray, dict[str, Any]]:
        """Begin an episode with a new start and goal."""
        observation, info = self._task.reset(**options)
        self._controller.reset(goal=self._task.goal_observation(info["goal"]))
        return observation, info

    def step(self, action: ndarray) -> tuple[ndarray, float, bool, bool, dict[str, Any]]:
        """Execute one control period."""
        observation, reward, _, truncated, info = self._task.step(action)
        return observation, float(reward), info["success"], truncated, info


def environment(checkpoint: str, controller: Controller) -> Reach:
    """Create the model's task, which passes its goals to the controller."""
    return Reach(envs.make(load_model(checkpoint).metadata["task"]["task"]), controller)


def main(checkpoint: str, episodes: int = 5, *overrides: str) -> float:
    """Return the mean return over some episodes: the success rate."""
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor

    controller = build.controller(checkpoint, *overrides)
    controller.warmup()
    policy: Any = controller
    found = evaluate_policy(policy, Monitor(environment(checkpoint, controller)), n_eval_episodes=episodes)
    returns = float(np.mean(found[0]))
    print(f"success rate over {episodes} episodes: {returns:.0%}")
    return returns


if __name__ == "__main__":
    main(sys.argv[1])
