"""The physics and the sensors of a drive, with their faults."""

from __future__ import annotations

from collections import deque
from typing import final

import mujoco
import numpy as np
from numpy import ndarray

from envs import faults
from envs.sensors import Observation, at

from .messages import Setup


@final
class World:
    """Physics and sensors of the task, advanced one physics step at a time."""

    def __init__(self, setup: Setup):
        task = setup.make()
        self.task, self._setup = task, setup
        self._model, self._data = task.model, mujoco.MjData(task.model)
        self._rng = np.random.default_rng(setup.seed)
        self.timestep, self.substeps = float(task.model.opt.timestep), task.physics.substeps
        self._unseen = faults.unseen(task) if setup.fault == "vanish" else task
        self._missing = faults.Missing.of(task, setup.fault)
        self._broken = False
        self.tick = 0
        self._readings: deque[Observation] = deque(maxlen=faults.DELAY + 1)

    @property
    def state(self) -> ndarray:
        """True state, [S]."""
        state = np.empty(self.task.physics.state_size)
        mujoco.mj_getState(self._model, self._data, state, int(mujoco.mjtState.mjSTATE_FULLPHYSICS))
        return state

    def reset(self, state: ndarray) -> None:
        """Reset to `state`, without faults."""
        self._model, self._broken, self.tick = self.task.model, False, 0
        self._data = mujoco.MjData(self._model)
        self._readings.clear()
        self._place(state)

    def command(self, action: ndarray) -> None:
        """Put an action [A] on the actuators, which hold it. A relative one counts from the present state."""
        self.task.physics.command(self._data, action)

    def step(self) -> None:
        """Advance one physics step."""
        due = self._setup.fault is not None and self.tick * self.timestep >= self._setup.fault_at - 1e-9
        if due and not self._broken and self.tick % self.substeps == 0:
            self._break()
        limit = self.task.physics.velocity_limit
        if limit is not None:
            np.clip(self._data.qvel, -limit, limit, out=self._data.qvel)
        mujoco.mj_step(self._model, self._data)
        self.tick += 1

    def sense(self) -> tuple[Observation, bool]:
        """Read the sensors; also return whether the reading reaches the controller."""
        fault = self._setup.fault if self._broken else None
        if fault == "frozen_sensor":
            return self._readings[-1], True
        task = self._unseen if fault == "vanish" else self.task
        self._readings.append(at(task.sense(self.state[None], [self._rng]), 0))
        if fault is not None and self._missing is not None:
            since = self.tick * self.timestep - self._setup.fault_at
            lost = since < self._missing.seconds - 1e-9
            newest = self._readings[-1]
            return faults.without(self.task, newest, self._missing.sensor) if lost else newest, True
        if fault == "nan_sensor":
            return _not_a_number(self._readings[-1]), True
        if fault == "delayed_observations":
            return self._readings[0], True
        return self._readings[-1], fault != "dropped_observations"

    def _break(self) -> None:
        fault, state = self._setup.fault, self.state
        assert fault is not None
        self._broken = True
        if fault == "teleport":
            self._place(faults.elsewhere(self.task, state, self._rng))
        self._model = faults.broken_model(self.task, fault, state)

    def _place(self, state: ndarray) -> None:
        mujoco.mj_setState(self._model, self._data, state, int(mujoco.mjtState.mjSTATE_FULLPHYSICS))


def _not_a_number(observation: Observation) -> Observation:
    """Observation with NaN in every floating-point field."""
    if isinstance(observation, dict):
        return {
            name: np.full_like(reading, np.nan) if reading.dtype.kind == "f" else reading
            for name, reading in observation.items()
        }
    return np.full_like(observation, np.nan)
