"""Shared look of external models, so that all tasks are rendered in the same style. It does not affect the physics."""

from __future__ import annotations

import mujoco

FLOOR, FLOOR_DARK = [0.955, 0.95, 0.935], [0.925, 0.92, 0.905]
WALL = [0.23, 0.28, 0.36, 1.0]
BODY = [0.91, 0.36, 0.22, 1.0]
GOAL, GOAL_FAINT = [0.13, 0.62, 0.47, 0.9], [0.13, 0.62, 0.47, 0.3]


def dress(spec: mujoco.MjSpec, half_width: float, centre: tuple[float, float] = (0.0, 0.0)) -> None:
    """Add even light, and an orthographic camera "top" that shows `half_width` metres around the centre."""
    for light in spec.lights:
        spec.delete(light)
    headlight = spec.visual.headlight
    headlight.ambient, headlight.diffuse, headlight.specular = [0.55] * 3, [0.35] * 3, [0.05] * 3
    spec.worldbody.add_light(
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=[0, 0, 3],
        dir=[0.25, 0.25, -1],
        diffuse=[0.45] * 3,
        specular=[0.1] * 3,
    )
    spec.worldbody.add_camera(
        name="top", pos=[*centre, 3], proj=mujoco.mjtProjection.mjPROJ_ORTHOGRAPHIC, fovy=2 * half_width
    )
