"""Gymnasium environments with Box spaces as reward tasks: `gym/HalfCheetah-v5`, or your own environment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium import wrappers
from jaxtyping import Float
from numpy import ndarray

from ..reward_task import RewardTask, WrongInterface
from ..sensors import Sensor
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
from .gymnasium_ids import registered
from .observed_parts import one_vector, parts, split

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
    """Gymnasium environment, observed by one vector `state`; the entries of a dictionary are sensors to choose, too.

    Episodes of Gymnasium's MuJoCo and classic-control environments resume exactly.
    """

    def __init__(self, env: gymnasium.Env, action_repeat: int, name: str | None = None):
        super().__init__(action_repeat)
        count = getattr(env.unwrapped, "num_envs", 1)
        if isinstance(count, int) and count > 1:
            raise WrongInterface(
                f"{type(env.unwrapped).__name__} is a vector of {count} environments: give a single one"
            )
        self.env = env
        known = name or (env.spec.id if env.spec is not None else None)
        self.name = f"gym/{known or type(env.unwrapped).__name__}"
        actions = checked_actions(self.name, env.action_space)
        self.low, self.high = (np.ravel(bound).astype(np.float32) for bound in (actions.low, actions.high))
        self.action_size = self.low.size
        self._action_space = actions
        self._parts = parts(self.name, env.observation_space)
        self.observation_size = sum(part.size for part in self._parts)
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
        self._observation: ndarray = np.zeros(self.observation_size)  # all parts, one after the other

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
        self._observation = self._joined(gymnasium_calls.reset(self.env, self.name, seed))

    def _advance(self, control: Float[ndarray, "A"]) -> tuple[float, bool, bool]:
        action = control.reshape(self._action_space.shape).astype(self._action_space.dtype)
        observation, reward, terminated, truncated = gymnasium_calls.step(self.env, self.name, action)
        self._observation = self._joined(observation)
        return reward, terminated, truncated

    def _observe(self) -> Float[ndarray, "O"]:
        with np.errstate(over="ignore"):  # values beyond float32 become infinite, which is refused
            return self._observation.astype(np.float32)

    def _joined(self, observation: Any) -> Float[ndarray, "O"]:
        for entry in self._parts:
            values = entry.read(observation)
            if values.size != entry.size:
                what = f"the entry {entry.name} of an observation" if entry.path else "an observation"
                raise ValueError(
                    f"{what} of {self.name} has shape {values.shape}, but its observation_space says ({entry.size},): "
                    "they have to agree"
                )
        return one_vector(self._parts, observation)

    def _vectors(self) -> dict[str, Sensor]:
        entries = [part.sensor() for part in self._parts if part.path]
        return {**super()._vectors(), **{sensor.name: sensor for sensor in entries}}

    def _vector(self, name: str) -> Float[ndarray, "_"]:
        entries = split(self._observe(), self._parts)
        return entries[name] if name in entries else super()._vector(name)

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
        return GymnasiumTask(env, action_repeat, name)
    except ValueError:
        env.close()
        raise


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


def _layers(env: gymnasium.Env) -> list[Any]:
    """Return the wrappers from the outside in, then the environment inside them."""
    layers: list[Any] = [env]
    while isinstance(layers[-1], gymnasium.Wrapper):
        layers.append(layers[-1].env)
    return layers


def _versions() -> str:
    return f"mujoco {mujoco.__version__}, gymnasium {gymnasium.__version__}"
