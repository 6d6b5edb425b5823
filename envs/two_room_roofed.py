"""Two rooms whose door lies beneath a roof: the camera does not see the puck on its way through.

The physics are those of `two_room`, and so are starts and goals, except that none of them lies beneath the roof. What a
model does not remember, it does not know there: at full speed a crossing takes 12 moments out of sight.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from .two_room import TwoRoom

_CENTRE = (0.0, 0.25)  # of the roof: the middle of the door
_HALF = (0.4, 0.5)  # width and height of the roof, halved
_HEIGHT = 0.3  # above the floor, clear of the puck
_CLEAR = 0.1  # distance of starts and goals from the roof: the puck's radius, and as much again


class TwoRoomRoofed(TwoRoom):
    """`TwoRoom` with a roof of 0.8 × 1 m over the door, which hides the puck from the camera and touches nothing.

    The sensor `state` reads position and velocity beneath the roof, too: the roof matters to pictures alone.
    """

    name = "two_room_roofed"

    def _built(self) -> mujoco.MjModel:
        spec = mujoco.MjSpec.from_string(self._xml())
        spec.worldbody.add_geom(
            name="roof",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=[*_CENTRE, _HEIGHT],
            size=[*_HALF, 0.01],
            rgba=[0.45, 0.5, 0.58, 1.0],
            contype=0,
            conaffinity=0,
        )
        return spec.compile()

    def beneath(self, positions: Float[ndarray, "... 2"], clear: float = 0.0) -> Bool[ndarray, "..."]:
        """Whether positions lie beneath the roof, or within `clear` metres of it."""
        return np.asarray((np.abs(positions - np.asarray(_CENTRE)) < np.asarray(_HALF) + clear).all(axis=-1))

    def sample_goal(self, rng: np.random.Generator) -> Float[ndarray, "G"]:
        """Return a random position in either room, clear of the walls and of the roof."""
        while True:
            found = super().sample_goal(rng)
            if not self.beneath(found, _CLEAR):
                return found

    def describe(self) -> dict[str, Any]:
        """See Task; with the roof's middle and half its size, in metres."""
        return {**super().describe(), "roof": [*_CENTRE, *_HALF]}
