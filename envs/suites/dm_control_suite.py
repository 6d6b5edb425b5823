"""dm_control's suite as reward tasks: `dmc/walker-walk`, `dmc/cup-catch`.

The suite's own hooks are called in its own order, so that every step is bit for bit its `Environment.step`; only the
observations that action repeat throws away are not computed.
"""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from types import ModuleType
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..reward_task import RewardTask
from ..snapshot import (
    Snapshot,
    model_arrays,
    part,
    prefixed,
    restore_attributes,
    restore_physics,
    restore_random,
    save_attributes,
    save_physics,
    save_random,
)

_SHORT = {"cup": "ball_in_cup"}  # domains with another name in the literature


class DmControlTask(RewardTask):
    """Task of the suite. Observations are its dictionary, flattened in the suite's order.

    It terminates where the suite's discount is 0 and is truncated at the suite's time limit (1,000 control steps).
    """

    def __init__(self, domain: str, task: str, action_repeat: int):
        super().__init__(action_repeat)
        suite, base = _suite()
        # With a fixed seed, randomly generated models are the same in every process; episodes have separate seeds.
        env = suite.load(domain, task, task_kwargs={"random": 0})
        self.name = f"dmc/{_name(domain, task)}"
        self._env, self._task, self._physics = env, env.task, env.physics
        self._original = model_arrays(self._model)
        self._substeps = round(env.control_timestep() / env.physics.timestep())
        limit = env._step_limit  # the suite has no public attribute for it
        self.episode_steps = None if math.isinf(limit) else math.ceil(limit)
        self.control_period = action_repeat * env.control_timestep()
        spec = env.action_spec()
        if spec.minimum.min() <= -mujoco.mjMAXVAL or spec.maximum.max() >= mujoco.mjMAXVAL:
            raise ValueError(f"the actions of {self.name} have no bounds, but planning needs them: choose another task")
        self.action_size = spec.shape[0]
        self.low, self.high = spec.minimum.astype(np.float32), spec.maximum.astype(np.float32)
        self.may_terminate = type(env.task).get_termination is not base.get_termination
        self._elapsed = 0
        self.observation_size = sum(math.prod(spec.shape) for spec in env.observation_spec().values())

    def snapshot(self) -> Snapshot:
        """Return the physics, the task's changes of the model, its random stream and attributes, and the clock."""
        return {
            "versions": _versions(),
            "elapsed": self._elapsed,
            "random": save_random(self._task.random),
            **prefixed("task", save_attributes(self._task)),
            **save_physics(self._model, self._data, self._original),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Resume from `snapshot`, bit for bit. Raises ValueError where it is from other versions."""
        if snapshot["versions"] != _versions():
            raise ValueError(
                f"the snapshot of {self.name} was made with {snapshot['versions']}, but this is {_versions()}"
            )
        restore_attributes(self._task, part("task", snapshot))
        restore_random(self._task.random, snapshot["random"])
        restore_physics(self._model, self._data, self._original, snapshot, mujoco.mj_step1)
        self._elapsed, self._running = snapshot["elapsed"], True

    def close(self) -> None:
        """Free the simulation."""
        super().close()
        self._env.close()

    def _begin(self, seed: int | None) -> None:
        if seed is not None:
            self._task.random.seed(seed)
        self._env.reset()
        self._elapsed = 0

    def _advance(self, control: Float[ndarray, "A"]) -> tuple[float, bool, bool]:
        self._task.before_step(control, self._physics)
        self._physics.step(self._substeps)
        self._task.after_step(self._physics)
        reward = float(self._task.get_reward(self._physics))
        self._elapsed += 1
        if self.episode_steps is not None and self._elapsed >= self.episode_steps:
            return reward, False, True
        discount = self._task.get_termination(self._physics)
        return reward, discount == 0.0, discount is not None and discount != 0.0

    def _observe(self) -> Float[ndarray, "O"]:
        values = self._task.get_observation(self._physics).values()
        return np.concatenate([np.ravel(value) for value in values]).astype(np.float32)

    def _simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        return self._model, self._data

    @property
    def _model(self) -> mujoco.MjModel:
        return self._physics.model.ptr

    @property
    def _data(self) -> mujoco.MjData:
        return self._physics.data.ptr


def make(name: str, action_repeat: int) -> DmControlTask:
    """Return the task called `<domain>-<task>`, by the suite's name or the literature's.

    Raises:
      ValueError: an unknown name.
      ImportError: dm_control is not installed.
    """
    suite, _ = _suite()
    tasks = {_name(domain, task): (domain, task) for domain, task in suite.ALL_TASKS}
    domain, _, task = name.partition("-")
    known = _name(_SHORT.get(domain, domain), task)
    if known not in tasks:
        close = [f"dmc/{match}" for match in difflib.get_close_matches(known, tasks, n=3)]
        hint = f"did you mean {' or '.join(close)}?" if close else f"the tasks are {', '.join(tasks)}"
        raise ValueError(f"dm_control's suite has no task 'dmc/{name}': {hint}")
    return DmControlTask(*tasks[known], action_repeat)


def _name(domain: str, task: str) -> str:
    short = {long: short for short, long in _SHORT.items()}
    return f"{short.get(domain, domain)}-{task.replace('_', '-')}"


def _suite() -> tuple[ModuleType, Any]:
    """Return the suite and the base class of its tasks."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without a display it warns about OpenGL, which is not used here
            from dm_control import suite
            from dm_control.rl.control import Task
    except ModuleNotFoundError as error:
        raise ImportError("tasks called dmc/... need dm_control: pip install dm_control") from error
    return suite, Task


def _versions() -> str:
    return f"mujoco {mujoco.__version__}, dm_control {version('dm_control')}"
