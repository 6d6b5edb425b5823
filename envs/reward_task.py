"""Environment of online learning, with a reward and Box actions, observed by one flat vector or by chosen sensors.

dm_control's suite and all Gymnasium environments share this interface, action repeat included, so that the
learner, its baselines and its evaluation see the same steps. Goal-reaching tasks have their own contract (`task.py`).
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from .sensors import PIXELS, Observation, Sensor, chosen, complete, each
from .snapshot import Snapshot
from .vision.live import LivePictures

logger = logging.getLogger(__name__)


class WrongInterface(ValueError):
    """Environment whose methods do not follow `gymnasium.Env`."""


class Step(NamedTuple):
    """Outcome of one decision: of up to `action_repeat` control steps with the same action."""

    observation: Any  # after the last of them: [O] float32, or arrays by sensor (`RewardTask.sensors`)
    reward: float  # summed over them
    terminated: bool  # the episode is over for good: nothing is earned after it
    truncated: bool  # the episode was cut off, by a time limit as a rule: the return continues beyond it
    control_steps: int  # how many there were; fewer than action_repeat where the episode ended


class RewardTask(ABC):
    """Environment with a reward. Subclasses set the attributes and implement the methods below."""

    name: str  # dmc/<domain>-<task>, gym/<id>, or gym/<class> for a custom environment
    observation_size: int  # of `state`, the vector that it is observed by unless `see` chooses other sensors
    action_size: int
    low: ndarray  # [A] float32, the raw bounds of the actions
    high: ndarray  # [A]
    control_period: float  # seconds between two decisions, action repeat included; nan where it is not known
    episode_steps: int | None  # the time limit in control steps, action repeat not divided out; None without a limit
    action_repeat: int
    may_terminate: bool = True  # whether an episode may terminate; True where it is unknown

    def __init__(self, action_repeat: int):
        if isinstance(action_repeat, bool) or not isinstance(action_repeat, int) or action_repeat < 1:
            raise ValueError(f"action_repeat is {action_repeat!r}, but it has to be a whole number from 1 on")
        self.action_repeat = action_repeat
        self._running = False
        self._seen: tuple[Sensor, ...] = ()
        self._pictures: LivePictures | None = None

    @property
    def sensors(self) -> tuple[Sensor, ...]:
        """Sensors of an observation, in order."""
        return self._seen or (Sensor("state", (self.observation_size,)),)

    def see(self, names: Sequence[str], size: int = 64) -> None:
        """Observe through other sensors from now on.

        Args:
          names: of sensors, in order: `state`, the task's own vector; an entry of an environment's observations, where
            those are a dictionary; and of a MuJoCo model `proprio`, the velocities of all joints, which do not say
            where the body is, and `pixels`, what the first camera of its model sees.
          size: width and height of a picture.

        Raises:
          ValueError: no name, a name twice, or one that the task does not offer, such as pictures without a MuJoCo
            model.
        """
        vectors = self._vectors()
        if self._simulation() is None and (missing := [name for name in names if name not in vectors]):
            offered = f"{', '.join(vectors)}{' alone' if len(vectors) == 1 else ''}"
            raise ValueError(
                f"{self.name} is observed by {offered}, because it is no MuJoCo model: leave out "
                f"observation={','.join(missing)}"
            )
        pictures = LivePictures(size, self._view())
        seen = chosen(self.name, names, vectors, {PIXELS: pictures.sensor(PIXELS)})
        self._close_pictures()
        self._seen, self._pictures = seen, pictures if PIXELS in names else None

    def observe(self) -> Any:
        """Current readings of the sensors, as copies: a float32 vector, or arrays by sensor."""
        if not self._seen:
            return self._observe()
        readings: dict[str, ndarray] = {}
        for name in (sensor.name for sensor in self._seen):
            if name == PIXELS:
                simulation = self._simulation()
                assert self._pictures is not None and simulation is not None
                readings[name] = self._pictures(*simulation)
            else:
                readings[name] = self._vector(name)
        return complete(self._seen, readings)

    def reset(self, seed: int | None = None) -> Any:
        """Begin an episode: that of `seed`, or the next one that the environment draws. Returns the observation."""
        self._begin(seed)
        self._running = True
        return self.observe()

    def step(self, action: ArrayLike) -> Step:
        """Hold `action` `[A]`, clipped to the bounds, for `action_repeat` control steps or until the episode ends.

        Raises:
          ValueError: an action of another shape, or one that is not finite.
          RuntimeError: no episode is running.
        """
        control = np.asarray(action, np.float32)
        if control.shape != (self.action_size,):
            raise ValueError(f"the action has shape {control.shape}, but {self.name} takes ({self.action_size},)")
        if not np.isfinite(control).all():
            raise ValueError(f"the action holds a value that is not finite: {control.tolist()}")
        if not self._running:
            raise RuntimeError(f"no episode of {self.name} is running: call reset before step")
        control = np.clip(control, self.low, self.high)
        total, terminated, truncated, count = 0.0, False, False, 0
        while count < self.action_repeat and not (terminated or truncated):
            reward, terminated, truncated = self._advance(control)
            total, count = total + reward, count + 1
        self._running = not (terminated or truncated)
        return Step(self.observe(), total, terminated, truncated, count)

    def snapshot(self) -> Snapshot | None:
        """Return the running episode's state, for `restore`; None where the environment does not support it."""
        return None

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Resume from `snapshot`, bit for bit. Raises ValueError where it is from other versions or another task."""
        raise ValueError(f"{self.name} cannot go on from a snapshot")

    def describe(self) -> dict[str, Any]:
        """Name, sizes, bounds and control period (where it is known), as JSON: stored with datasets and models."""
        known = {"control_period": self.control_period} if math.isfinite(self.control_period) else {}
        return {
            "task": self.name,
            "observation_size": self.observation_size,
            "action_size": self.action_size,
            "action_low": self.low.tolist(),
            "action_high": self.high.tolist(),
            **known,
        }

    def close(self) -> None:
        """Free the environment's resources."""
        self._close_pictures()

    def _close_pictures(self) -> None:
        if self._pictures is not None:
            self._pictures.close()

    def _vectors(self) -> dict[str, Sensor]:
        """Vector sensors to choose from, by name."""
        found = {"state": Sensor("state", (self.observation_size,))}
        if (simulation := self._simulation()) is not None:
            found["proprio"] = Sensor("proprio", (int(simulation[0].nv),))
        return found

    def _vector(self, name: str) -> Float[ndarray, "_"]:
        """Current reading of one of `_vectors`, as a copy."""
        if name == "state":
            return self._observe()
        simulation = self._simulation()
        assert simulation is not None
        return np.array(simulation[1].qvel)

    def _simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData] | None:
        """The running simulation, from which `see` takes pictures and velocities; None where there is none."""
        return None

    def _view(self) -> Mapping[str, Any]:
        """Changes of MuJoCo's default view, for a model without a camera."""
        return {}

    @abstractmethod
    def _begin(self, seed: int | None) -> None:
        """Start an episode."""

    @abstractmethod
    def _advance(self, control: Float[ndarray, "A"]) -> tuple[float, bool, bool]:
        """Take one control step with an action inside the bounds: reward, terminated, truncated."""

    @abstractmethod
    def _observe(self) -> Float[ndarray, "O"]:
        """Current readings of `state`, float32, as a copy."""


class Tried(NamedTuple):
    """Rewards of random decisions."""

    rewards: ndarray  # [N] float64
    ended: ndarray  # [N] bool, whether that decision ended an episode


def check_reward_task(task: RewardTask, steps: int = 200, seed: int = 0) -> Tried:
    """Run `steps` random decisions and raise on anything that would break a learner.

    Warns where the environment ignores the seed of its `reset`: its episodes are then not reproducible.

    Raises:
      ValueError: observations or rewards that are not finite, or that change their shape.
      RuntimeError: the environment raised; its own error is the cause.
    """
    rng = np.random.default_rng(seed)
    check_seed(task, seed)
    rewards, ended = np.zeros(steps), np.zeros(steps, bool)
    for index in range(steps):
        action = rng.uniform(task.low, task.high).astype(np.float32)
        when = f"step {index}"
        step: Step = _guarded(task, when, lambda action=action: task.step(action))
        _check_observation(task, step.observation, when)
        if not np.isfinite(step.reward):
            raise ValueError(f"the reward of {task.name} at {when} is {step.reward}, but it has to be a finite number")
        rewards[index], ended[index] = step.reward, step.terminated or step.truncated
        if ended[index]:
            _check_observation(task, _guarded(task, "reset", lambda: task.reset(seed + 1)), "reset")
    return Tried(rewards, ended)


def check_seed(task: RewardTask, seed: int) -> None:
    """Begin the episode of `seed` twice, and warn if the two begin differently.

    Raises:
      ValueError: an observation of another shape, or one that is not finite.
      RuntimeError: the environment raised; its own error is the cause.
    """
    starts = []
    for _ in range(2):
        starts.append(_guarded(task, "reset", lambda: task.reset(seed)))
        _check_observation(task, starts[-1], "reset")
    if not np.all(list(_leaves(each(np.array_equal, *starts)))):
        logger.warning(
            "%s ignores the seed of reset: two resets with seed %d begin at different observations, so no two methods "
            "are measured from the same starts and no run can be repeated; call super().reset(seed=seed) there, and "
            "draw from self.np_random",
            task.name,
            seed,
        )


def _guarded(task: RewardTask, when: str, call: Any) -> Any:
    try:
        return call()
    except WrongInterface:
        raise
    except Exception as error:
        raise RuntimeError(f"{task.name} raised {type(error).__name__} at {when}: {error}") from error


def _leaves(observation: Any) -> Iterable[Any]:
    return observation.values() if isinstance(observation, dict) else [observation]


def _check_observation(task: RewardTask, observation: Observation, when: str) -> None:
    for sensor in task.sensors:
        reading = observation[sensor.name] if isinstance(observation, dict) else observation
        _check_reading(task, reading, sensor.shape, when)


def _check_reading(task: RewardTask, observation: ndarray, shape: tuple[int, ...], when: str) -> None:
    if observation.shape != shape:
        raise ValueError(
            f"the observation of {task.name} at {when} has shape {observation.shape}, but its space says {shape}: they "
            "have to agree"
        )
    if not np.isfinite(observation).all():
        bad = np.flatnonzero(~np.isfinite(observation)).tolist()
        raise ValueError(
            f"the observation of {task.name} at {when} is not finite at places {bad}: every value has to be"
        )
