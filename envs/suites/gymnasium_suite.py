"""Gymnasium environments with Box spaces as reward tasks: `gym/HalfCheetah-v5`, or your own environment."""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Mapping
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium import wrappers
from jaxtyping import Float
from numpy import ndarray

from ..reward_task import RewardTask, WrongInterface
from ..snapshot import (
    Snapshot,
    model_arrays,
    part,
    prefixed,
    restore_attributes,
    restore_physics,
    restore_random,
    save_attributes,
    save_physics,
    save_random,
)
from . import gymnasium_calls

# Environments and wrappers whose whole state is in plain attributes, one random stream and MuJoCo's data.
_KNOWN = ("gymnasium.envs.mujoco.", "gymnasium.envs.classic_control.")
_KNOWN_WRAPPERS = (
    wrappers.TimeLimit,
    wrappers.OrderEnforcing,
    wrappers.PassiveEnvChecker,
    wrappers.FlattenObservation,
    wrappers.ClipAction,
    wrappers.RescaleAction,
)


class GymnasiumTask(RewardTask):
    """Gymnasium environment. Episodes of Gymnasium's MuJoCo and classic-control environments resume exactly."""

    def __init__(self, env: gymnasium.Env, action_repeat: int):
        super().__init__(action_repeat)
        count = getattr(env.unwrapped, "num_envs", 1)
        if isinstance(count, int) and count > 1:
            raise WrongInterface(
                f"{type(env.unwrapped).__name__} is a vector of {count} environments: give a single one"
            )
        self.env = env
        self.name = f"gym/{env.spec.id if env.spec is not None else type(env.unwrapped).__name__}"
        actions = checked_actions(self.name, env.action_space)
        self.low, self.high = (np.ravel(bound).astype(np.float32) for bound in (actions.low, actions.high))
        self.action_size = self.low.size
        self._action_space = actions
        self.observation_size = _checked_observations(self.name, env.observation_space).shape[0]
        self._layers = _layers(env)
        self._inner: Any = env.unwrapped
        limits = [layer._max_episode_steps for layer in self._layers if isinstance(layer, wrappers.TimeLimit)]
        self.episode_steps = min(limits, default=None)
        period: Any = getattr(self._inner, "dt", None)
        given = isinstance(period, int | float | np.floating) and not isinstance(period, bool)
        seconds = float(period) if given else math.nan
        self.control_period = action_repeat * seconds if 0 < seconds < math.inf else math.nan
        model = getattr(self._inner, "model", None)
        self._mujoco = isinstance(model, mujoco.MjModel)
        self._original = model_arrays(model) if self._mujoco and self._can_snapshot() else {}
        self._observation: Any = np.zeros(self.observation_size, np.float32)

    def snapshot(self) -> Snapshot | None:
        """Return attributes of every layer, random stream and physics; None where the environment is not supported."""
        if not self._can_snapshot():
            return None
        return {
            "versions": _versions(),
            "layers": "/".join(type(layer).__name__ for layer in self._layers),
            "random": save_random(self._inner.np_random),
            "observation": np.array(self._observation),
            **{
                name: value
                for index, layer in enumerate(self._layers)
                for name, value in prefixed(f"layer{index}", save_attributes(layer)).items()
            },
            **(save_physics(self._inner.model, self._inner.data, self._original) if self._mujoco else {}),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Resume from `snapshot`, bit for bit. Raises ValueError where it is from other versions or wrappers."""
        if not self._can_snapshot():
            super().restore(snapshot)
        present = {"versions": _versions(), "layers": "/".join(type(layer).__name__ for layer in self._layers)}
        for what, here in present.items():
            if snapshot[what] != here:
                raise ValueError(f"the snapshot of {self.name} was made with {snapshot[what]}, but this is {here}")
        for index, layer in enumerate(self._layers):
            restore_attributes(layer, part(f"layer{index}", snapshot))
        restore_random(self._inner.np_random, snapshot["random"])
        if self._mujoco:
            restore_physics(self._inner.model, self._inner.data, self._original, snapshot, mujoco.mj_forward)
        self._observation, self._running = snapshot["observation"], True

    def close(self) -> None:
        """Close the environment."""
        super().close()
        self.env.close()

    def _begin(self, seed: int | None) -> None:
        self._observation = gymnasium_calls.reset(self.env, self.name, seed)

    def _advance(self, control: Float[ndarray, "A"]) -> tuple[float, bool, bool]:
        action = control.reshape(self._action_space.shape).astype(self._action_space.dtype)
        self._observation, reward, terminated, truncated = gymnasium_calls.step(self.env, self.name, action)
        return reward, terminated, truncated

    def _observe(self) -> Float[ndarray, "O"]:
        with np.errstate(over="ignore"):  # values beyond float32 become infinite, which is refused
            observation = np.array(self._observation, np.float32)
        if observation.shape != (self.observation_size,):
            raise ValueError(
                f"an observation of {self.name} has shape {observation.shape}, but its observation_space says "
                f"({self.observation_size},): they have to agree"
            )
        return observation

    def _simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData] | None:
        return (self._inner.model, self._inner.data) if self._mujoco else None

    def _view(self) -> Mapping[str, Any]:
        given = getattr(getattr(self._inner, "mujoco_renderer", None), "default_cam_config", None) or {}
        return {key: given[key] for key in ("distance", "lookat", "azimuth", "elevation") if key in given}

    def _can_snapshot(self) -> bool:
        *outer, inner = self._layers
        return type(inner).__module__.startswith(_KNOWN) and all(type(layer) in _KNOWN_WRAPPERS for layer in outer)


def make(name: str, action_repeat: int) -> GymnasiumTask:
    """Return the environment registered as `name`, as a reward task.

    Raises:
      ValueError: an id that is not registered, or spaces that do not fit.
      ImportError: the environment's package is not installed.
    """
    env = registered("gym", name)
    try:
        return GymnasiumTask(env, action_repeat)
    except ValueError:
        env.close()
        raise


def registered(suite: str, name: str, **settings: Any) -> gymnasium.Env:
    """Return the environment registered as `name`, without Gymnasium's passive checker (see `check_reward_task`).

    Args:
      suite: prefix of the name in error messages.
      name: the id.
      settings: of `gymnasium.make`.

    Raises:
      ValueError: an id that is not registered.
      ImportError: the environment's package is not installed.
    """
    try:
        with warnings.catch_warnings(record=True) as raised:  # deprecated versions, which the error also mentions
            warnings.simplefilter("always")
            env = gymnasium.make(name, disable_env_checker=True, **settings)
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        if newest := _newest(name):
            raise ValueError(f"{suite}/{name} is no longer part of Gymnasium: take {suite}/{newest}") from error
        raise ImportError(f"{suite}/{name} needs a package that is not installed: {error}") from error
    except gymnasium.error.Error as error:
        close = [f"{suite}/{match}" for match in [_newest(name)] if match]
        close = close or [f"{suite}/{match}" for match in difflib.get_close_matches(name, gymnasium.registry, n=3)]
        hint = f"did you mean {' or '.join(close)}?" if close else "import the package that registers it first"
        raise ValueError(f"Gymnasium has no environment {name!r} here: {hint}") from error
    for each in raised:
        warnings.warn(each.message, each.category, stacklevel=2)
    return env


def _newest(name: str) -> str | None:
    """Return the newest version of the environment, if it is not this one."""
    base, dash, _ = name.rpartition("-v")
    known = [
        spec
        for spec in gymnasium.registry.values()
        if dash and f"{spec.namespace or ''}/{spec.name}".strip("/") == base
    ]
    newest = max(known, key=lambda spec: spec.version or 0, default=None)
    return None if newest is None or newest.id == name else newest.id


def checked_actions(name: str, space: gymnasium.Space[Any]) -> gymnasium.spaces.Box:
    """Return `space` as a bounded Box. Raises ValueError where the actions of `name` are anything else."""
    if not isinstance(space, gymnasium.spaces.Box) or not np.issubdtype(space.dtype, np.floating):
        raise ValueError(
            f"the actions of {name} are {space}, but planning needs a Box of real numbers: take the environment's "
            "continuous version, or wrap it so that its action_space is one"
        )
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all() and (space.low < space.high).all()):
        raise ValueError(
            f"the actions of {name} lie between {space.low.ravel().tolist()} and {space.high.ravel().tolist()}, but "
            "planning needs finite bounds with room between them: give it some with gymnasium.wrappers.TransformAction"
            "(env, lambda action: action, gymnasium.spaces.Box(-1.0, 1.0, env.action_space.shape))"
        )
    return space


def _checked_observations(name: str, space: gymnasium.Space[Any]) -> gymnasium.spaces.Box:
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
        raise ValueError(
            f"the observations of {name} are {space}, but learning needs a Box of one dimension: wrap the environment "
            "in gymnasium.wrappers.FlattenObservation"
        )
    return space


def _layers(env: gymnasium.Env) -> list[Any]:
    """Return the wrappers from the outside in, then the environment inside them."""
    layers: list[Any] = [env]
    while isinstance(layers[-1], gymnasium.Wrapper):
        layers.append(layers[-1].env)
    return layers


def _versions() -> str:
    return f"mujoco {mujoco.__version__}, gymnasium {gymnasium.__version__}"
