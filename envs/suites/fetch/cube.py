"""What the tasks of Fetch with a cube on a table share: model, sensors, and the cube's turn and corners."""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ...mocap import latching
from ...sensors import Sensor
from .. import look
from . import arm

HAND = ("l_gripper_finger", "r_gripper_finger", "gripper")  # links that touch the cube
HALF = 0.025  # metres: half of the cube's side
BOUNDS = {  # by sensor: see MujocoTask
    "gripper": 2.0,
    "gripper_velocity": 2.0,
    "object": 5.0,
    "object_velocity": 10.0,
    "object_yaw": np.pi / 4,
    "object_from_gripper": 5.0,
    "fingers": 0.2,
    "contact": 1.0,
    "proprio": 2.0,
}
_COLOUR = [0.35, 0.47, 0.70, 1.0]  # of the cube


def model(file: str) -> mujoco.MjModel:
    """Return the model of one of the suite's files, with a transparent arm and opaque fingers.

    Mocap bodies are the one that leads the hand, and marks for the goal of the cube and of the gripper.
    """
    spec = arm.read(file)
    for geom in spec.geoms:
        if "finger" in geom.name:
            geom.material, geom.rgba = "", look.BODY
        elif geom.name.startswith("robot0:"):
            over = "wrist" in geom.name or "gripper" in geom.name  # between the camera and the fingers
            geom.material, geom.rgba = "", [*look.WALL[:3], 0.05 if over else 0.15]
        elif geom.contype == 0:  # axes that mark the mocap body
            geom.rgba = [0.0, 0.0, 0.0, 0.0]
    spec.material("table_mat").rgba = [*look.FLOOR_DARK, 1.0]
    spec.material("floor_mat").rgba = [*look.FLOOR, 1.0]
    spec.geom("object0").material, spec.geom("object0").rgba = "", _COLOUR
    spec.site("object0").rgba = [0.0, 0.0, 0.0, 0.0]
    spec.delete(spec.site("target0"))
    latching(spec)
    place = spec.worldbody.add_body(name="goal_object", mocap=True, pos=[1.34, 0.75, -1.0])
    grip = spec.worldbody.add_body(name="goal_gripper", mocap=True, pos=[1.34, 0.75, -1.0])
    for body, shape, size, rgba in (
        (place, mujoco.mjtGeom.mjGEOM_BOX, HALF, look.GOAL_FAINT),
        (place, mujoco.mjtGeom.mjGEOM_SPHERE, 0.012, look.GOAL),
        (grip, mujoco.mjtGeom.mjGEOM_SPHERE, 0.015, look.GOAL_FAINT),
    ):
        body.add_geom(type=shape, size=[size] * 3, rgba=rgba, contype=0, conaffinity=0)
    look.dress(spec, half_width=0.25, centre=(1.35, 0.75))
    spec.worldbody.add_camera(
        name="side",
        pos=[1.35, -2.25, 0.62],
        xyaxes=[1, 0, 0, 0, 0, 1],
        proj=mujoco.mjtProjection.mjPROJ_ORTHOGRAPHIC,
        fovy=0.5,
    )
    return arm.compiled(spec)


def sensors(grips: bool) -> tuple[list[Sensor], list[Sensor]]:
    """Return the sensors that are used by default, and further ones, of a hand that `grips` or does not."""
    xyz, speed = ("m",) * 3, ("m/s",) * 3
    fingers = ("m", "m") if grips else ()
    default = [
        Sensor("gripper", (3,), units=xyz),
        Sensor("gripper_velocity", (3,), units=speed),
        Sensor("object", (3,), units=xyz),
        Sensor("object_velocity", (3,), units=speed),
        Sensor("object_yaw", (1,), units=("rad",), period=(np.pi / 2,)),
        Sensor("object_from_gripper", (3,), units=xyz),
    ]
    if grips:
        default.append(Sensor("fingers", (2,), units=fingers))
    own = Sensor("proprio", (6 + len(fingers),), units=(*xyz, *speed, *fingers))
    return default, [Sensor("contact", (1,), interpolates=False), own]


def yaw(quaternions: Float[ndarray, "... 4"]) -> Float[ndarray, "..."]:
    """Turn of a cube about the vertical, in [-π/4, π/4), whichever side it lies on: that of its most level axis."""
    w, x, y, z = np.moveaxis(quaternions, -1, 0)
    axes = np.stack(  # horizontal components of the three axes
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z)], axis=-1),
            np.stack([2 * (x * y - w * z), 1 - 2 * (x * x + z * z)], axis=-1),
            np.stack([2 * (x * z + w * y), 2 * (y * z - w * x)], axis=-1),
        ]
    )
    lies = np.argmax(np.sum(axes**2, axis=-1), axis=0)
    level = np.take_along_axis(axes, lies[None, ..., None], axis=0)[0]
    return np.asarray(np.mod(np.arctan2(level[..., 1], level[..., 0]) + np.pi / 4, np.pi / 2) - np.pi / 4)


def corners(turn: Float[ndarray, "..."]) -> Float[ndarray, "... 4 2"]:
    """Corners of a cube seen from above, from its centre, in metres."""
    angles = turn[..., None] + np.pi / 4 + np.pi / 2 * np.arange(4)
    return HALF * np.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def check_place(part: str, place: Float[ndarray, "3"], low: tuple[float, ...], high: tuple[float, ...]) -> None:
    """Check that a goal is in the workspace, whose floor is a table.

    Args:
      part: of the goal, for messages.
      place: in metres.
      low: of the workspace.
      high: likewise.

    Raises:
      ValueError: the place is inside of the table or below, or outside of the workspace.
    """
    over = all(least <= each <= most for least, each, most in zip(low[:2], place, high, strict=False))
    if over and place[2] < low[2]:
        raise ValueError(
            f"the goal puts the {part} at a height of {place[2]:.3f} m, which is "
            f"{'inside of' if place[2] > 0 else 'below'} the table: it must be at {low[2]:.3f} m or higher"
        )
    if not over or place[2] > high[2]:
        raise ValueError(
            f"the goal puts the {part} at {np.round(place, 3).tolist()}, outside of the workspace: it must be between "
            f"{np.round(low, 3).tolist()} and {list(high)}, in metres"
        )
