"""Shared base of all MuJoCo tasks: physics, episodes, checks and drawing.

A concrete task provides a model and its sensors, and implements sampling, observations, success, cost, script
and view.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium.spaces
import mujoco
import numpy as np
from gymnasium.core import ObsType
from gymnasium.envs.registration import EnvSpec
from jaxtyping import Float
from numpy import ndarray

from .rollout import BatchPhysics
from .sensors import Sensor, observation_space
from .task import Task


class MujocoTask(Task[ObsType]):
    """Task over one MuJoCo model, with the dynamics of `physics`.

    Args:
      physics: the model and its batched dynamics.
      sensors: of the task, in order.
      observation_bound: by sensor, the magnitude that each component stays within in practice; nothing is clipped.
      render_mode: "rgb_array" for a task that draws itself.

    Raises:
      ValueError: another render mode.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(
        self,
        physics: BatchPhysics,
        *,
        sensors: Sequence[Sensor],
        observation_bound: Mapping[str, Sequence[float]],
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
        self.sensors = tuple(sensors)
        bounds = {name: np.asarray(bound, np.float32) for name, bound in observation_bound.items()}
        self.observation_space = observation_space(self.sensors, {name: (-b, b) for name, b in bounds.items()})
        self.spec = EnvSpec(f"jepa_mpc/{self.name}-v0", entry_point=f"{type(self).__module__}:{type(self).__name__}")
        self.metadata = {**self.metadata, "render_fps": round(1 / self.control_period)}
        self.state = self.pack(self.model.qpos0, np.zeros(self.model.nv))
        self.goal = np.zeros(self.goal_size)
        self._camera: Any = None

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
            from .camera import Camera  # OpenGL is loaded only for drawing

            self._camera = Camera(self.model, 480, 480, self.place_goal)
        return self._camera.frame(self.state, self.goal)

    def close(self) -> None:
        """Free the renderer, if there is one."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    def describe(self) -> dict[str, Any]:
        """Name, control period, bounds, sizes and physics versions, as JSON: stored with every dataset and model."""
        described = super().describe()
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
