"""Simulated tasks, and the rollouts that models learn from."""

from __future__ import annotations

from .registry import TASKS, make, make_reward_task, task_names
from .reward_task import RewardTask
from .sensors import Sensor
from .suites.goal_task import GoalTask
from .task import Scene, Task

__version__ = "0.1.0"

__all__ = ["GoalTask", "RewardTask", "Scene", "Sensor", "TASKS", "Task", "make", "make_reward_task", "task_names"]
