"""What a simulator's process and the controller's tell each other, in records of fixed size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from envs.mujoco_task import MujocoTask

ACT, RESET = 0, 1  # kinds of answers


@dataclass(frozen=True)
class Setup:
    """What is simulated, and how time passes."""

    task: str
    real_time: bool
    delay: float = 0.0  # seconds from an answer to its effect
    deadline: float = 0.0  # seconds in which an answer is in time; only in real time
    fault: str | None = None  # of envs.faults
    fault_at: float = 1.0  # seconds into every episode
    seed: int = 0  # of what the fault draws


@dataclass(frozen=True)
class Seen:
    """What the simulator says after a physics step."""

    episode: int
    tick: int  # physics steps since the episode began
    stamp: float  # seconds, never going back: simulated ones in lockstep, the machine's monotonic clock in real time
    control: bool  # whether this is a control instant, at which the sensors are read
    arrived: bool  # whether what they read reaches the controller
    late: int  # control instants that were answered after their deadline, since the start
    slips: int  # physics steps that began more than a step late, since the start: the machine was busy
    observation: ndarray  # [O] float32
    state: ndarray  # [S] the truth, for scores and pictures only


def seen_type(task: MujocoTask) -> np.dtype:
    """The record behind `Seen`."""
    sensors: Any = task.observation_space.shape
    whole = ("episode", "tick", "late", "slips")
    return np.dtype(
        [(name, "i8") for name in whole]
        + [("stamp", "f8"), ("control", "?"), ("arrived", "?"), ("observation", "f4", sensors)]
        + [("state", "f8", (task.physics.state_size,))]
    )


def answer_type(task: MujocoTask) -> np.dtype:
    """What the controller says: an action for a tick of an episode, or where the next episode begins."""
    return np.dtype(
        [("kind", "i8"), ("episode", "i8"), ("tick", "i8"), ("action", "f4", (task.physics.action_size,))]
        + [("state", "f8", (task.physics.state_size,))]
    )
