"""Simulated tasks, and the rollouts that models learn from."""

from __future__ import annotations

from .registry import TASKS, make, make_reward_task
from .suites.goal_task import GoalTask
from .task import Scene, Task

__all__ = ["TASKS", "GoalTask", "Scene", "Task", "make", "make_reward_task"]
