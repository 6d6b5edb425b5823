"""Dynamics of a robot whose hand follows a mocap body, as in gymnasium-robotics' Fetch.

At each action the original puts the mocap body where the hand is, moves it by the action, and leaves it there; a soft
weld pulls the hand after it. Where the hand is follows from the joints, so a physics state is complete.

A gripper adds one action. As in the original it moves the fingers' targets by as many metres, within their range: from
±0.1 on that is fully open, or shut with all force. Below, the original lets go of what the fingers hold. Here they
latch: the targets stay where they were, and a grasp holds without a command. The targets are a part of the physics
state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .rollout import BatchPhysics

LATCH = 0.1  # magnitude of the gripper's action up to which the fingers keep their targets
_MOCAP = int(mujoco.mjtState.mjSTATE_MOCAP_POS | mujoco.mjtState.mjSTATE_MOCAP_QUAT)


class MocapPhysics(BatchPhysics):
    """Batched rollouts in which an action `[x, y, z]` in [-1, 1] moves the first mocap body, and a body follows it.

    With `fingers`, a fourth action opens (positive) and closes them.

    Args:
      model: with a mocap body.
      substeps: physics steps of an action.
      hand: body that follows the mocap body.
      reach: metres that an action of 1 moves it.
      turn: quaternion that is added to its orientation, as the original does.
      locked: joints that are put back to zero after each action.
      fingers: joints whose actuators hold a target as their activation, in the order of the actuators (`latching`).
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        substeps: int,
        *,
        hand: str,
        reach: float,
        turn: Sequence[float],
        locked: Sequence[str] = (),
        fingers: Sequence[str] = (),
    ):
        super().__init__(model, substeps)
        size = 4 if fingers else 3
        self.action_low, self.action_high = -np.ones(size), np.ones(size)
        self._hand = model.body(hand).id
        self._reach, self._turn = reach, np.asarray(turn, np.float64)
        self.locked = [int(model.joint(name).qposadr[0]) for name in locked]
        self._fingers = [int(model.joint(name).qposadr[0]) for name in fingers]
        self._range = model.actuator_ctrlrange.T.copy()
        self._scratch: mujoco.MjData | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_scratch": None}

    def command(self, data: mujoco.MjData, action: Float[ndarray, "A"]) -> None:
        """Place the mocap body relative to the hand of `data`, which may be in any state."""
        mujoco.mj_kinematics(self.model, data)
        action = np.clip(action, self.action_low, self.action_high)
        data.mocap_pos[0] = data.xpos[self._hand] + self._reach * action[:3]
        data.mocap_quat[0] = data.xquat[self._hand] + self._turn
        if self._fingers:
            data.act[:] = self._targets(data.act, data.qpos[self._fingers], action[3:])

    def _simulate(
        self,
        models: list[mujoco.MjModel],
        states: Float[ndarray, "B S"],
        controls: Float[ndarray, "B T A"],
        out: Float[ndarray, "B T S"],
    ) -> None:
        """Fill `out` with one C call per action, since each starts from the hand's current position."""
        current, after = states.copy(), np.empty((len(states), self.substeps, self.state_size))
        for t in range(controls.shape[1]):
            leads = np.repeat(self._leads(current, controls[:, t])[:, None], self.substeps, axis=1)
            if self._fingers:
                command = np.clip(controls[:, t, 3:], -1.0, 1.0)
                targets, openings = current[:, -len(self._fingers) :], current[:, 1:][:, self._fingers]
                current[:, -len(self._fingers) :] = self._targets(targets, openings, command)
            self._rollout(models, current, leads, after, _MOCAP)
            current[:] = after[:, -1]
            current[:, [1 + place for place in self.locked]] = 0.0
            out[:, t] = current

    def _targets(
        self, targets: Float[ndarray, "... F"], openings: Float[ndarray, "... F"], command: Float[ndarray, "... 1"]
    ) -> Float[ndarray, "... F"]:
        return np.where(np.abs(command) > LATCH, np.clip(openings + command, *self._range), targets)

    def _leads(self, states: Float[ndarray, "B S"], actions: Float[ndarray, "B A"]) -> Float[ndarray, "B C"]:
        """Positions of all mocap bodies, then their quaternions, for each state and action."""
        if self._scratch is None:
            self._scratch = mujoco.MjData(self.model)
        data, leads = self._scratch, np.empty((len(states), 7 * self.model.nmocap))
        for lead, state, action in zip(leads, states, actions, strict=True):
            data.qpos[:] = state[1 : 1 + self.model.nq]
            self.command(data, action)
            lead[:] = np.concatenate([data.mocap_pos.ravel(), data.mocap_quat.ravel()])
        return leads


def latching(spec: mujoco.MjSpec) -> None:
    """Make the targets of all position actuators a part of the state, without another change of their forces."""
    for actuator in spec.actuators:
        actuator.dyntype = mujoco.mjtDyn.mjDYN_INTEGRATOR  # of the control, which is always zero
        actuator.actlimited = mujoco.mjtLimited.mjLIMITED_FALSE
