"""Geometry of the T of `push_t`: its outline, what a straight push does to it, and how much of it covers a goal.

Poses `[x, y, angle]` are of the frame at the centre of mass, metres and radians; the T stands upright at angle 0. A
quasi-static body that slides without friction moves along one line for a given push: `pushed` is that closed form.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

PUSHER_RADIUS = 0.015
ORIGIN = np.array([0.0, 0.045])  # middle of the upper edge, by which tasks and papers give the block's position
BAR, STEM = (0.0, 0.03, 0.06, 0.015), (0.0, -0.03, 0.015, 0.045)  # x, y, half width, half height of the two boxes
BOXES = (BAR, STEM)
GYRATION = 0.05050  # radius of gyration about the centre of mass: gym-pusht's inertia over its mass, square root
SKELETON = np.array(
    [[-0.045, 0.03], [0.0, 0.03], [0.045, 0.03], [0.0, -0.06]]
)  # lines that, as thick as the pusher, draw it
_OUTLINE = np.array(
    [
        [-0.060, 0.045],
        [-0.060, 0.015],
        [-0.015, 0.015],
        [-0.015, -0.075],
        [0.015, -0.075],
        [0.015, 0.015],
        [0.060, 0.015],
        [0.060, 0.045],
    ]
)  # corners, anticlockwise


def rotated(points: Float[ndarray, "... 2"], angle: Float[ndarray, "..."] | float) -> Float[ndarray, "... 2"]:
    """Points turned anticlockwise about zero."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = points[..., 0], points[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def into(pose: Float[ndarray, "... 3"], points: Float[ndarray, "... 2"]) -> Float[ndarray, "... 2"]:
    """Points in the frame of a block."""
    return rotated(points - pose[..., :2], -pose[..., 2])


def out_of(pose: Float[ndarray, "... 3"], points: Float[ndarray, "... 2"]) -> Float[ndarray, "... 2"]:
    """Points of the frame of a block, in metres of the arena."""
    return pose[..., :2] + rotated(points, pose[..., 2])


def wrapped(angle: Float[ndarray, "..."] | float) -> Float[ndarray, "..."]:
    """The same angle in [-π, π)."""
    return np.asarray((angle + np.pi) % (2 * np.pi) - np.pi)


def corners(pose: Float[ndarray, "... 3"]) -> Float[ndarray, "... 8 2"]:
    """Corners of the T, anticlockwise, in metres."""
    return pose[..., None, :2] + rotated(_OUTLINE, pose[..., None, 2])


def outline(spacing: float, margin: float = 0.004) -> tuple[Float[ndarray, "M 2"], Float[ndarray, "M 2"]]:
    """Points of the outline and their outward normals, in the block's frame.

    Args:
      spacing: metres between neighbours on an edge, at most.
      margin: metres left free at the ends of an edge, where a pusher would slip off.
    """
    points, normals = [], []
    for start, end in zip(_OUTLINE, np.roll(_OUTLINE, -1, axis=0), strict=True):
        length = float(np.linalg.norm(end - start))
        along = (end - start) / length
        count = max(2, int(np.ceil((length - 2 * margin) / spacing)) + 1)
        points.append(start + np.linspace(margin, length - margin, count)[:, None] * along)
        normals.append(np.tile([along[1], -along[0]], (count, 1)))
    return np.concatenate(points), np.concatenate(normals)


def reachable(points: Float[ndarray, "M 2"], normals: Float[ndarray, "M 2"]) -> ndarray:
    """Whether the pusher fits at each point of the outline: it is too big for the corners between bar and stem."""
    return clearance(points + (PUSHER_RADIUS + 1e-9) * normals) > PUSHER_RADIUS - 1e-6


def clearance(points: Float[ndarray, "... 2"]) -> Float[ndarray, "..."]:
    """Distance of points in the block's frame to the T, in metres; negative inside of it."""
    distances = []
    for x, y, half_width, half_height in BOXES:
        outside = np.abs(points - np.array([x, y])) - np.array([half_width, half_height])
        beyond = np.linalg.norm(np.maximum(outside, 0.0), axis=-1)
        distances.append(beyond + np.minimum(outside.max(axis=-1), 0.0))
    return np.asarray(np.minimum(*distances))


def pushed(
    pose: Float[ndarray, "... 3"],
    point: Float[ndarray, "... 2"],
    normal: Float[ndarray, "... 2"],
    depth: Float[ndarray, "..."],
) -> Float[ndarray, "... 3"]:
    """Pose after its surface at `point` was pushed `depth` metres inwards, for pushes that turn it little.

    Without friction the force is along the normal, so the body moves by `depth · (n, r × n / k²) / (1 + (r × n)² / k²)`
    with the arm r from the centre of mass and the radius of gyration k (Lynch and Mason, Stable Pushing, IJRR 1996).

    Args:
      pose: of the block.
      point: of contact, in its frame.
      normal: outward at the point, in its frame.
      depth: of the push.
    """
    arm = point[..., 1] * normal[..., 0] - point[..., 0] * normal[..., 1]  # (r × inward normal)
    share = depth / (1.0 + (arm / GYRATION) ** 2)
    turn = share * arm / GYRATION**2
    moved = rotated(-normal * share[..., None], pose[..., 2] + turn / 2)
    return np.concatenate([pose[..., :2] + moved, (pose[..., 2] + turn)[..., None]], axis=-1)


def coverage(pose: Float[ndarray, "3"], goal: Float[ndarray, "3"]) -> float:
    """Share of the goal's area that the T covers: gym-pusht's measure, which counts a T as placed above 0.95."""
    total = sum(4 * half_width * half_height for _, _, half_width, half_height in BOXES)
    shared = sum(_overlap(_box(mine, pose), _box(its, goal)) for mine in BOXES for its in BOXES)
    return shared / total


def _box(box: tuple[float, float, float, float], pose: Float[ndarray, "3"]) -> Float[ndarray, "4 2"]:
    x, y, half_width, half_height = box
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return pose[:2] + rotated(np.array([x, y]) + signs * [half_width, half_height], pose[2])


def _overlap(subject: Float[ndarray, "4 2"], clip: Float[ndarray, "4 2"]) -> float:
    """Area that two convex polygons share: one clipped by the sides of the other (Sutherland and Hodgman, 1974)."""
    polygon = list(subject)
    for start, end in zip(clip, np.roll(clip, -1, axis=0), strict=True):
        side = [
            float((end[0] - start[0]) * (p[1] - start[1]) - (end[1] - start[1]) * (p[0] - start[0])) for p in polygon
        ]
        kept = []
        for index, point in enumerate(polygon):
            before, here = side[index - 1], side[index]
            if before * here < 0:
                kept.append(polygon[index - 1] + (point - polygon[index - 1]) * before / (before - here))
            if here >= 0:
                kept.append(point)
        polygon = kept
    if len(polygon) < 3:
        return 0.0
    x, y = np.asarray(polygon).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
