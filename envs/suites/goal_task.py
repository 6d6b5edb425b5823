"""Gymnasium goal environments as tasks: `goal/FetchPush-v4`, or your own environment.

A goal environment observes a dictionary of `observation`, `achieved_goal` and `desired_goal`, and judges with
`compute_reward(achieved_goal, desired_goal, info)`, as those of gymnasium-robotics do.
"""

from __future__ import annotations

import contextlib
import io
import logging
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from ..sensors import Mask, Observation, Sensor, observation_space, plain
from ..task import Task
from . import goal_contract
from .goal_simulators import AttributeSimulator, simulator
from .goal_workers import Workers
from .gymnasium_ids import registered
from .gymnasium_suite import checked_actions
from .observed_parts import split

logger = logging.getLogger(__name__)


_ACHIEVED = "achieved_goal"  # the last sensor, where there are several
_STARTS = 8  # resets that show which numbers of an observation are those of the achieved goal
_TRIES = 1000  # resets until one whose goal is not reached yet


class GoalTask(Task[Any]):
    """Goal environment as a task, with one sensor `state`: its observation `[O]`, then its achieved goal `[G]`.

    Where `observation` is a dictionary or a tuple, or the environment observes more beside it, each entry is a sensor
    of its name and the last one is `achieved_goal` (`observed_parts`).

    Starts and goals are those of the environment's own reset. A goal is reached where the environment's
    `is_success(achieved, desired)` (or `_is_success`, as in gymnasium-robotics) returns true; without one, where its
    `compute_reward(achieved, desired, {})` is what it is at the goal itself. Its terminations are ignored.

    A goal observation specifies the achieved goal, and the numbers of the observation that are always equal to one of
    its own (`goal_mask`); the rest is that of a start, and only a placeholder. The privileged cost is the distance
    between achieved and desired goal.

    On MuJoCo a state is the physics, and where a step does no more than hold the controls, batches run in
    `mujoco.rollout`. Otherwise large batches are stepped in one process for each processor, where the environment is
    registered under an entry point with a name, and in this process where it is not. Without MuJoCo, a state is the
    numbers among the environment's attributes, or what its `get_state()` says. The environment belongs to the task from
    here on, which puts it into many states.

    Args:
      env: a `gymnasium.Env`.
      budget: environment steps in which a goal has to be reached; default: the environment's time limit, or 100.
      control_period: seconds between two actions, for an environment whose period is unknown.
      name: of the environment; default: its id.

    Raises:
      ValueError: not a goal environment, actions that are not a bounded Box, a reward that does not show when a goal is
        reached, or an environment that cannot be put back to an earlier state.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        *,
        budget: int | None = None,
        control_period: float | None = None,
        name: str | None = None,
    ):
        inner: Any = env.unwrapped
        self.env = env
        known = name or (env.spec.id if env.spec is not None else None)
        self.name = f"goal/{known or type(inner).__name__}"
        actions = checked_actions(self.name, env.action_space)
        self._parts = goal_contract.observed(self.name, env)
        spaces_of: Any = env.observation_space
        self.observed_size = sum(part.size for part in self._parts)
        self.goal_size = spaces.utils.flatdim(spaces_of[_ACHIEVED])
        low, high = (np.ravel(bound).astype(np.float32) for bound in (actions.low, actions.high))
        self.action_space = spaces.Box(low, high, dtype=np.float32)
        if len(self._parts) == 1 and isinstance(self._parts[0].space, spaces.Box):
            self.sensors = (Sensor("state", (self.observed_size + self.goal_size,)),)
        else:
            self.sensors = (*(part.sensor() for part in self._parts), Sensor(_ACHIEVED, (self.goal_size,)))
        self.observation_space = observation_space(self.sensors, dict.fromkeys(self._names, (-np.inf, np.inf)))
        self.time_limit = goal_contract.time_limit(env)  # the environment's own, None without one
        self.budget = budget or self.time_limit or goal_contract.BUDGET
        self.control_period = goal_contract.period(inner) if control_period is None else control_period
        self.render_mode = env.render_mode
        if known is not None:
            kwargs = {"name": known}
            self.spec = EnvSpec(f"jepa_mpc/{type(inner).__name__}-v0", f"{__name__}:make", kwargs=kwargs)
        self.metadata = {**env.metadata, "render_fps": max(1, round(1 / self.control_period))}
        self._simulator = simulator(self.name, env)
        self._workers = Workers(self._simulator, self.name, env)
        self.state_size = self._simulator.state_size
        self.state, self.goal = self._start(0)
        self._placeholder = self._simulator.read(self.state).observation
        self._shown = self._shown_in_observation()
        self._judge = goal_contract.judge(self.name, inner, self.goal)

    @property
    def goal_mask(self) -> Mask:
        """See Task: the achieved goal, at the end, and where the observation repeats it."""
        row = np.concatenate([self._shown >= 0, np.ones(self.goal_size, bool)])
        if plain(self.sensors):
            return row
        return {**split(row[: self.observed_size], self._parts), _ACHIEVED: row[self.observed_size :]}

    def sample_state(self, rng: np.random.Generator) -> Float[ndarray, "S"]:
        """Return a start of the environment's own reset."""
        return self._start(int(rng.integers(2**31)))[0]

    def sample_goal(self, rng: np.random.Generator) -> Float[ndarray, "G"]:
        """Return a goal of the environment's own reset."""
        return self._start(int(rng.integers(2**31)))[1]

    def sample_pair(self, rng: np.random.Generator) -> tuple[Float[ndarray, "S"], Float[ndarray, "G"]]:
        """Start and goal of one reset, with a goal that is not reached yet."""
        for _ in range(_TRIES):
            state, goal = self._start(int(rng.integers(2**31)))
            if not self.success(state, goal):
                return state, goal
        raise ValueError(
            f"in {_TRIES} resets of {self.name} the goal was reached at the start each time: draw goals that are "
            "farther away, or make its tolerance smaller"
        )

    def observe(self, states: Float[ndarray, "... S"]) -> Observation:
        """Observation and achieved goal, float32."""
        return self._sensed_by(self._read(states))

    def goal_observation(self, goal: Float[ndarray, "... G"]) -> Observation:
        """Return a start's observation, which the goal mask excludes, and the goal as the achieved one, float32."""
        beside = np.where(self._shown >= 0, goal[..., self._shown], self._placeholder)
        return self._sensed_by(np.concatenate([beside, goal], axis=-1))

    def achieved_goal(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... G"]:
        """Achieved goal, from the environment."""
        return self._read(states)[..., self.observed_size :]

    def success(
        self, state: Float[ndarray, "... S"], goal: Float[ndarray, "... G"], share: float = 1.0
    ) -> Bool[ndarray, "..."]:
        """Whether the environment says that the goal is reached; its tolerance is its own, so `share` has no effect."""
        return np.asarray(self._judge(*np.broadcast_arrays(self.achieved_goal(state), goal)))

    def cost(self, states: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Float[ndarray, "..."]:
        """Distance between the achieved goal and the desired one, in their own units."""
        return np.asarray(np.linalg.norm(self.achieved_goal(states) - goal, axis=-1))

    def simulate(self, states: Float[ndarray, "B S"], actions: Float[ndarray, "B T A"]) -> Float[ndarray, "B T S"]:
        """See Task."""
        size = self.state_size
        if states.shape != (len(actions), size) or actions.shape[2:] != self.action_space.shape:
            raise ValueError(
                f"states {states.shape} and actions {actions.shape} do not fit {self.name}: expected [B, {size}] and "
                f"[B, T, {self.action_space.shape[0]}] with the same B"
            )
        if not (np.isfinite(states).all() and np.isfinite(actions).all()):
            raise ValueError("states and actions must be finite: one of those to simulate is NaN or infinite")
        # Through float32, in which actions are stored and executed.
        held = np.clip(actions, self.action_space.low, self.action_space.high).astype(np.float32)
        return self._workers.simulate(states.astype(np.float64), held.astype(np.float64))

    def render(self) -> Any:
        """Render the current state and goal, if the environment was created with a render mode."""
        if self.render_mode is None:
            return None
        inner: Any = self.env.unwrapped
        self._simulator.read(self.state)
        if hasattr(inner, "goal"):
            inner.goal = self.goal.copy()
        if callable(getattr(inner, "update_target_site_pos", None)):
            inner.update_target_site_pos()
        return self.env.render()

    def close(self) -> None:
        """Close the environment, and end its worker processes."""
        self._workers.close()
        self.env.close()

    def describe(self) -> dict[str, Any]:
        """See Task."""
        return {
            **super().describe(),
            "simulator": self._simulator.kind,
            "mujoco": mujoco.__version__,
            "gymnasium": gymnasium.__version__,
        }

    def _start(self, seed: int) -> tuple[Float[ndarray, "S"], Float[ndarray, "G"]]:
        observation, _ = self.env.reset(seed=seed)
        if isinstance(self._simulator, AttributeSimulator):
            self._simulator.began(observation)
        return self._simulator.get(), np.array(observation["desired_goal"], np.float64).ravel()

    def _shown_in_observation(self) -> Int[ndarray, "_"]:
        """Return which number of the achieved goal each number of the observation always equals; -1 for none."""
        rng = np.random.default_rng(0)
        starts = np.stack([self._start(seed)[0] for seed in range(_STARTS)])
        low, high = self.action_space.low, self.action_space.high
        actions = rng.uniform(low, high, (_STARTS, 2, len(low)))
        seen = self._read(np.concatenate([starts, self._simulator.simulate(starts, actions)[:, -1]]))
        observed, achieved = seen[:, : self.observed_size, None], seen[:, None, self.observed_size :]
        same = (observed == achieved).all(axis=0) & (np.ptp(achieved, axis=0) > 0)
        return np.where(same.any(axis=1), same.argmax(axis=1), -1)

    @property
    def _names(self) -> list[str]:
        return [sensor.name for sensor in self.sensors]

    def _sensed_by(self, rows: Float[ndarray, "... O"]) -> Observation:
        """Return the sensors' readings, from observations and achieved goals as vectors."""
        rows = rows.astype(np.float32)
        if plain(self.sensors):
            return rows
        return {**split(rows[..., : self.observed_size], self._parts), _ACHIEVED: rows[..., self.observed_size :]}

    def _read(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... O"]:
        rows = states.reshape(-1, states.shape[-1])
        out = np.empty((len(rows), self.observed_size + self.goal_size))
        for row, state in zip(out, rows, strict=True):
            row[:] = np.concatenate(self._simulator.read(state))
        return out.reshape(*states.shape[:-1], out.shape[-1])


def make(name: str, render_mode: str | None = None) -> GoalTask:
    """Return the goal environment registered as `name`, including those of gymnasium-robotics.

    `MODULE:ID` is one of a module, and so of a file in the current folder: see `gymnasium_ids`.

    Raises:
      ValueError: an id that is not registered, or an environment that is not a goal environment; see `GoalTask`.
      ImportError: the environment's package is not installed.
    """
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # it prints notices about its other environments
            import gymnasium_robotics

        gymnasium.register_envs(gymnasium_robotics)
    except ModuleNotFoundError:
        pass  # other packages' environments are registered without it
    settings = {} if render_mode is None else {"render_mode": render_mode}
    env = registered("goal", name, **settings)
    try:
        return GoalTask(env, name=name)
    except ValueError:
        env.close()
        raise
