"""State of a goal environment as one vector, which can be read, written exactly and stepped.

Environments on MuJoCo give their physics; where a step does no more than hold the controls, batches are rolled out
in C. All others are stepped one by one: a state is then the numbers among the environment's attributes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from jaxtyping import Float
from numpy import ndarray

from ..rollout import BatchPhysics
from ..snapshot import restore_attributes, save_attributes
from . import goal_contract
from .observed_parts import Part, one_vector

_TRIALS, _FAST = 8, 10.0  # steps to test whether an environment's step is plain, and their velocities, rad/s or m/s
_FULL = int(mujoco.mjtState.mjSTATE_FULLPHYSICS)
_CONTROL = int(mujoco.mjtState.mjSTATE_CTRL)
_BESIDE = _CONTROL | int(
    mujoco.mjtState.mjSTATE_EQ_ACTIVE
    | mujoco.mjtState.mjSTATE_MOCAP_POS
    | mujoco.mjtState.mjSTATE_MOCAP_QUAT
    | mujoco.mjtState.mjSTATE_USERDATA
)


class Read(NamedTuple):
    """Observation and achieved goal of one state."""

    observation: ndarray  # [O]
    achieved: ndarray  # [G]


class Simulator(ABC):
    """Environment that can be set to any state. `kind` is its name in descriptions."""

    kind: str
    state_size: int

    @abstractmethod
    def get(self) -> Float[ndarray, "S"]:
        """Return the current state."""

    @abstractmethod
    def read(self, state: Float[ndarray, "S"]) -> Read:
        """Return the environment's observation in `state`."""

    @abstractmethod
    def step(self, state: Float[ndarray, "S"], action: ndarray) -> Float[ndarray, "S"]:
        """Return the state after one step of the environment from `state`."""

    def simulate(self, states: Float[ndarray, "B S"], actions: Float[ndarray, "B T A"]) -> Float[ndarray, "B T S"]:
        """Return the states after each action (within the bounds), one by one unless a subclass is faster."""
        out = np.empty((*actions.shape[:2], self.state_size))
        for state, controls, after in zip(states, actions, out, strict=True):
            for t, action in enumerate(controls):
                state = after[t] = self.step(state, action)
        return out


class MujocoSimulator(Simulator):
    """Simulator of an environment on MuJoCo. Solver warm start is off in its model, so that a state is complete.

    A state is the full physics state (time, positions, velocities, activations) and the controls; also mocap bodies,
    active equalities and user data where the step does more than hold the controls.
    """

    def __init__(self, name: str, env: gymnasium.Env):
        inner: Any = env.unwrapped
        self._env, self._inner = env, inner
        self._parts = goal_contract.observed(name, env)
        self._model, self._data = inner.model, inner.data
        self._layer: Any = next((each for each in (inner, *vars(inner).values()) if isinstance(each, MujocoEnv)), None)
        if not callable(getattr(inner, "_get_obs", None)):
            raise ValueError(
                f"{name} reads its observation only while it steps, and planning asks what any state looks like: give "
                "it a method _get_obs() that returns the dictionary"
            )
        env.reset(seed=0)
        self._model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_WARMSTART)
        self._physics_size = int(mujoco.mj_stateSize(self._model, _FULL))
        self._physics: BatchPhysics | None = None
        self._choose(_BESIDE)
        if self._plain():
            self._choose(_CONTROL)
            self.kind = "mujoco.rollout"

    def _choose(self, beside: int) -> None:
        self._beside = beside
        self.state_size = self._physics_size + int(mujoco.mj_stateSize(self._model, beside))
        self.kind = "mujoco, step by step"

    def get(self) -> Float[ndarray, "S"]:
        """See Simulator."""
        state = np.empty(self.state_size)
        mujoco.mj_getState(self._model, self._data, state[: self._physics_size], _FULL)
        mujoco.mj_getState(self._model, self._data, state[self._physics_size :], self._beside)
        return state

    def read(self, state: Float[ndarray, "S"]) -> Read:
        """See Simulator."""
        self._set(state)
        if self._layer is None or self._layer is self._inner:
            seen = self._inner._get_obs()
        else:  # gymnasium-robotics' mazes: a wrapper environment that returns the inner one's observation
            within = self._layer._get_obs()
            seen = self._inner._get_obs(within[0] if isinstance(within, tuple) else within)
        return _read(seen, self._parts)

    def step(self, state: Float[ndarray, "S"], action: ndarray) -> Float[ndarray, "S"]:
        """See Simulator."""
        self._set(state)
        self._env.step(_shaped(self._env, action))
        return self.get()

    def simulate(self, states: Float[ndarray, "B S"], actions: Float[ndarray, "B T A"]) -> Float[ndarray, "B T S"]:
        """See Simulator: in C threads where a step is plain."""
        if self._physics is None:
            return super().simulate(states, actions)
        physics = self._physics.simulate(states[:, : self._physics_size], actions)
        return np.concatenate([physics, actions], axis=-1)

    def _set(self, state: Float[ndarray, "S"]) -> None:
        mujoco.mj_setState(self._model, self._data, state[: self._physics_size], _FULL)
        mujoco.mj_setState(self._model, self._data, state[self._physics_size :], self._beside)
        mujoco.mj_forward(self._model, self._data)
        mujoco.mj_rnePostConstraint(self._model, self._data)  # contact forces, which Gymnasium's robots observe

    def _plain(self) -> bool:
        """Whether a step holds the controls for `frame_skip` physics steps, tested from slow and fast states."""
        if self._layer is None or self._env.action_space.shape != (self._model.nu,):
            return False
        self._physics = BatchPhysics(self._model, self._layer.frame_skip)
        rng, space, size = np.random.default_rng(0), self._env.action_space, self._physics_size
        state = self.get()
        first = 1 + self._model.nq
        for trial in range(_TRIALS):
            if trial % 2:
                state[first : first + self._model.nv] = _FAST * rng.standard_normal(self._model.nv)
            action = rng.uniform(space.low, space.high).astype(np.float32)  # type: ignore[attr-defined]
            after = self.step(state, action)
            expected = self._physics.simulate(state[None, :size], action[None, None].astype(np.float64))[0, 0]
            if not np.array_equal(after[:size], expected):
                self._physics = None
                return False
            state = after
        return True


class AttributeSimulator(Simulator):
    """Simulator of any other environment. A state holds its numeric attributes, then its observation.

    An environment with `get_state()` and `set_state(state)` defines its state itself.
    """

    kind = "python, step by step"

    def __init__(self, name: str, env: gymnasium.Env):
        self._name, self._env = name, env
        self._parts = goal_contract.observed(name, env)
        self._inner: Any = env.unwrapped
        self._own = all(callable(getattr(self._inner, method, None)) for method in ("get_state", "set_state"))
        observation, _ = env.reset(seed=0)
        self._last = _read(observation, self._parts)
        self._template = {} if self._own else self._numbers()
        self.state_size = len(self.get())

    def get(self) -> Float[ndarray, "S"]:
        """See Simulator."""
        numbers = [self._inner.get_state()] if self._own else list(self._checked(self._numbers()).values())
        flat = [np.asarray(each, np.float64).ravel() for each in (*numbers, *self._last)]
        return np.concatenate(flat)

    def began(self, observation: Mapping[str, Any]) -> None:
        """Store the observation that a reset returned."""
        self._last = _read(observation, self._parts)

    def read(self, state: Float[ndarray, "S"]) -> Read:
        """See Simulator: from the end of the state."""
        observed, achieved = len(self._last.observation), len(self._last.achieved)
        return Read(state[-observed - achieved : -achieved], state[-achieved:])

    def step(self, state: Float[ndarray, "S"], action: ndarray) -> Float[ndarray, "S"]:
        """See Simulator."""
        self._set(state)
        observation, *_ = self._env.step(_shaped(self._env, action))
        self._last = _read(observation, self._parts)
        return self.get()

    def _set(self, state: Float[ndarray, "S"]) -> None:
        numbers = state[: self.state_size - len(self._last.observation) - len(self._last.achieved)]
        if self._own:
            self._inner.set_state(numbers)
            return
        start, values = 0, {}
        for name, like in self._template.items():
            piece = numbers[start : start + np.size(like)]
            start += np.size(like)
            if isinstance(like, ndarray):
                values[name] = piece.reshape(like.shape).astype(like.dtype)
            else:
                values[name] = type(like)(piece[0])
        restore_attributes(self._inner, values)

    def _numbers(self) -> dict[str, Any]:
        attributes = save_attributes(self._inner)
        return {name: value for name, value in attributes.items() if isinstance(value, ndarray | int | float | bool)}

    def _checked(self, numbers: dict[str, Any]) -> dict[str, Any]:
        for name in sorted(set(numbers) ^ set(self._template)):
            raise ValueError(f"{self._name} {_UNSTABLE}: its attribute {name!r} comes and goes; {_FIX}")
        for name, like in self._template.items():
            if np.shape(numbers[name]) != np.shape(like):
                raise ValueError(f"{self._name} {_UNSTABLE}: its attribute {name!r} changes its shape; {_FIX}")
        return numbers


_UNSTABLE = "cannot be put back to an earlier state"
_FIX = "make its dynamics deterministic, or give it get_state() and set_state(state) over one vector"


def simulator(name: str, env: gymnasium.Env) -> Simulator:
    """Return the simulator of a goal environment.

    Raises:
      ValueError: the environment's state cannot be set, or is not known.
    """
    inner: Any = env.unwrapped
    on_mujoco = isinstance(getattr(inner, "model", None), mujoco.MjModel)
    made = MujocoSimulator(name, env) if on_mujoco else AttributeSimulator(name, env)
    space: Any = env.action_space
    actions = np.random.default_rng(0).uniform(space.low, space.high, (1, 4, *space.shape)).reshape(1, 4, -1)
    start = made.get()[None]
    if not np.array_equal(made.simulate(start, actions), made.simulate(start, actions)):
        raise ValueError(f"{name} {_UNSTABLE}: the same actions from one state lead to two; {_FIX}")
    return made


def _shaped(env: gymnasium.Env, action: ndarray) -> ndarray:
    return action.reshape(env.action_space.shape).astype(env.action_space.dtype)


def _read(seen: Mapping[str, Any], parts: list[Part]) -> Read:
    return Read(one_vector(parts, seen), np.array(seen["achieved_goal"], np.float64).ravel())
