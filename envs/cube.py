"""A cube that a hand grasps: what is sensed of both, and geometry of what looks alike after a quarter of a turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import mujoco
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from .sensors import Sensor
from .task import Task

_TOUCHING = 5e-4  # metres between the surfaces that count as contact
_AWAY = 0.01  # metres up to which distances are computed
_TURN, _QUARTER = 2 * np.pi, np.pi / 2
_M, _SPIN = ("m",) * 3, ("rad/s",) * 6
SENSORS = (  # with the magnitude that each component stays within
    (Sensor("effector", (3,), units=_M), (1.5,) * 3),
    (Sensor("effector_yaw", (1,), units=("rad",), period=(_TURN,)), (np.pi,)),
    (Sensor("joint_velocities", (6,), units=_SPIN), (40.0,) * 6),
    (Sensor("gripper", (2,), units=("1", "1")), (1.0, 1.0)),
    (Sensor("block", (3,), units=_M), (1.0,) * 3),
    (Sensor("block_velocity", (3,), units=("m/s",) * 3), (20.0,) * 3),
    (Sensor("block_yaw", (1,), units=("rad",), period=(_QUARTER,)), (np.pi / 4,)),
    (
        Sensor("block_from_effector", (4,), units=(*_M, "rad"), period=(None, None, None, _QUARTER)),
        (1.5, 1.5, 1.5, np.pi / 4),
    ),
)
OTHERS = (
    (Sensor("joints", (6,), units=("rad",) * 6, period=(_TURN,) * 6), (np.pi,) * 6),
    (
        Sensor("proprio", (11,), units=(*_M, "rad", *_SPIN, "1"), period=(*(None,) * 3, _TURN, *(None,) * 7)),
        (*(1.5,) * 3, np.pi, *(40.0,) * 6, 1.0),
    ),
)


def quarter(angle: Float[ndarray, "..."] | float) -> Float[ndarray, "..."]:
    """The same angle of something that looks the same after a quarter of a turn, in [-π/4, π/4)."""
    return np.asarray((angle + np.pi / 4) % (np.pi / 2) - np.pi / 4)


def yaw(quaternions: Float[ndarray, "... 4"]) -> Float[ndarray, "..."]:
    """Angle of a cube about the vertical in [-π/4, π/4), of the more horizontal one of two of its axes."""
    w, x, y, z = np.moveaxis(quaternions, -1, 0)
    first = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)], axis=-1)
    second = np.stack([2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)], axis=-1)
    axis = np.where(np.abs(first[..., 2:]) <= np.abs(second[..., 2:]), first, second)
    return quarter(np.arctan2(axis[..., 1], axis[..., 0]))


def seen_from(
    hand: Float[ndarray, "... 3"], yaw: Float[ndarray, "..."], place: Float[ndarray, "... 3"]
) -> Float[ndarray, "... 3"]:
    """Place relative to a hand, in metres along the axes that turn with its yaw."""
    x, y, z = np.moveaxis(place - hand, -1, 0)
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.stack([cos * x + sin * y, cos * y - sin * x, z], axis=-1)


@runtime_checkable
class Grasping(Protocol):
    """Task with a cube and a hand, whose actions are `[x, y, z, yaw, close]`: 5 cm, 0.3 rad and a whole closing."""

    def effector(self, states: Float[ndarray, "... S"]) -> tuple[Float[ndarray, "... 3"], Float[ndarray, "..."]]:
        """Position and yaw of the hand."""
        ...

    def block(self, states: Float[ndarray, "... S"]) -> tuple[Float[ndarray, "... 3"], Float[ndarray, "..."]]:
        """Position and yaw of the cube."""
        ...

    def grip(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... 2"]:
        """Closure of the gripper, and the share of its fingers that touch the cube."""
        ...


def with_hand(task: Task) -> Grasping:
    """Return `task` as one with a hand and a cube.

    Raises:
      ValueError: it has none.
    """
    if not isinstance(task, Grasping):
        raise ValueError(
            f"{task.name} has no cube to grasp: the behaviour is for cube_single; take coloured_noise or another"
        )
    return task


class Touch:
    """Which of a gripper's fingers touch a body, from the surfaces alone.

    Args:
      model: with the fingers and the body.
      fingers: names of the geoms of each finger.
      body: name of the body's geom.
    """

    def __init__(self, model: mujoco.MjModel, fingers: Sequence[Sequence[str]], body: str):
        self._model, self._data = model, mujoco.MjData(model)
        self._fingers = [[model.geom(name).id for name in names] for names in fingers]
        self._body = model.geom(body).id

    def __call__(self, qpos: Float[ndarray, "... nq"], near: Bool[ndarray, "..."]) -> Float[ndarray, "..."]:
        """Share of the fingers that touch the body; zero where it is not `near`, without a look."""
        shares, flat = np.zeros(near.size), qpos.reshape(-1, self._model.nq)
        for i in np.flatnonzero(near).tolist():
            self._data.qpos[:] = flat[i]
            mujoco.mj_kinematics(self._model, self._data)
            gaps = [min(map(self._gap, geoms)) for geoms in self._fingers]
            shares[i] = sum(gap < _TOUCHING for gap in gaps) / len(gaps)
        return shares.reshape(near.shape)

    def _gap(self, geom: int) -> float:
        return float(mujoco.mj_geomDistance(self._model, self._data, geom, self._body, _AWAY, None))
