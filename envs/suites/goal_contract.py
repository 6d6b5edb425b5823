"""Interface of a Gymnasium goal environment: its spaces, its time, and when a goal is reached."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces, wrappers
from jaxtyping import Float
from numpy import ndarray

from .observed_parts import Part, parts

GOALS = ("achieved_goal", "desired_goal")
KEYS = ("observation", *GOALS)
Judgement: TypeAlias = Callable[[ndarray, ndarray], Any]  # of achieved and desired goals [..., G]
BUDGET = 100  # steps, for an environment without a time limit
_NEAR = 1e-6  # offset from a goal that distinguishes a sparse reward from a dense one


def observed(name: str, env: gymnasium.Env) -> list[Part]:
    """What a goal environment observes besides achieved and desired goal, as vectors.

    Raises:
      ValueError: not a goal environment, or an entry that is no vector.
    """
    if not callable(getattr(env.unwrapped, "compute_reward", None)):
        raise ValueError(
            f"{name} has no compute_reward(achieved_goal, desired_goal, info), so it cannot say whether a goal is "
            "reached: add the method, or learn from its reward as task=gym/<id>"
        )
    space = env.observation_space
    goals = [space[key] for key in GOALS] if isinstance(space, spaces.Dict) and set(KEYS) <= set(space) else []
    if not goals or not all(isinstance(each, spaces.Box) for each in goals) or goals[0].shape != goals[1].shape:
        raise ValueError(
            f"the observations of {name} are {space}, but those of a goal environment are a Dict with "
            f"{', '.join(KEYS)}, of which the goals are Boxes of one shape: wrap the environment so that its "
            "observation_space is one"
        )
    seen = spaces.Dict([(key, entry) for key, entry in space.items() if key not in GOALS])  # type: ignore[attr-defined]
    found = parts(name, seen)
    if taken := [part.name for part in found if part.name in ("achieved_goal", "desired_goal")]:
        raise ValueError(f"the observations of {name} have another {taken[0]!r} inside of 'observation': rename it")
    return found


def time_limit(env: gymnasium.Env) -> int | None:
    """Environment steps in an episode, by the environment's own limit; None without one."""
    layer: Any = env
    while isinstance(layer, gymnasium.Wrapper):
        if isinstance(layer, wrappers.TimeLimit):
            return int(layer._max_episode_steps)
        layer = layer.env
    return None


def period(inner: Any) -> float:
    """Seconds between two actions: `dt` of the environment or of the one within, else its frames a second, else 1."""
    for each in (inner, *vars(inner).values()):
        seconds = getattr(each, "dt", None) if isinstance(each, gymnasium.Env) else None
        if isinstance(seconds, int | float | np.floating) and 0 < seconds < math.inf:
            return float(seconds)
    frames = inner.metadata.get("render_fps")
    return 1.0 / frames if frames else 1.0


def judge(name: str, inner: Any, goal: Float[ndarray, "G"]) -> Judgement:
    """Return the environment's judgement whether achieved goals `[..., G]` are the desired ones."""
    for method in ("is_success", "_is_success"):
        if callable(reached := getattr(inner, method, None)):
            truth = _batched(reached, goal)
            return lambda achieved, desired: truth(achieved, desired) > 0

    reward = _batched(lambda achieved, desired: inner.compute_reward(achieved, desired, {}), goal)
    there, near = (float(reward(goal + away, goal)) for away in (0.0, _NEAR * (1 + np.abs(goal))))
    if near != there:
        raise ValueError(
            f"the reward of {name} is dense, so it does not say when a goal is reached: take its sparse version, or "
            "give it is_success(achieved_goal, desired_goal)"
        )
    return lambda achieved, desired: reward(achieved, desired) >= reward(desired, desired)


def _batched(function: Judgement, goal: Float[ndarray, "G"]) -> Judgement:
    """`function` over goals `[..., G]`: called once where it takes batches, as a trial shows, else pair by pair."""

    def pair_by_pair(achieved: ndarray, desired: ndarray) -> ndarray:
        pairs = zip(achieved.reshape(-1, len(goal)), desired.reshape(-1, len(goal)), strict=True)
        return np.array([float(np.asarray(function(*pair))) for pair in pairs]).reshape(achieved.shape[:-1])

    tried = goal + np.geomspace(1e-3, 10, len(goal) + 3)[:, None]  # a number of rows different from a goal's size
    try:
        together = np.asarray(function(tried, np.broadcast_to(goal, tried.shape)), np.float64)
    except Exception:  # a function for one pair may raise anything on a batch
        return pair_by_pair
    one_by_one = pair_by_pair(tried, np.broadcast_to(goal, tried.shape))
    if together.shape != one_by_one.shape or not np.allclose(together, one_by_one):
        return pair_by_pair
    return lambda achieved, desired: np.asarray(function(achieved, desired), np.float64)
