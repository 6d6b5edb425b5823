"""Reacher with goals about the place of its tip: each is reached with the elbow on either side."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from ..sensors import Mask, ask_everything
from .dm_reacher import LINK, WRIST, Reacher, difference, places


class ReacherTip(Reacher):
    """`Reacher` with the sensors `state` and `tip`. Goals are the tip at rest in a place: how the arm bends is free.

    A goal is `[x, y]` in metres; success is the tip within 15 mm, the radius of the target of dm_control's hard task,
    while both joints are slower than 1 rad/s.

    Raises:
      ValueError: a goal out of reach.
    """

    name = "reacher_tip"
    tolerance = 0.015
    slow = 1.0  # radians a second
    nearest = 2 * LINK * np.cos(WRIST / 2)  # metres from the shoulder, with the wrist at its stop
    farthest = 2 * LINK

    def __init__(self, render_mode: str | None = None):
        super().__init__(render_mode)
        self._use((self._vectors["state"], self._vectors["tip"]))
        self.goal = np.array([self.farthest, 0.0])

    @property
    def goal_mask(self) -> Mask:
        """See Task: tip and velocities; everything where the tip is not among the sensors, as with pictures alone."""
        if all(sensor.name != "tip" for sensor in self.sensors):
            return ask_everything(self.sensors)
        masks = {sensor.name: np.ones(sensor.shape, bool) for sensor in self.sensors}
        if "state" in masks:
            masks["state"][:4] = False  # sines and cosines of the joints
        return masks if len(masks) > 1 else masks["tip"]

    def sample_goal(self, rng: np.random.Generator) -> Float[ndarray, "G"]:
        """Return the place of the tip in a random configuration."""
        return places(self.configuration(rng))[1]

    def check_goal(self, goal: Float[ndarray, "G"]) -> None:
        """See Task: the place must be within reach."""
        away = float(np.linalg.norm(goal))
        if not self.nearest - self.tolerance < away < self.farthest + self.tolerance:
            raise ValueError(
                f"the goal puts the tip {away:.3f} m from the shoulder, and the arm reaches from {self.nearest:.3f} to "
                f"{self.farthest:.3f} m"
            )

    def elbows(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... 2 2"]:
        """Return the angles of shoulder and wrist with the tip at the goal, for a wrist above and one below zero."""
        away = np.clip(np.linalg.norm(goal, axis=-1), self.nearest, self.farthest)
        wrist = 2 * np.arccos(np.clip(away / self.farthest, -1.0, 1.0))  # the links are of one length
        wrists = np.stack([wrist, -wrist], axis=-1)
        shoulders = np.arctan2(goal[..., 1], goal[..., 0])[..., None] - wrists / 2
        return np.stack([shoulders, wrists], axis=-1)

    def at_goal(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... S"]:
        """Return the state at rest with the tip at the goal, the wrist's angle above zero: one of two."""
        angles = self.elbows(goal)[..., 0, :]
        return self.pack(angles, np.zeros_like(angles))

    def achieved_goal(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... G"]:
        """Return the place of the tip, in metres."""
        return places(self.qpos(states))[..., 1, :]

    def success(
        self, state: Float[ndarray, "... S"], goal: Float[ndarray, "... G"], share: float = 1.0
    ) -> Bool[ndarray, "..."]:
        """Whether the tip is within the tolerance of its place, and both joints are slow."""
        away = np.linalg.norm(self.achieved_goal(state) - goal, axis=-1)
        slow = (np.abs(self.qvel(state)) <= self.slow).all(axis=-1)
        return np.asarray((away <= share * self.tolerance) & slow)

    def cost(self, states: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Float[ndarray, "..."]:
        """Distance to the nearer of the two configurations, in radians."""
        return np.asarray(np.min(self._apart(states, goal), axis=-1))

    def script(self, states: Float[ndarray, "B S"], goals: Float[ndarray, "B G"]) -> Float[ndarray, "B A"]:
        """Proportional-derivative control of each joint towards the nearer configuration."""
        nearer = np.argmin(self._apart(states, goals), axis=-1)
        return super().script(states, np.take_along_axis(self.elbows(goals), nearer[:, None, None], axis=1)[:, 0])

    def _apart(self, states: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Float[ndarray, "... 2"]:
        return np.asarray(np.linalg.norm(difference(self.qpos(states)[..., None, :], self.elbows(goal)), axis=-1))

    def goal_keypoints(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... J 2"]:
        """Elbow and fingertip of the arm of `at_goal`."""
        return places(self.elbows(goal)[..., 0, :])
