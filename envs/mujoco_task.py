"""Shared base of all MuJoCo tasks: physics, episodes, checks and drawing.

A concrete task provides a model and its sensors, and implements sampling, observations, success, cost, script
and view.
"""

from __future__ import annotations

import copy
import zlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium.spaces
import mujoco
import numpy as np
from gymnasium.envs.registration import EnvSpec
from jaxtyping import Float
from numpy import ndarray

from .rollout import BatchPhysics
from .sensors import Observation, Sensor, chosen, complete, observation_space
from .task import Task
from .vision.distractors import Distractor, seed_of
from .vision.pictures import PIXELS, Pictures


class MujocoTask(Task[Observation]):
    """Task over one MuJoCo model, with the dynamics of `physics`.

    It has more sensors than it uses by default: `see` chooses among them. Pictures of each camera in `cameras` belong
    to them, with the goal's marks hidden.

    Args:
      physics: the model and its batched dynamics.
      sensors: vectors that the task uses by default, in order.
      observation_bound: by sensor, the magnitude that each component stays within in practice; nothing is clipped.
      others: further vectors that it can read.
      render_mode: "rgb_array" for a task that draws itself.

    Raises:
      ValueError: another render mode.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    cameras: tuple[str, ...] = ("top",)  # of the model; the first one's pictures are `pixels`

    def __init__(
        self,
        physics: BatchPhysics,
        *,
        sensors: Sequence[Sensor],
        observation_bound: Mapping[str, Sequence[float]],
        others: Sequence[Sensor] = (),
        render_mode: str | None = None,
    ):
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode is {render_mode!r}, but this task can only draw 'rgb_array' (or None)")
        self.physics, self.model = physics, physics.model
        self.state_size = physics.state_size
        self.render_mode = render_mode
        self.control_period = physics.substeps * self.model.opt.timestep
        low, high = physics.action_low.astype(np.float32), physics.action_high.astype(np.float32)
        self.action_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self._vectors = {sensor.name: sensor for sensor in (*sensors, *others)}
        self._bounds = {name: np.asarray(bound, np.float32) for name, bound in observation_bound.items()}
        self._pictures: dict[str, Pictures] = {}
        self._distractor: Distractor | None = None
        self._use(tuple(sensors))
        self.spec = EnvSpec(f"jepa_mpc/{self.name}-v0", entry_point=f"{type(self).__module__}:{type(self).__name__}")
        self.metadata = {**self.metadata, "render_fps": round(1 / self.control_period)}
        self.state = self.pack(self.model.qpos0, np.zeros(self.model.nv))
        self.goal = np.zeros(self.goal_size)
        self._camera: Any = None

    @property
    def offered(self) -> tuple[str, ...]:
        """Names of the sensors that `see` chooses from; `pixels` stands for the pictures of all cameras."""
        return (*self._vectors, PIXELS)

    def see(self, names: Sequence[str], size: int = 64, distractor: str | None = None) -> None:
        """Observe through other sensors from now on.

        Args:
          names: of sensors, in order; `pixels` stands for the pictures of all cameras: `pixels` of the first one, and
            `pixels_<camera>` of each further one.
          size: width and height of a picture.
          distractor: one of `envs.vision.distractors.DISTRACTORS`, in what is sensed and in goals; ideal pictures are
            without.

        Raises:
          ValueError: no name, a name twice, or one that the task does not offer.
        """
        pictures = {
            PIXELS + f"_{camera}" * (number > 0): Pictures(self.model, camera, size)
            for number, camera in enumerate(self.cameras)
        }
        shown = {name: each.sensor(name) for name, each in pictures.items()}
        sensors = chosen(self.name, names, self._vectors, shown)
        for before in self._pictures.values():
            before.close()
        self._distractor = None if distractor is None else Distractor(distractor)
        self._pictures = pictures if PIXELS in names else {}
        self._use(sensors)

    def drawn_as(self, model: mujoco.MjModel) -> MujocoTask:
        """Return this task with pictures of another model of the same states; everything else is shared."""
        twin = copy.copy(self)
        twin._pictures = {name: pictures.of(model) for name, pictures in self._pictures.items()}
        return twin

    def _use(self, sensors: tuple[Sensor, ...]) -> None:
        self.sensors = sensors
        bounds = {
            each.name: (-self._bounds[each.name], self._bounds[each.name]) if each.name in self._bounds else (0, 255)
            for each in sensors
        }
        self.observation_space = observation_space(sensors, bounds)

    @abstractmethod
    def readings(self, states: Float[ndarray, "... S"]) -> Mapping[str, ndarray]:
        """Readings of every vector that the task offers, by sensor: complete and without noise."""

    @abstractmethod
    def at_goal(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... S"]:
        """Return a state at rest at the goal: what a picture of the goal shows."""

    def observe(self, states: Float[ndarray, "... S"]) -> Observation:
        """Ideal readings of the sensors in use: vectors as float32, pictures as uint8."""
        seen = {each.name: self._pictures[each.name](states) for each in self.sensors if each.name in self._pictures}
        vectors = self.readings(states) if len(seen) < len(self.sensors) else {}
        return complete(self.sensors, {**vectors, **seen})

    @property
    def noisy(self) -> bool:
        """See Task: whether there is a distractor."""
        return self._distractor is not None

    def sense(self, states: Float[ndarray, "B ... S"], rngs: Sequence[np.random.Generator]) -> Observation:
        """See Task: with the distractor, if there is one, which draws nothing from the generators."""
        return self._distracted(self.observe(states), states[..., 0], [seed_of(rng) for rng in rngs])

    def goal_observation(self, goal: Float[ndarray, "... G"]) -> Observation:
        """Readings at rest at the goal; a distractor is where it happens to be."""
        seen = self.observe(self.at_goal(goal))
        if self._distractor is None or not isinstance(seen, dict):
            return seen
        batch = goal.shape[:-1]
        flat = {name: values.reshape((-1, *values.shape[len(batch) :])) for name, values in seen.items()}
        seeds = [zlib.crc32(each.tobytes()) for each in goal.reshape(-1, goal.shape[-1])]
        found: Any = self._distracted(flat, np.zeros(len(seeds)), seeds)
        return {name: values.reshape((*batch, *values.shape[1:])) for name, values in found.items()}

    def _distracted(self, seen: Observation, seconds: Float[ndarray, "B ..."], seeds: Sequence[int]) -> Observation:
        """Observations of `B` episodes with the distractor of each."""
        if self._distractor is None or not isinstance(seen, dict):
            return seen
        found = dict(seen)
        for name in self._pictures:
            pictures = seen[name].reshape((len(seeds), -1, *seen[name].shape[-3:]))
            times = seconds.reshape(len(seeds), -1)
            painted = [self._distractor(*each) for each in zip(pictures, seeds, times, strict=True)]
            found[name] = np.stack(painted).reshape(seen[name].shape)
        return found

    @abstractmethod
    def place_goal(self, data: mujoco.MjData, goal: Float[ndarray, "G"]) -> None:
        """Move the goal's marks (mocap bodies, which do not affect the physics) to the goal."""

    def pack(self, qpos: Float[ndarray, "... nq"], qvel: Float[ndarray, "... nv"]) -> Float[ndarray, "... S"]:
        """Physics states at time zero from positions and velocities."""
        states = np.zeros((*qpos.shape[:-1], self.physics.state_size))
        states[..., 1 : 1 + self.model.nq] = qpos
        states[..., 1 + self.model.nq : 1 + self.model.nq + self.model.nv] = qvel
        return states

    def qpos(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... nq"]:
        """Generalised positions of physics states."""
        return states[..., 1 : 1 + self.model.nq]

    def qvel(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... nv"]:
        """Generalised velocities of physics states."""
        return states[..., 1 + self.model.nq : 1 + self.model.nq + self.model.nv]

    def simulate(self, states: Float[ndarray, "B S"], actions: Float[ndarray, "B T A"]) -> Float[ndarray, "B T S"]:
        """Return the true dynamics in a batch: the states after each action. Actions are clipped to the bounds."""
        return self.physics.simulate(states, actions)

    def render(self) -> ndarray | None:
        """Return the view from above as uint8 `[480, 480, 3]`, when the task was made with render_mode="rgb_array"."""
        if self.render_mode is None:
            return None
        if self._camera is None:
            from .vision.camera import Camera  # OpenGL is loaded only for drawing

            self._camera = Camera(self.model, 480, 480, self.place_goal)
        return self._camera.frame(self.state, self.goal)

    def close(self) -> None:
        """Free the renderer, if there is one."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None
        for pictures in self._pictures.values():
            pictures.close()

    def describe(self) -> dict[str, Any]:
        """Name, control period, bounds, sizes and physics versions, as JSON: stored with every dataset and model."""
        described = super().describe()
        if any(len(sensor.shape) > 1 for sensor in self.sensors):  # also without one: data of another are refused
            described["distractor"] = None if self._distractor is None else self._distractor.name
        return {  # in the order of earlier versions, with whose datasets it is compared
            "task": self.name,
            "control_period": self.control_period,
            "timestep": self.model.opt.timestep,
            "substeps": self.physics.substeps,
            "velocity_limit": self.physics.velocity_limit,
            **described,
            "mujoco": mujoco.__version__,
        }

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_camera": None}
