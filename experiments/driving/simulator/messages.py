"""Messages between the processes of simulator and controller, as records of fixed size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces
import numpy as np
from numpy import ndarray

import envs
from envs.mujoco_task import MujocoTask
from envs.sensors import Observation

ACT, RESET = 0, 1  # kinds of answers


@dataclass(frozen=True)
class Setup:
    """Settings of the simulation and its timing."""

    task: str
    real_time: bool
    delay: float = 0.0  # seconds from an answer to its effect
    deadline: float = 0.0  # deadline in seconds for an answer; only in real time
    fault: str | None = None  # name in envs.faults
    fault_at: float = 1.0  # onset, seconds into every episode
    seed: int = 0  # random seed of the fault
    sensors: tuple[str, ...] = ()  # that the task is observed by; empty: its own
    size: int = 64  # width and height of pictures

    def make(self) -> MujocoTask:
        """Make the task, observed by these sensors."""
        task = envs.make(self.task)
        assert isinstance(task, MujocoTask)
        if self.sensors:
            task.see(self.sensors, self.size)
        return task


@dataclass(frozen=True)
class Seen:
    """Record of the simulator after a physics step."""

    episode: int
    tick: int  # physics steps since the episode began
    stamp: float  # seconds, never decreasing: simulated time in lockstep, the machine's monotonic clock in real time
    control: bool  # whether this is a control instant, at which the sensors are read
    arrived: bool  # whether the readings reach the controller
    late: int  # control instants that were answered after their deadline, since the start
    slips: int  # physics steps that began more than a step late, since the start: the machine was busy
    observation: Observation  # [O] float32 of the only sensor, or a reading by sensor
    state: ndarray  # [S] true state, for scores and pictures only


def seen_type(task: MujocoTask) -> np.dtype:
    """NumPy record type of `Seen`."""
    whole = ("episode", "tick", "late", "slips")
    return np.dtype(
        [(name, "i8") for name in whole]
        + [("stamp", "f8"), ("control", "?"), ("arrived", "?"), ("observation", *_observation_type(task))]
        + [("state", "f8", (task.physics.state_size,))]
    )


def _observation_type(task: MujocoTask) -> tuple[Any, ...]:
    """Type and shape of an observation in a record: one field per sensor if there are several."""
    space: Any = task.observation_space
    if isinstance(space, gymnasium.spaces.Dict):
        boxes: dict[str, Any] = dict(space.spaces)
        return (np.dtype([(name, box.dtype, box.shape) for name, box in boxes.items()]),)
    return np.dtype(np.float32), space.shape


def write_observation(record: Any, observation: Observation) -> None:
    """Write an observation into a record of `seen_type`."""
    if isinstance(observation, dict):
        for name, reading in observation.items():
            record["observation"][name] = reading
    else:
        record["observation"] = observation


def read_observation(record: Any) -> Observation:
    """Return a copy of the observation in a record of `seen_type`."""
    value = record["observation"]
    if value.dtype.names:
        return {name: np.array(value[name]) for name in value.dtype.names}
    return np.array(value)


def answer_type(task: MujocoTask) -> np.dtype:
    """Record type of the controller's answers: an action for a tick of an episode, or the next initial state."""
    return np.dtype(
        [("kind", "i8"), ("episode", "i8"), ("tick", "i8"), ("action", "f4", (task.physics.action_size,))]
        + [("state", "f8", (task.physics.state_size,))]
    )
