"""What is right and wrong with a Gymnasium environment itself, whatever is learned in it."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env

from envs.suites.gymnasium_ids import registered

from .finding import Finding, judged

STEPS = 200  # random ones
# Advice of Gymnasium's checker that does not matter here: bounds of observations, scales, render modes.
_IGNORED = ("spec", "render", "symmetric and normalized", "infinity", "Box observation space", "unwrapped")


def made(suite: str, name: str) -> gymnasium.Env:
    """Return the environment of `goal/<id>` or `gym/<id>`, as Gymnasium makes it."""
    return registered(suite, name)


def interface(env: gymnasium.Env) -> Iterator[Finding]:
    """Gymnasium's own check of the environment."""
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        try:
            check_env(env.unwrapped, skip_render_check=True, skip_close_check=True)
        except Exception as error:  # assertions, and what the environment itself raises
            found = " ".join(str(error).split()) or type(error).__name__
            yield Finding("interface", "fault", found[:300], "do as gymnasium.Env's documentation says")
            return
    messages = [" ".join(str(each.message).replace("\x1b[33m", "").replace("\x1b[0m", "").split()) for each in raised]
    warned = list(dict.fromkeys(each for each in messages if not any(known in each for known in _IGNORED)))
    yield judged(
        "interface",
        not warned,
        "Gymnasium's check_env passes" + (f", and says: {warned[0][:200]}" if warned else ""),
        "see what it says",
    )


def time_of(env: gymnasium.Env, period: float | None, steps: int | None) -> Iterator[Finding]:
    """Control period and time limit."""
    inner: Any = env.unwrapped
    given = hasattr(inner, "dt") or bool(inner.metadata.get("render_fps"))
    known = period is not None and math.isfinite(period)
    yield judged(
        "control period",
        known and given,
        f"{1e3 * period:g} ms" + ("" if given else ", which nothing in the environment says")
        if period and known
        else "unknown",
        'set metadata = {"render_fps": ...} to actions a second, or dt to the seconds between two',
        value=period if known else None,
    )
    yield judged(
        "time limit",
        steps is not None,
        f"{steps} steps" if steps else "none: 100 steps count",
        "give gymnasium.register max_episode_steps=...",
        value=steps,
    )


def episodes(env: gymnasium.Env, goals: bool) -> Iterator[Finding]:
    """What resets and random steps of the environment give: seeds, values, ends, speed.

    Args:
      env: the environment.
      goals: whether it is one with goals, whose terminations are ignored.
    """
    starts = [_flat(env.observation_space, env.reset(seed=seed)[0]) for seed in (3, 3, 4)]
    yield judged(
        "seed",
        np.array_equal(starts[0], starts[1]),
        "two resets with one seed begin alike" if np.array_equal(starts[0], starts[1]) else "one seed, two starts",
        "call super().reset(seed=seed), and draw from self.np_random alone",
        bad="fault",
    )
    yield judged(
        "starts",
        not np.array_equal(starts[0], starts[2]),
        "starts or goals differ between seeds"
        if not np.array_equal(starts[0], starts[2])
        else "every seed begins alike",
        "draw starts and goals from self.np_random: a model learns only what its data show",
    )
    paths = [_path(env, seed=5) for _ in range(2)]
    same = len(paths[0].rows) == len(paths[1].rows) and np.array_equal(paths[0].rows, paths[1].rows)
    yield judged(
        "dynamics",
        same,
        "the same actions lead to the same readings" if same else "the same actions lead to other readings",
        "noise belongs to self.np_random, and everything that a step changes has to be set by reset",
        bad="fault" if goals else "warning",
    )
    rows = paths[0].rows
    finite = np.isfinite(rows).all()
    yield judged(
        "finite",
        bool(finite),
        f"all readings of {len(rows)} moments are finite" if finite else "a reading is NaN or infinite",
        "find where the dynamics diverge: smaller time steps, or a limit on speeds",
        bad="fault",
    )
    if goals and paths[0].ended:
        yield Finding(
            "ends",
            "warning",
            f"{paths[0].ended} episodes of {STEPS} random steps terminate, which is ignored: steps go on beyond",
            "make sure that the environment can be stepped beyond its end, or never terminate it",
            float(paths[0].ended),
        )
    yield Finding("step", "pass", f"{paths[0].rate:,.0f} steps a second, one by one", "", paths[0].rate)


class _Path:
    """Readings of random steps, how many episodes terminated, and steps a second."""

    def __init__(self, rows: np.ndarray, ended: int, rate: float):
        self.rows, self.ended, self.rate = rows, ended, rate


def _path(env: gymnasium.Env, seed: int) -> _Path:
    env.action_space.seed(seed)
    observation, _ = env.reset(seed=seed)
    rows, ended, began = [_flat(env.observation_space, observation)], 0, time.perf_counter()
    for _ in range(STEPS):
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        rows.append(_flat(env.observation_space, observation))
        ended += bool(terminated)
        if terminated or truncated:
            observation, _ = env.reset()
    return _Path(np.stack(rows), ended, STEPS / max(time.perf_counter() - began, 1e-9))


def _flat(space: Any, observation: Any) -> np.ndarray:
    """Return all values of an observation, pictures thinned."""
    if isinstance(observation, dict):
        return np.concatenate([_flat(None, observation[key]) for key in sorted(observation)])
    if isinstance(observation, tuple):
        return np.concatenate([_flat(None, each) for each in observation])
    return np.asarray(observation, np.float64).ravel()
