"""Checked reset and step of an environment, according to Gymnasium's interface."""

from __future__ import annotations

from typing import Any, NoReturn

import gymnasium
from numpy import ndarray

from ..reward_task import WrongInterface

_FIX = "have it follow gymnasium.Env, or wrap it (the package shimmy has GymV21CompatibilityV0 for old Gym)"


def reset(env: gymnasium.Env, name: str, seed: int | None) -> Any:
    """Return the first observation of an episode.

    Raises:
      WrongInterface: the environment takes no seed, or does not return an observation and a dictionary.
    """
    try:
        answer: Any = env.reset(seed=seed)
    except (TypeError, ValueError) as error:
        if isinstance(error, TypeError) and "unexpected keyword argument 'seed'" in str(error):
            raise WrongInterface(f"the reset of {name} takes no seed, as in old Gym: {_FIX}") from error
        if not _is_unpacking(error):
            raise
        _refuse_reset(name, "something else", error)
    if not isinstance(answer, tuple):
        _refuse_reset(name, f"one value ({type(answer).__name__})")
    if len(answer) != 2 or not isinstance(answer[1], dict):
        _refuse_reset(name, f"{len(answer)} values of which the second is no dictionary")
    return answer[0]


def step(env: gymnasium.Env, name: str, action: ndarray) -> tuple[Any, float, bool, bool]:
    """Return the next observation, the reward, and whether the episode terminated and was truncated.

    Raises:
      WrongInterface: the environment returns anything but an observation, a number, two truth values and a dictionary.
    """
    expected = "Gymnasium's gives 5, an observation, a reward, terminated, truncated and a dictionary"
    try:
        answer: Any = env.step(action)
    except ValueError as error:
        if not _is_unpacking(error):
            raise
        given = "4 values, as in old Gym" if "got 4" in str(error) else "another number of values"
        raise WrongInterface(f"the step of {name} gives {given}, and {expected}: {_FIX}") from error
    if not isinstance(answer, tuple) or len(answer) != 5:
        count = f"{len(answer)} values" if isinstance(answer, tuple) else f"one value ({type(answer).__name__})"
        old = ", as in old Gym" if isinstance(answer, tuple) and len(answer) == 4 else ""
        raise WrongInterface(f"the step of {name} gives {count}{old}, and {expected}: {_FIX}")
    observation, reward, terminated, truncated, _ = answer
    try:
        return observation, float(reward), bool(terminated), bool(truncated)
    except (TypeError, ValueError) as error:
        raise WrongInterface(
            f"the step of {name} gives {reward!r:.60} as the reward and {terminated!r:.20}, {truncated!r:.20} as its "
            "end, where a number and two truth values are expected: of a vector of environments, give a single one"
        ) from error


def _is_unpacking(error: Exception) -> bool:
    """Whether a wrapper received another number of values than it unpacks."""
    return "values to unpack" in str(error)


def _refuse_reset(name: str, given: str, cause: Exception | None = None) -> NoReturn:
    raise WrongInterface(
        f"the reset of {name} gives {given}, and Gymnasium's gives an observation and a dictionary; old Gym's gives "
        f"the observation alone: {_FIX}"
    ) from cause
