"""Shared base of the planar point tasks: a puck with two slide joints among walls, observed as position and velocity.

Two rooms and mazes differ only in their model, their walls and the sampling of starts and goals.
"""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from .geodesic import Geodesic
from .mujoco_task import MujocoTask
from .rollout import BatchPhysics
from .sensors import Sensor
from .task import Scene

STATE = (Sensor("state", (4,), units=("m", "m", "m/s", "m/s")),)
PROPRIO = Sensor("proprio", (2,), units=("m/s", "m/s"))
APART = (
    Sensor("position", (2,), units=("m", "m")),
    Sensor("velocity", (2,), units=("m/s", "m/s"), optional=True),
)


class PointTask(MujocoTask):
    """Point mass. Goal `[x, y]`; success within `tolerance` metres.

    Its sensors are `STATE`, `[x, y, vx, vy]` (m, m/s), or `APART`, position and velocity each on its own. Its
    proprioception is the velocity alone, which does not say where it is.

    Args:
      physics: the model and its batched dynamics.
      scene: static geometry, for drawing.
      geodesic: shortest paths around the walls.
      bound: the magnitudes that x, y, vx and vy stay within.
      sensors: `STATE` or `APART`.
      render_mode: "rgb_array" for a task that draws itself.
    """

    goal_size = 2
    tolerance: float
    gains: tuple[float, float]  # of the script: action per metre, and per metre per second

    def __init__(
        self,
        physics: BatchPhysics,
        scene: Scene,
        geodesic: Geodesic,
        bound: tuple[float, float, float, float],
        *,
        sensors: tuple[Sensor, ...] = STATE,
        render_mode: str | None = None,
    ):
        super().__init__(
            physics,
            sensors=sensors,
            others=(PROPRIO,),
            observation_bound={"state": bound, "position": bound[:2], "velocity": bound[2:], "proprio": bound[2:]},
            render_mode=render_mode,
        )
        self._scene = scene
        self.geodesic = geodesic

    def readings(self, states: Float[ndarray, "... S"]) -> Mapping[str, ndarray]:
        """Position and velocity, together and apart."""
        both = states[..., 1:5]
        return {"state": both, "position": both[..., :2], "velocity": both[..., 2:], "proprio": both[..., 2:]}

    def at_goal(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... S"]:
        """Return the state at rest in the goal's position."""
        return self.pack(goal, np.zeros_like(goal))

    def achieved_goal(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... G"]:
        """Return the position, in metres."""
        return self.qpos(states)

    def success(
        self, state: Float[ndarray, "... S"], goal: Float[ndarray, "... G"], share: float = 1.0
    ) -> Bool[ndarray, "..."]:
        """Whether the position is within the tolerance of the goal, at any speed."""
        return np.asarray(np.linalg.norm(self.qpos(state) - goal, axis=-1) <= share * self.tolerance)

    def cost(self, states: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Float[ndarray, "..."]:
        """Length of the shortest path around the walls, in metres."""
        return np.asarray(self.geodesic.distance(self.qpos(states), goal))

    def script(self, states: Float[ndarray, "B S"], goals: Float[ndarray, "B G"]) -> Float[ndarray, "B A"]:
        """Proportional-derivative control towards the next corner on the shortest path, or the goal."""
        position, velocity = self.qpos(states), self.qvel(states)
        towards = self.geodesic.waypoint(position, goals) - position
        action = self.gains[0] * towards - self.gains[1] * velocity
        return np.clip(action, self.action_space.low, self.action_space.high)

    def needs_detour(self, state: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Bool[ndarray, "..."]:
        """Whether a wall blocks the straight path."""
        return np.asarray(~self.geodesic.visible(self.qpos(state), goal))

    def keypoints(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... J 2"]:
        """Return the position, in metres."""
        return self.qpos(states)[..., None, :]

    def goal_keypoints(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... J 2"]:
        """Return the goal's position, in metres."""
        return goal[..., None, :]

    def scene(self) -> Scene:
        """Arena, walls and the size of the puck."""
        return self._scene

    def place_goal(self, data: mujoco.MjData, goal: Float[ndarray, "G"]) -> None:
        """Move the goal's disc."""
        data.mocap_pos[0, :2] = goal
