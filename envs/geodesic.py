"""Shortest path of a disc around walls, as a visibility graph over the corners of axis-aligned boxes.

It is the privileged cost of tasks with walls, and guides their scripts. Planners and models never see it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

_SLACK = 0.01  # metres: a wall blocks only this far inside its inflated face, because contacts are slightly soft
_MARGIN = 0.01  # metres: clearance of the path around a corner


class Geodesic:
    """Distances and waypoints of a disc of `radius` among boxes `(x, y, half width, half height)`, all in metres.

    `corners` are the free ends `(x, y, sign x, sign y)` of the walls: a vertex, and the direction that leads away from
    its wall. The disc passes a corner at its square inflation, which is at most 0.3 radii longer than the exact arc.
    """

    def __init__(
        self,
        boxes: Sequence[tuple[float, float, float, float]],
        corners: Sequence[tuple[float, float, float, float]],
        radius: float,
    ):
        self.radius = radius
        walls = np.asarray(boxes, np.float64).reshape(-1, 4)
        self._low = walls[:, :2] - walls[:, 2:] - (radius - _SLACK)
        self._high = walls[:, :2] + walls[:, 2:] + (radius - _SLACK)
        ends = np.asarray(corners, np.float64).reshape(-1, 4)
        self.corners = ends[:, :2] + ends[:, 2:] * (radius + _MARGIN)
        between = np.linalg.norm(self.corners[:, None] - self.corners[None], axis=-1)
        seen = self.visible(self.corners[:, None], self.corners[None])
        seen |= seen.T  # along a line that only touches a box, rounding may block one direction and not the other
        between = np.where(seen, between, np.inf)
        for k in range(len(between)):  # Floyd-Warshall: shortest paths between all corners
            between = np.minimum(between, between[:, k, None] + between[None, k])
        self._between = between

    def visible(self, a: Float[ndarray, "*#p 2"], b: Float[ndarray, "*#p 2"]) -> Bool[ndarray, "*p"]:
        """Whether the disc can go straight from a to b (slab test against every inflated box)."""
        a, b = np.broadcast_arrays(a, b)
        start = np.moveaxis(a, -1, 0).copy()
        step = np.moveaxis(b, -1, 0) - start
        step = np.where(np.abs(step) < 1e-12, 1e-12, step)
        blocked = np.zeros(a.shape[:-1], bool)
        for low, high in zip(self._low, self._high, strict=True):
            enter, leave = np.zeros(a.shape[:-1]), np.ones(a.shape[:-1])
            for axis in (0, 1):
                first, second = (low[axis] - start[axis]) / step[axis], (high[axis] - start[axis]) / step[axis]
                np.maximum(enter, np.minimum(first, second), out=enter)
                np.minimum(leave, np.maximum(first, second), out=leave)
            blocked |= enter < leave
        return np.asarray(~blocked)

    def distance(self, points: Float[ndarray, "*#p 2"], goals: Float[ndarray, "*#p 2"]) -> Float[ndarray, "*p"]:
        """Length of the shortest path, in metres."""
        straight, via = self._path_lengths(points, goals)
        return np.asarray(np.minimum(straight, via.min(axis=-1, initial=np.inf)))

    def waypoint(self, points: Float[ndarray, "*#p 2"], goals: Float[ndarray, "*#p 2"]) -> Float[ndarray, "*p 2"]:
        """First waypoint: the goal if it is in sight, else the corner on the shortest path."""
        straight, via = self._path_lengths(points, goals)
        goals = np.broadcast_to(goals, (*straight.shape, 2))
        if not len(self.corners):
            return goals.copy()
        nearest: Int[ndarray, "*p"] = np.argmin(via, axis=-1)
        return np.where(np.isfinite(straight)[..., None], goals, self.corners[nearest])

    def _path_lengths(
        self, points: Float[ndarray, "*#p 2"], goals: Float[ndarray, "*#p 2"]
    ) -> tuple[Float[ndarray, "*p"], Float[ndarray, "*p C"]]:
        """Lengths of the straight path (inf where a wall blocks it) and of the shortest path via each first corner."""
        straight = np.linalg.norm(points - goals, axis=-1)
        straight = np.where(self.visible(points, goals), straight, np.inf)
        onward = (self._to_corners(goals)[..., None, :] + self._between).min(axis=-1, initial=np.inf)
        via = self._to_corners(points) + onward
        return straight, np.broadcast_to(via, (*straight.shape, len(self.corners)))

    def _to_corners(self, points: Float[ndarray, "*p 2"]) -> Float[ndarray, "*p C"]:
        length = np.linalg.norm(points[..., None, :] - self.corners, axis=-1)
        seen = self.visible(points[..., None, :], self.corners)
        # A disc pressed into a wall may see no corner at all; it then counts as seeing every one.
        return np.where(seen | ~seen.any(axis=-1, keepdims=True), length, np.inf)
