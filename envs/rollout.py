"""True dynamics as a batch rollout: many states and action sequences in parallel, in C threads.

Open-loop collection, the oracle and the ceiling all use it. Solver warm start is off in the model, so that a state
is complete: the same state and actions give the same next states, bit for bit, one by one, in a batch, in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float
from mujoco import rollout
from numpy import ndarray

from .cores import available_cores

_CHUNK_BYTES = 32 * 2**20  # of physics states and controls held at once, of which only every substeps-th is kept


class BatchPhysics:
    """Batched rollouts of one MuJoCo model; every control is held for `substeps` physics steps.

    A state is MuJoCo's full physics state: time, positions, velocities, activations. With `velocity_limit` all
    velocities are clipped to ± that value before every physics step, as gymnasium-robotics' PointMaze does; that takes
    one call per physics step, over the whole batch. Threads and their data are made at the first call, never copied.
    """

    def __init__(self, model: mujoco.MjModel, substeps: int, velocity_limit: float | None = None):
        if substeps < 1:
            raise ValueError(f"substeps must be a positive number of physics steps per action; got {substeps}")
        model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_WARMSTART)
        self.model = model
        self.substeps = substeps
        self.velocity_limit = velocity_limit
        self.state_size: int = mujoco.mj_stateSize(model, int(mujoco.mjtState.mjSTATE_FULLPHYSICS))
        self.action_low, self.action_high = model.actuator_ctrlrange.T.copy()
        self._runners: tuple[rollout.Rollout, rollout.Rollout, list[mujoco.MjData]] | None = None

    @property
    def threads(self) -> int:
        """Number of threads that share a batch: one per core of this process."""
        return available_cores()

    @property
    def action_size(self) -> int:
        """Size of an action."""
        return len(self.action_low)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_runners": None}

    def simulate(
        self,
        states: Float[ndarray, "B S"],
        controls: Float[ndarray, "B T A"],
        models: Sequence[mujoco.MjModel] | None = None,
    ) -> Float[ndarray, "B T S"]:
        """States after each control, `[B, T, S]` float64.

        `models` gives a separate model for each sequence: copies of this one that differ in numbers, not in sizes.

        Raises:
          ValueError: sizes that do not match the model, unequal numbers of states and control sequences, or values
            that are not finite (MuJoCo would silently treat them as zero).
        """
        batch, horizon = controls.shape[:2]
        if states.shape != (batch, self.state_size) or controls.shape[2] != self.action_size:
            raise ValueError(
                f"states {states.shape} and actions {controls.shape} do not fit this model: "
                f"expected [B, {self.state_size}] and [B, T, {self.action_size}] with the same B"
            )
        if not (np.isfinite(states).all() and np.isfinite(controls).all()):
            raise ValueError("states and actions must be finite: one of those to simulate is NaN or infinite")
        states = np.ascontiguousarray(states, np.float64)
        controls = np.ascontiguousarray(controls, np.float64)
        models = [self.model] * batch if models is None else list(models)
        out = np.empty((batch, horizon, self.state_size))
        if batch and horizon:
            self._simulate(models, states, controls, out)
        return out

    def command(self, data: mujoco.MjData, action: Float[ndarray, "A"]) -> None:
        """Set the inputs of `data` that correspond to an action in its current state."""
        data.ctrl[:] = action

    def _simulate(
        self,
        models: list[mujoco.MjModel],
        states: Float[ndarray, "B S"],
        controls: Float[ndarray, "B T A"],
        out: Float[ndarray, "B T S"],
    ) -> None:
        """Fill `out`; the arguments are already checked."""
        if self.velocity_limit is not None:
            self._simulate_limited(models, states, controls, self.velocity_limit, out)
            return
        batch, steps = len(states), controls.shape[1] * self.substeps
        chunk = max(self.threads, _CHUNK_BYTES // (8 * steps * (self.state_size + self.model.nu)))
        for i in range(0, batch, chunk):
            held = np.repeat(controls[i : i + chunk], self.substeps, axis=1)
            everything = np.empty((len(held), steps, self.state_size))
            self._rollout(models[i : i + chunk], states[i : i + chunk], held, everything)
            out[i : i + chunk] = everything[:, self.substeps - 1 :: self.substeps]

    def _simulate_limited(
        self,
        models: list[mujoco.MjModel],
        states: Float[ndarray, "B S"],
        controls: Float[ndarray, "B T A"],
        limit: float,
        out: Float[ndarray, "B T S"],
    ) -> None:
        current, after = states.copy(), np.empty((len(states), 1, self.state_size))
        velocities = current[:, 1 + self.model.nq : 1 + self.model.nq + self.model.nv]
        for t in range(controls.shape[1]):
            control = np.ascontiguousarray(controls[:, t : t + 1])
            for _ in range(self.substeps):
                np.clip(velocities, -limit, limit, out=velocities)
                self._rollout(models, current, control, after)
                current[:] = after[:, 0]
            out[:, t] = current

    def _rollout(
        self,
        models: list[mujoco.MjModel],
        states: Float[ndarray, "b S"],
        controls: Float[ndarray, "b t C"],
        out: Float[ndarray, "b t S"],
        inputs: int = int(mujoco.mjtState.mjSTATE_CTRL),
    ) -> None:
        """Fill `out` with one C call; `controls` holds the inputs that the bits of `inputs` select.

        A single sequence stays on this thread: the pool would only cost time.
        """
        if self._runners is None:
            data = [mujoco.MjData(self.model) for _ in range(self.threads)]
            self._runners = rollout.Rollout(nthread=0), rollout.Rollout(nthread=self.threads), data
        inline, pool, data = self._runners
        batch, steps = controls.shape[:2]
        # The checks are done above; skipping MuJoCo's own saves its singleton expansion on every call.
        runner, data = (inline, data[:1]) if batch == 1 else (pool, data)
        runner.rollout(models, data, states, controls, control_spec=inputs, skip_checks=True, nstep=steps, state=out)
