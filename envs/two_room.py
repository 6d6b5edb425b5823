"""Two rooms and a door: a puck with inertia must pass through it, and a straight line often ends at the wall.

The smallest task in which a planner has to look further than its goal. Starts and goals are uniform over both rooms, so
half of the pairs lie in different ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from .geodesic import Geodesic
from .point_task import APART, STATE, PointTask
from .rollout import BatchPhysics
from .sensors import Observation, Sensor, hide
from .task import Scene

_RADIUS = 0.05
_HALF_WALL = 0.05
_ROOM = 0.95 - _RADIUS  # limit of starts and goals from the middle: 5 cm clearance to every outer wall
_WALLS = ("west", "east", "south", "north", "below", "above")


class TwoRoom(PointTask):
    """Arena of 2 × 2 m, a wall at x = 0 with one door. Actions: two forces in [-1, 1] × 4 N, held for 0.05 s."""

    name = "two_room"
    budget = 80
    tolerance = 0.1
    gains = (5.0, 0.8)
    sensors: tuple[Sensor, ...] = STATE

    def __init__(self, render_mode: str | None = None):
        model = self._built()
        boxes = [(*model.geom(name).pos[:2].tolist(), *model.geom(name).size[:2].tolist()) for name in _WALLS]
        below, above = boxes[-2], boxes[-1]
        ends = [(below[1] + below[3], 1.0), (above[1] - above[3], -1.0)]
        corners = [(side * _HALF_WALL, y, side, away) for y, away in ends for side in (-1.0, 1.0)]
        scene = Scene(low=(-1.0, -1.0), high=(1.0, 1.0), walls=tuple(boxes), radius=_RADIUS)
        super().__init__(
            BatchPhysics(model, substeps=5),
            scene,
            Geodesic(boxes[-2:], corners, _RADIUS),
            (1.0, 1.0, 1.5, 1.5),
            sensors=self.sensors,
            render_mode=render_mode,
        )

    def _built(self) -> mujoco.MjModel:
        """The MuJoCo model."""
        return mujoco.MjModel.from_xml_string(self._xml())

    @staticmethod
    def _xml() -> str:
        return resources.files(__package__).joinpath("assets/two_room.xml").read_text(encoding="utf-8")

    def sample_state(self, rng: np.random.Generator) -> Float[ndarray, "S"]:
        """Return a random position in either room, at rest."""
        return self.pack(self.sample_goal(rng), np.zeros(2))

    def sample_goal(self, rng: np.random.Generator) -> Float[ndarray, "G"]:
        """Return a random position in either room, clear of the walls."""
        nearest = _HALF_WALL + _RADIUS + 0.05
        x = rng.choice([-1.0, 1.0]) * rng.uniform(nearest, _ROOM)
        return np.array([x, rng.uniform(-_ROOM, _ROOM)])

    def needs_detour(self, state: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Bool[ndarray, "..."]:
        """Whether start and goal lie in different rooms, so that the path leads through the door."""
        return np.asarray((self.qpos(state)[..., 0] > 0) != (goal[..., 0] > 0))


class TwoRoomSensors(TwoRoom):
    """`TwoRoom` with two sensors: `position` in every moment, and `velocity`, which is missing in some.

    Args:
      render_mode: "rgb_array" for a task that draws itself.
      dropout: the probability that the velocity is missing at a moment.

    Raises:
      ValueError: a dropout that is not a probability.
    """

    name = "two_room_sensors"
    sensors = APART

    def __init__(self, render_mode: str | None = None, dropout: float = 0.2):
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout is {dropout}, but a probability lies in [0, 1]")
        super().__init__(render_mode)
        self.dropout = dropout

    @property
    def noisy(self) -> bool:
        """See Task: readings are missing."""
        return True

    def sense(self, states: Float[ndarray, "B ... S"], rngs: Sequence[np.random.Generator]) -> Observation:
        """See Task: one draw per step decides whether the velocity is missing."""
        if "velocity" not in (sensor.name for sensor in self.sensors):  # other sensors were chosen
            return super().sense(states, rngs)
        draws = np.stack([rng.random(states.shape[1:-1]) for rng in rngs])
        return hide(self.observe(states), APART[1], draws < self.dropout)

    def describe(self) -> dict[str, Any]:
        """See Task; with the dropout."""
        return {**super().describe(), "dropout": self.dropout}
