"""Injected faults of physics and sensors, with a known onset, for testing a robot's guards.

Before its onset a fault changes nothing, bit for bit. From then on the true state deviates (teleport, half_gain,
double_damping, wall), or the sensors fail (frozen_sensor, nan_sensor, dropped_observations, delayed_observations,
vanish), or one of them gives nothing: `missing_<sensor>` for good, `missing_<sensor>_2s` for two seconds.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from .mujoco_task import MujocoTask
from .sensors import Observation, at, present_key
from .task import Task, planar_view

DELAY = 3  # control periods

FAULTS = {
    "teleport": "the body is somewhere else at once, at the same speed",
    "half_gain": "the actuators give half of what they are asked for",
    "double_damping": "the joints brake twice as much",
    "wall": "an obstacle stops the joint that moves fastest, a control period ahead of where it is",
    "frozen_sensor": "the sensors repeat their last reading as if it were new",
    "nan_sensor": "one of the sensors, drawn once, reads NaN",
    "dropped_observations": "no observation arrives any more",
    "delayed_observations": f"observations arrive {DELAY} control periods late",
    "vanish": "the cameras no longer show what moves",
}

MISSING, BRIEFLY, SECONDS = "missing_", "_2s", 2.0  # in names of faults, and how long a sensor is missing briefly

_FAR = 1e3  # rad or m: a stop beyond the reach of any joint


def names(task: Task) -> tuple[str, ...]:
    """Return the faults that `task` can have: no half gain without actuators, no vanishing without a camera.

    With those of each sensor: `missing_position` for good, `missing_position_2s` for two seconds.

    Raises:
      ValueError: a task without a MuJoCo model, to which no fault here applies.
    """
    possible = {
        "half_gain": _breakable(task).model.nu > 0,
        "vanish": any(len(sensor.shape) > 1 for sensor in task.sensors),
    }
    missing = (f"{MISSING}{sensor.name}{end}" for sensor in task.sensors for end in ("", BRIEFLY))
    return (*(name for name in FAULTS if possible.get(name, True)), *missing)


@dataclass(frozen=True)
class Missing:
    """A sensor that gives no reading, and for how many seconds; infinite: for good."""

    sensor: str
    seconds: float = np.inf

    @classmethod
    def of(cls, task: Task, fault: str | None) -> Missing | None:
        """Return what is missing under a fault; None where nothing is."""
        for sensor in task.sensors:
            if fault == MISSING + sensor.name:
                return cls(sensor.name)
            if fault == MISSING + sensor.name + BRIEFLY:
                return cls(sensor.name, SECONDS)
        return None


def without(task: Task, observation: Observation, sensor: str) -> Observation:
    """Return an observation without the readings of a sensor: NaN; a black picture; absent where it is optional."""
    (gone,) = (each for each in task.sensors if each.name == sensor)
    readings: Any = observation[sensor] if isinstance(observation, dict) else observation
    nothing = 0 if gone.optional or readings.dtype.kind != "f" else np.nan
    if not isinstance(observation, dict):
        return np.full_like(readings, nothing)
    found = {**observation, sensor: np.full_like(readings, nothing)}
    if gone.optional:
        found[present_key(gone)] = np.zeros_like(observation[present_key(gone)])
    return found


@dataclass(frozen=True)
class Reading:
    """True states after a step and the observations available; with a time axis after the first for several steps."""

    states: ndarray  # [B, S]
    observations: Observation  # [B, O], or a dictionary: the newest that has arrived, correct or not
    ages: ndarray  # [B] int, control periods since that observation's time stamp


class Faulty:
    """Batch of episodes with one fault.

    Args:
      task: the task, with its physics and sensors.
      fault: one of `names(task)`.
      onset: the step whose action is the first to meet the fault, counted from 0; for all episodes or for each, [B].
      states: [B, S] at the start of the episodes.
      rng: for the fault; each episode's draws depend only on its index, not on the batch size.

    Raises:
      ValueError: a fault that does not exist, or a negative onset.
    """

    def __init__(
        self,
        task: Task,
        fault: str,
        onset: int | Int[ndarray, "B"],
        states: Float[ndarray, "B S"],
        rng: np.random.Generator,
    ):
        self._task = _breakable(task)
        if fault not in names(task):
            raise ValueError(f"there is no fault {fault!r}: {task.name} can have {', '.join(names(task))}")
        self.fault = fault
        self._onset = np.broadcast_to(onset, len(states))
        if (self._onset < 0).any():
            raise ValueError(f"the onset of a fault is a step counted from 0; got {self._onset.min()}")
        self._rngs = rng.spawn(len(states))
        self._models = [self._task.model] * len(states)
        self._states = states.copy()
        size = sum(sensor.size for sensor in task.sensors)
        self._broken_sensor = np.array([each.integers(size) for each in self._rngs], int)  # of all components in order
        self._unseen = unseen(self._task) if fault == "vanish" else None
        self._missing = Missing.of(task, fault)
        self._seen = [self._sense(0)]  # after each step; emptied where it is too old to be repeated

    @property
    def steps(self) -> int:
        """Steps made so far."""
        return len(self._seen) - 1

    def step(self, actions: Float[ndarray, "B A"]) -> Reading:
        """Hold an action for one control period in each episode."""
        now = self.steps
        for index in np.flatnonzero(self._onset == now):
            state = self._states[index]
            if self.fault == "teleport":
                self._states[index] = elsewhere(self._task, state, self._rngs[index])
            self._models[index] = broken_model(self._task, self.fault, state)
        controls = actions[:, None].astype(np.float64)
        self._states = self._task.physics.simulate(self._states, controls, self._models)[:, 0]
        self._seen.append(self._sense(now + 1))
        observations, ages = self._sensed(now)
        if (old := now - DELAY) >= 0 and old not in self._onset:  # pictures take much memory
            self._seen[old] = {}
        return Reading(self._states.copy(), observations, ages)

    def _sense(self, step: int) -> Observation:
        """Return what the sensors read after `step` steps."""
        draws = copy.deepcopy(self._rngs) if self._unseen is not None else self._rngs
        found = self._task.sense(self._states, self._rngs)
        if self._unseen is None or not (gone := self._onset < step).any():
            return found
        assert isinstance(found, dict)
        without: Any = self._unseen.sense(self._states, draws)
        return {
            name: np.where(gone.reshape(-1, *[1] * (values.ndim - 1)), without[name], values)
            for name, values in found.items()
        }

    def _sensed(self, now: int) -> tuple[Observation, Int[ndarray, "B"]]:
        """Return what has arrived after step `now`; `_seen[i]` was true after `i` steps."""
        broken, last_good = self._onset <= now, np.minimum(self._onset, now + 1)
        source = np.full(len(self._onset), now + 1)
        if self.fault in ("frozen_sensor", "dropped_observations"):
            source = last_good
        elif self.fault == "delayed_observations":
            source = np.maximum(last_good, now + 1 - DELAY)
        observations = stacked([at(self._seen[step], index) for index, step in enumerate(source)], axis=0)
        if self.fault == "nan_sensor":
            self._corrupt(observations, broken)
        if self._missing is not None:
            steps = self._missing.seconds / self._task.control_period - 1e-6
            self._lose(observations, broken & (now - self._onset < steps))
        pretends = self.fault == "frozen_sensor"
        return observations, np.zeros_like(source) if pretends else now + 1 - source

    def _lose(self, observations: Observation, gone: Bool[ndarray, "B"]) -> None:
        """Take away the missing sensor's readings in some of the episodes."""
        assert self._missing is not None
        nothing: Any = without(self._task, observations, self._missing.sensor)
        arrays: Any = observations if isinstance(observations, dict) else {"": observations}
        for name, values in arrays.items():
            values[gone] = (nothing[name] if isinstance(nothing, dict) else nothing)[gone]

    def _corrupt(self, observations: Observation, broken: Bool[ndarray, "B"]) -> None:
        """Write NaN over the component drawn for each faulty episode; a missing reading stays missing."""
        first = 0
        for sensor in self._task.sensors:
            mine = broken & (first <= self._broken_sensor) & (self._broken_sensor < first + sensor.size)
            if isinstance(observations, dict):
                readings = observations[sensor.name]
                if sensor.optional:
                    mine &= observations[present_key(sensor)][:, 0] == 1
            else:
                readings = observations
            flat = readings.reshape(len(readings), -1)
            flat[mine, self._broken_sensor[mine] - first] = np.nan
            first += sensor.size


def stacked(observations: Sequence[Observation], axis: int) -> Observation:
    """Stack observations along a new axis."""
    arrays: list[Any] = list(observations)
    if isinstance(arrays[0], dict):
        return {key: np.stack([each[key] for each in arrays], axis) for key in arrays[0]}
    return np.stack(arrays, axis)


def simulate_with(
    task: Task,
    fault: str,
    onset: int | Int[ndarray, "B"],
    states: Float[ndarray, "B S"],
    actions: Float[ndarray, "B T A"],
    rng: np.random.Generator,
) -> Reading:
    """`Task.simulate` with a fault: the true states [B, T, S], the sensors' readings [B, T, O] and their ages [B, T].

    Args:
      task: the task.
      fault: one of `names(task)`.
      onset: environment step at which the fault begins, one for all or one for each episode.
      states: at the beginning.
      actions: to execute.
      rng: for the fault.

    Raises:
      ValueError: a fault that does not exist, or a negative onset.
    """
    faulty = Faulty(task, fault, onset, states, rng)
    readings = [faulty.step(actions[:, step]) for step in range(actions.shape[1])]
    return Reading(
        np.stack([each.states for each in readings], axis=1),
        stacked([each.observations for each in readings], axis=1),
        np.stack([each.ages for each in readings], axis=1),
    )


def broken_model(task: Task, fault: str, state: Float[ndarray, "S"]) -> mujoco.MjModel:
    """Return the physics for a fault that begins in `state`; the task's model if they do not change."""
    task = _breakable(task)
    if fault not in ("half_gain", "double_damping", "wall"):
        return task.model
    model = copy.copy(task.model)
    if fault == "half_gain":
        model.actuator_gear[:] *= 0.5
    elif fault == "double_damping":
        model.dof_damping[:] *= 2.0
    else:
        positions, velocities = task.qpos(state), task.qvel(state)
        joint = int(np.abs(velocities).argmax())  # every joint of these tasks has one degree of freedom
        stop = positions[joint] + velocities[joint] * task.control_period
        low, high = model.jnt_range[joint] if model.jnt_limited[joint] else (-_FAR, _FAR)
        model.jnt_range[joint] = (low, min(high, stop)) if velocities[joint] >= 0 else (max(low, stop), high)
        model.jnt_limited[joint] = 1
    return model


def unseen(task: Task) -> MujocoTask:
    """Return the task with cameras that show everything but what moves."""
    task = _breakable(task)
    model = copy.copy(task.model)
    model.geom_rgba[model.body_weldid[model.geom_bodyid] != 0, 3] = 0.0
    return task.drawn_as(model)


def elsewhere(task: Task, state: Float[ndarray, "S"], rng: np.random.Generator) -> Float[ndarray, "S"]:
    """Return `state` moved to a drawn start position, at least a tenth of the scene away, at the same speed."""
    task = _breakable(task)
    view = planar_view(task)
    scene = view.scene()
    least = 0.1 * float(np.linalg.norm(np.subtract(scene.high, scene.low)))
    here, end = view.keypoints(state)[-1], 1 + task.model.nq
    while True:
        moved = state.copy()
        moved[1:end] = task.qpos(task.sample_state(rng))
        if np.linalg.norm(view.keypoints(moved)[-1] - here) >= least:
            return moved


def _breakable(task: Any) -> MujocoTask:
    if not isinstance(task, MujocoTask):
        raise ValueError(f"faults break the MuJoCo model of a task, and {type(task).__name__} has none")
    if task.model.nq != task.model.nv or task.model.nv != task.model.njnt:
        raise ValueError(f"faults need joints of one degree of freedom each, and {task.name} has others")
    return task
