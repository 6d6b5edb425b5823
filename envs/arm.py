"""Arms that are commanded by where their hand goes: kinematics and differential inverse kinematics of a whole batch.

An action moves the hand from where it is; the joint angles that put it there are found by damped Newton steps, and
position servos of the joints hold them for one control period. All is NumPy over the batch, the physics C threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .rollout import BatchPhysics

_LARGEST = np.radians(45.0)  # change of a joint in one Newton step
_DAMPING = 1e-12  # of the least squares


class Chain:
    """Kinematics of a site that hangs on hinges, one behind the other.

    Args:
      model: its other joints do not move the site.
      site: name of the site.
      joints: names of the hinges, from the base on.
    """

    def __init__(self, model: mujoco.MjModel, site: str, joints: Sequence[str]):
        end, bodies = model.site(site), []
        body = int(end.bodyid[0])
        while body:
            bodies.append(body)
            body = int(model.body_parentid[body])
        axes = {int(model.joint(name).bodyid[0]): model.joint(name).axis for name in joints}
        place, turned = np.zeros(3), np.eye(3)
        self._fixed: list[tuple[ndarray, ndarray]] = []  # from each hinge's body to the next one's
        self._axes: list[tuple[ndarray, ndarray, ndarray]] = []  # the axis, its cross product and that one's square
        for body in reversed(bodies):
            place = place + turned @ model.body_pos[body]
            turned = turned @ _matrix(model.body_quat[body])
            if body in axes:
                x, y, z = axis = axes[body]
                cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
                self._fixed.append((place, turned))
                self._axes.append((axis.copy(), cross, cross @ cross))
                place, turned = np.zeros(3), np.eye(3)
        self._end = place + turned @ end.pos, turned @ _matrix(end.quat)

    def pose(self, angles: Float[ndarray, "B n"]) -> tuple[Float[ndarray, "B 3"], Float[ndarray, "B 3 3"]]:
        """Position and orientation of the site for joint angles."""
        place, turned, _ = self._along(angles)
        return place, turned

    def jacobian(
        self, angles: Float[ndarray, "B n"]
    ) -> tuple[Float[ndarray, "B 3"], Float[ndarray, "B 3 3"], Float[ndarray, "B 6 n"]]:
        """Position, orientation, and by how much each joint moves and turns the site, in the world's frame."""
        place, turned, hinges = self._along(angles)
        jacobian = np.empty((len(angles), 6, len(hinges)))
        for k, (anchor, axis) in enumerate(hinges):
            arm = place - anchor
            jacobian[:, 0, k] = axis[:, 1] * arm[:, 2] - axis[:, 2] * arm[:, 1]
            jacobian[:, 1, k] = axis[:, 2] * arm[:, 0] - axis[:, 0] * arm[:, 2]
            jacobian[:, 2, k] = axis[:, 0] * arm[:, 1] - axis[:, 1] * arm[:, 0]
            jacobian[:, 3:, k] = axis
        return place, turned, jacobian

    def _along(self, angles: ndarray) -> tuple[ndarray, ndarray, list[tuple[ndarray, ndarray]]]:
        place, turned, hinges = np.zeros((len(angles), 3)), np.broadcast_to(np.eye(3), (len(angles), 3, 3)), []
        sines, cosines = np.sin(angles)[..., None, None], 1.0 - np.cos(angles)[..., None, None]
        for k, ((ahead, fixed), (axis, cross, square)) in enumerate(zip(self._fixed, self._axes, strict=True)):
            place = place + turned @ ahead
            turned = turned @ fixed
            hinges.append((place, turned @ axis))
            turned = turned @ (np.eye(3) + sines[:, k] * cross + cosines[:, k] * square)
        ahead, fixed = self._end
        return place + turned @ ahead, turned @ fixed, hinges

    def solve(
        self,
        place: Float[ndarray, "B 3"],
        turned: Float[ndarray, "B 3 3"],
        angles: Float[ndarray, "B n"],
        *,
        iterations: int = 20,
        tolerance: float = 1e-4,
    ) -> Float[ndarray, "B n"]:
        """Joint angles that bring the site to a pose, by Newton's method from given ones.

        Each of the batch stops by itself, so its result does not depend on the others.

        Args:
          place: position asked for, in metres.
          turned: orientation asked for.
          angles: to start from.
          iterations: at most; what is not reached by then is left as near as it came.
          tolerance: metres and radians that count as there.
        """
        found, open_ = angles.copy(), np.arange(len(angles))
        for _ in range(iterations):
            here, now, jacobian = self.jacobian(found[open_])
            away, turn = place[open_] - here, _rotation_vector(turned[open_] @ now.swapaxes(1, 2))
            far = (np.linalg.norm(away, axis=1) > tolerance) | (np.linalg.norm(turn, axis=1) > tolerance)
            if not far.any():
                break
            open_, jacobian = open_[far], jacobian[far]
            error = np.concatenate([away, turn], axis=1)[far, :, None]
            squared = jacobian @ jacobian.swapaxes(1, 2) + _DAMPING * np.eye(6)
            step = (jacobian.swapaxes(1, 2) @ np.linalg.solve(squared, error))[..., 0]
            largest = np.abs(step).max(axis=1, keepdims=True)
            found[open_] += step * np.minimum(1.0, _LARGEST / np.maximum(largest, 1e-12))
        return found


class HandPhysics(BatchPhysics):
    """Batched rollouts in which an action `[x, y, z, yaw, close]` in [-1, 1] moves a hand that points down.

    Where the hand goes is where it was one physics step ago, moved by the action and kept within the workspace: the
    original reads the pose that its simulator computed last, before it integrated. Angles of that moment follow from
    a state's angles and velocities, so a physics state is complete. The gripper closes from where it is, likewise.

    Args:
      model: of the arm; the position servos of `joints` are its first actuators, the gripper's is the next one.
      substeps: physics steps of an action.
      site: of the hand.
      flange: site at the end of the arm, whose pose the joint angles are found for.
      joints: hinges of the arm, which come first in the model.
      gripper: hinge of the gripper.
      stride: metres, radians and share of the gripper's range that an action of 1 stands for, `[5]`.
      workspace: corners of the box that the hand is kept in, `[2, 3]` metres.
      closed: angle of the gripper's hinge when it is closed, in radians; its command is `closed_command` then.
      closed_command: of the gripper's actuator.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        substeps: int,
        *,
        site: str,
        flange: str,
        joints: Sequence[str],
        gripper: str,
        stride: Sequence[float],
        workspace: Float[ndarray, "2 3"],
        closed: float,
        closed_command: float,
    ):
        super().__init__(model, substeps)
        self.action_low, self.action_high = -np.ones(5), np.ones(5)
        self.chain, self._flange = Chain(model, site, joints), Chain(model, flange, joints)
        rest = np.zeros((1, len(joints)))
        (place, turned), (end, ending) = self.chain.pose(rest), self._flange.pose(rest)
        self._behind = turned[0].T @ (end - place)[0], turned[0].T @ ending[0]  # the flange, seen from the hand
        self.workspace = workspace
        self._stride, self._arm, self._closed, self._command = np.asarray(stride), len(joints), closed, closed_command
        self._gripper = int(model.joint(gripper).qposadr[0])

    def command(self, data: mujoco.MjData, action: Float[ndarray, "A"]) -> None:
        """Set the servos from where the hand of `data` was one physics step ago."""
        data.ctrl[:] = self._controls(data.qpos[None], data.qvel[None], np.asarray(action, np.float64)[None])[0]

    def closure(self, qpos: Float[ndarray, "... nq"]) -> Float[ndarray, "..."]:
        """How far the gripper is closed, from 0 to 1."""
        return np.asarray(np.clip(qpos[..., self._gripper] / self._closed, 0.0, 1.0))

    def posture(
        self, place: Float[ndarray, "B 3"], yaw: Float[ndarray, "B"], start: Float[ndarray, "n"]
    ) -> Float[ndarray, "B n"]:
        """Joint angles of hands that point down at these places, found from the posture `start`.

        Raises:
          ValueError: a place out of reach.
        """
        angles = np.broadcast_to(start, (len(place), self._arm))
        found = self._solve(place, pointing_down(yaw), angles, iterations=60, tolerance=1e-9)
        missed = np.abs(self.chain.pose(found)[0] - place).max(axis=1) > 1e-6
        if missed.any():
            raise ValueError(f"the hand does not reach {place[missed][0].tolist()} while it points down")
        return found

    def _simulate(
        self,
        models: list[mujoco.MjModel],
        states: Float[ndarray, "B S"],
        controls: Float[ndarray, "B T A"],
        out: Float[ndarray, "B T S"],
    ) -> None:
        """Fill `out` with one C call per action, since each starts from the hand's current pose."""
        current, after = states.copy(), np.empty((len(states), self.substeps, self.state_size))
        nq, nv = self.model.nq, self.model.nv
        for t in range(controls.shape[1]):
            held = self._controls(current[:, 1 : 1 + nq], current[:, 1 + nq : 1 + nq + nv], controls[:, t])
            self._rollout(models, current, np.repeat(held[:, None], self.substeps, axis=1), after)
            current[:] = after[:, -1]
            out[:, t] = current

    def _controls(
        self, qpos: Float[ndarray, "B nq"], qvel: Float[ndarray, "B nv"], actions: Float[ndarray, "B A"]
    ) -> Float[ndarray, "B C"]:
        moves, angles = np.clip(actions, -1.0, 1.0) * self._stride, qpos[:, : self._arm]
        place, turned = self.chain.pose(angles - self.model.opt.timestep * qvel[:, : self._arm])
        wanted = np.clip(place + moves[:, :3], *self.workspace)
        towards = pointing_down(yaw_of(turned) + moves[:, 3])
        closure = np.clip(self.closure(qpos) + moves[:, 4], 0.0, 1.0)
        servos = self._solve(wanted, towards, angles)
        return np.concatenate([servos, self._command * closure[:, None]], axis=1)

    def _solve(self, place: ndarray, turned: ndarray, angles: ndarray, **limits: Any) -> Float[ndarray, "B n"]:
        offset, turn = self._behind
        return self._flange.solve(place + turned @ offset, turned @ turn, angles, **limits)


def pointing_down(yaw: Float[ndarray, "B"]) -> Float[ndarray, "B 3 3"]:
    """Orientation of a hand that points down, turned by `yaw` about the vertical."""
    cos, sin, zero = np.cos(yaw), np.sin(yaw), np.zeros_like(yaw)
    rows = [cos, sin, zero, sin, -cos, zero, zero, zero, zero - 1.0]
    return np.stack(rows, axis=-1).reshape(*yaw.shape, 3, 3)


def yaw_of(turned: Float[ndarray, "... 3 3"]) -> Float[ndarray, "..."]:
    """Angle about the vertical, in radians: of the horizontal part of the first axis."""
    return np.asarray(np.arctan2(turned[..., 1, 0], turned[..., 0, 0]))


def _matrix(quaternion: ndarray) -> Float[ndarray, "3 3"]:
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, np.asarray(quaternion, np.float64))
    return matrix.reshape(3, 3)


def _rotation_vector(turned: Float[ndarray, "B 3 3"]) -> Float[ndarray, "B 3"]:
    """Axis times angle of rotations, the angle in [0, π]."""
    skew = turned - turned.swapaxes(1, 2)
    sine = np.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], axis=1) / 2
    length, cosine = np.linalg.norm(sine, axis=1), (np.trace(turned, axis1=1, axis2=2) - 1) / 2
    scale = np.where(length > 1e-9, np.arctan2(length, cosine) / np.maximum(length, 1e-9), 1.0)
    vector, quaternion = sine * scale[:, None], np.empty(4)
    for i in np.flatnonzero(cosine < -0.7).tolist():  # near a half turn the sine says little about the axis
        mujoco.mju_mat2Quat(quaternion, turned[i].ravel())
        mujoco.mju_quat2Vel(vector[i], quaternion, 1.0)
    return vector
