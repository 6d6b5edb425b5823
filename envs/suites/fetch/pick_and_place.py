"""gymnasium-robotics' FetchPickAndPlace: the arm of FetchPush with a gripper that opens, and goals in the air."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ... import hand
from .push import FetchPush


class FetchPickAndPlace(FetchPush):
    """Actions in [-1, 1]: three as in FetchPush, and the gripper's: it opens above 0.1, closes below -0.1.

    Between them the fingers latch: they keep on doing what they did, so that a grasp holds while only the arm is moved
    (`envs.mocap`). A further sensor is `fingers`: the gap between them, and the one that they are driven to.

    Half of the goals are in the air, up to 45 cm above the table. In those the gripper's own goal, which does not count
    unless it is asked for, is at the cube.
    """

    name = "fetch_pick_and_place"
    file = "pick_and_place.xml"
    drop = 0.231
    grips = True
    highest = 0.45  # metres above the table of a goal in the air

    def sample_goal(self, rng: np.random.Generator) -> Float[ndarray, "G"]:
        """Return a place for the cube on the table or, half of the time, in the air, where the gripper points down."""
        if rng.uniform() < 0.5:
            return super().sample_goal(rng)
        while True:
            place = self._on_table(rng) + [0.0, 0.0, rng.uniform(0.0, self.highest)]
            if self._arm.posture(place) is not None:
                return np.concatenate([place, place])

    def _approach(self, states: ndarray, gripper: ndarray, place: ndarray, aim: ndarray) -> Float[ndarray, "..."]:
        """Metres from having the cube between the fingers, and of the gap beyond its width while it is there."""
        away, gap = np.linalg.norm(gripper - place, axis=-1), self.fingers(states)[..., 0]
        return np.asarray(away + np.where(away < 0.02, np.maximum(gap - 0.05, 0.0), 0.05))

    def script(self, states: Float[ndarray, "B S"], goals: Float[ndarray, "B G"]) -> Float[ndarray, "B A"]:
        """A grasp from above, and the way to the goal; then the gripper's goal, where it is another place."""
        seen = self.readings(states)
        gap = seen["fingers"][..., 0]
        carry = hand.carried(seen["gripper"], seen["gripper_velocity"], seen["object"], gap, goals[..., 3:])
        leave = np.concatenate([self._leave(seen, goals), np.ones((*gap.shape, 1))], axis=-1)
        return np.where((self._placed(seen, goals) & ~self.held(goals))[..., None], leave, carry)
