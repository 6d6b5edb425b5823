"""Dynamics of a robot whose hand follows a mocap body, as in gymnasium-robotics' Fetch.

At each action the original puts the mocap body where the hand is, moves it by the action, and leaves it there; a soft
weld pulls the hand after it. Where the hand is follows from the joints, so a physics state is complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .rollout import BatchPhysics

_MOCAP = int(mujoco.mjtState.mjSTATE_MOCAP_POS | mujoco.mjtState.mjSTATE_MOCAP_QUAT)


class MocapPhysics(BatchPhysics):
    """Batched rollouts in which an action `[x, y, z]` in [-1, 1] moves the first mocap body, and a body follows it.

    Args:
      model: with a mocap body.
      substeps: physics steps of an action.
      hand: body that follows the mocap body.
      reach: metres that an action of 1 moves it.
      turn: quaternion that is added to its orientation, as the original does.
      locked: joints that are put back to zero after each action.
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
    ):
        super().__init__(model, substeps)
        self.action_low, self.action_high = -np.ones(3), np.ones(3)
        self._hand = model.body(hand).id
        self._reach, self._turn = reach, np.asarray(turn, np.float64)
        self._locked = [1 + int(model.joint(name).qposadr[0]) for name in locked]
        self._scratch: mujoco.MjData | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_scratch": None}

    def command(self, data: mujoco.MjData, action: Float[ndarray, "A"]) -> None:
        """Place the mocap body relative to the hand of `data`, which may be in any state."""
        mujoco.mj_kinematics(self.model, data)
        data.mocap_pos[0] = data.xpos[self._hand] + self._reach * np.clip(action, self.action_low, self.action_high)
        data.mocap_quat[0] = data.xquat[self._hand] + self._turn

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
            self._rollout(models, current, leads, after, _MOCAP)
            current[:] = after[:, -1]
            current[:, self._locked] = 0.0
            out[:, t] = current

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
