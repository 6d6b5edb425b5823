"""Arm of gymnasium-robotics' Fetch: model files, the posture at home, and the posture for a place of the gripper."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Float
from numpy import ndarray

HAND = "robot0:gripper_link"  # body that follows the mocap body
REACH = 0.05  # metres that an action of 1 moves the mocap body
TURN = (1.0, 0.0, 1.0, 0.0)  # the gripper points to the table
FINGERS = ("robot0:l_gripper_finger_joint", "robot0:r_gripper_finger_joint")
SUBSTEPS = 20
_JOINTS = tuple(
    f"robot0:{name}_joint"
    for name in (
        "shoulder_pan",
        "shoulder_lift",
        "upperarm_roll",
        "elbow_flex",
        "forearm_roll",
        "wrist_flex",
        "wrist_roll",
    )
)


class Arm:
    """Arm of one model, with a scratch copy of its data.

    Args:
      model: with Fetch's arm.
      base: metres along x where the original puts the robot's base.
      drop: metres from the gripper with all joints at zero down to its home.
    """

    def __init__(self, model: mujoco.MjModel, base: float, drop: float):
        self.model, self.data = model, mujoco.MjData(model)
        self.grip = model.site("robot0:grip").id
        self._joints = [int(model.joint(name).id) for name in _JOINTS]  # every joint has one degree of freedom
        self._limited = model.jnt_limited[self._joints].astype(bool)
        self.home = _home(model, base, drop)

    def posture(self, place: Float[ndarray, "3"]) -> Float[ndarray, "nq"] | None:
        """Return the joint angles for a gripper position, nearest to home, or None: Newton's method on the arm."""
        model, data, joints = self.model, self.data, self._joints
        down, turned, error, jacobian = np.array(TURN) / np.sqrt(2), np.empty(4), np.empty(6), np.empty((6, model.nv))
        data.qpos[:] = self.home
        for _ in range(15):
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            mujoco.mju_mat2Quat(turned, data.site_xmat[self.grip])
            mujoco.mju_subQuat(error[3:], down, turned)  # in the gripper's own frame
            mujoco.mju_rotVecQuat(error[3:], error[3:].copy(), turned)
            error[:3] = place - data.site_xpos[self.grip]
            if np.abs(error).max() < 1e-10:
                low, high = model.jnt_range[joints].T
                within = (low <= data.qpos[joints]) & (data.qpos[joints] <= high)
                return data.qpos.copy() if (within | ~self._limited).all() else None
            mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], self.grip)
            data.qpos[joints] += np.linalg.lstsq(jacobian[:, joints], error, rcond=None)[0]
        return None

    def at(self, place: Float[ndarray, "3"]) -> Float[ndarray, "nq"]:
        """Return the posture for a gripper position; ValueError if out of reach."""
        qpos = self.posture(place)
        if qpos is None:
            raise ValueError(f"the gripper does not reach {np.asarray(place).tolist()} while it points down")
        return qpos

    def places(self, qpos: Float[ndarray, "... nq"]) -> Float[ndarray, "... 3"]:
        """Position of the gripper, in metres."""
        places = np.empty((*qpos.shape[:-1], 3))
        for place, row in zip(places.reshape(-1, 3), qpos.reshape(-1, self.model.nq), strict=True):
            self.data.qpos[:] = row
            mujoco.mj_kinematics(self.model, self.data)
            place[:] = self.data.site_xpos[self.grip]
        return places

    def motion(self, qpos: Float[ndarray, "nq"], qvel: Float[ndarray, "nv"]) -> Float[ndarray, "6"]:
        """Position of the gripper in metres and its velocity; leaves the bodies of `data` where they are."""
        jacobian = np.empty((3, self.model.nv))
        self.data.qpos[:] = qpos
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        mujoco.mj_jacSite(self.model, self.data, jacobian, None, self.grip)
        return np.concatenate([self.data.site_xpos[self.grip], jacobian @ qvel])

    def touches(self, geoms: Sequence[int], other: int, margin: float) -> bool:
        """Whether a geom is within `margin` metres of another, in the posture of the last call."""
        return any(
            mujoco.mj_geomDistance(self.model, self.data, geom, other, 2 * margin, None) < margin for geom in geoms
        )


def read(file: str) -> mujoco.MjSpec:
    """Return the suite's description of a Fetch task, such as reach.xml.

    Raises:
      ImportError: gymnasium-robotics is not installed.
    """
    suite = find_spec("gymnasium_robotics")  # only its files are read; importing it would import all of its suites
    if suite is None or suite.origin is None:
        raise ImportError("this task needs gymnasium-robotics: pip install gymnasium-robotics")
    return mujoco.MjSpec.from_file(str(Path(suite.origin).parent / "envs/assets/fetch" / file))


def compiled(spec: mujoco.MjSpec) -> mujoco.MjModel:
    """Return the model, with the weld as the original sets it."""
    model = spec.compile()
    # The original makes the weld pull the hand's own frame to the mocap body's, whatever lies between them at first.
    model.eq_data[:, :7] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    return model


def _home(model: mujoco.MjModel, base: float, drop: float) -> Float[ndarray, "nq"]:
    """Return the joints after the original's homing: the hand follows the mocap body home for ten control periods."""
    data = mujoco.MjData(model)
    for name, value in (("robot0:slide0", base), ("robot0:slide1", 0.48), ("robot0:slide2", 0.0)):
        data.joint(name).qpos = value
    mujoco.mj_forward(model, data)
    data.mocap_pos[0] = data.site("robot0:grip").xpos + np.array([-0.498, 0.005, -drop])
    data.mocap_quat[0] = TURN
    mujoco.mj_step(model, data, nstep=10 * SUBSTEPS)
    for name in FINGERS:
        data.joint(name).qpos = 0.0
    return data.qpos.copy()
