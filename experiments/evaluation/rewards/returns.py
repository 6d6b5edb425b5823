"""The return of a policy: the same evaluation for a world model, a baseline, and a user's own policy.

A policy is any object with `predict(observation, deterministic=True) -> (action, state)`, as models of
Stable-Baselines3 have it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, final

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from jaxtyping import Bool, Float
from numpy import ndarray

from worldmodel.data.logs import out_of_bounds

from ...records import curves
from ...records.curves import CurveRow
from ..episodes import LONGEST, endless, execute
from ..policy import Episodes

logger = logging.getLogger(__name__)

EnvFactory = Callable[[], "gymnasium.Env[Any, Any]"]
EVALUATION = 0x6A657061  # keeps the episodes of an evaluation apart from those of training with the same seed


class Predictor(Protocol):
    """Policy to evaluate, with the interface of Stable-Baselines3."""

    def predict(self, observation: Any, *, deterministic: bool = True) -> tuple[Any, Any]:
        """Return the action in the environment's bounds, and a state that is not used."""
        ...


def evaluate_returns(make_env: EnvFactory, policy: Predictor, episodes: int, seed: int) -> Float[ndarray, "E"]:
    """Undiscounted returns of episodes from starts that depend on `seed` alone: the same for every policy.

    A new environment is made; `make_env` applies any action repeat itself. Actions are clipped to
    their bounds. An environment that ignores the seed, and a policy that leaves the bounds, are logged as warnings.

    Raises:
      ValueError: no episode, spaces that are not boxes, a policy whose action does not fit or is not finite, an
        environment whose reward is not finite, or an episode without end.
    """
    if episodes < 1:
        raise ValueError(f"an evaluation needs one episode or more; got {episodes}")
    env = make_env()
    try:
        check_spaces(env)
        seeds = np.random.SeedSequence((EVALUATION, seed)).generate_state(episodes)
        _check_seed(env, int(seeds[0]))
        found = [execute(_Predicting(policy), _Episode(env, int(each))) for each in seeds]
        if clipped := sum(each.clipped for each in found):
            logger.warning(
                "%d actions of the policy lay outside of the environment's bounds and were clipped: see whether it "
                "gives actions between -1 and 1 in place of the environment's own units",
                clipped,
            )
        if any(each.active[0] for each in found):
            raise endless("an episode")
        return np.array([each.total for each in found], np.float64)
    finally:
        env.close()


def add_policy(
    table: Path,
    method: str,
    task: str,
    make_env: EnvFactory,
    policy: Predictor,
    manifest: Mapping[str, Any],
    *,
    episodes: int = 10,
    seed: int = 0,
    env_steps: int = 0,
    gradient_steps: int | None = None,
    wall_s: float | None = None,
    action_repeat: int = 1,
) -> CurveRow:
    """Evaluate an existing policy, and add its row to a table of learning curves.

    Args:
      table: for example experiments/results/dmc_curves.csv.
      method: the policy's name in the table.
      task: name as in other rows: dmc/<domain>-<task> or gym/<id>.
      make_env: a Gymnasium environment with Box spaces, which repeats actions itself.
      policy: the policy.
      manifest: of this evaluation (`experiments.records.manifest.manifest`).
      episodes: of the evaluation.
      seed: of the policy's training, and of the evaluation's starts.
      env_steps: control steps that the policy was trained for.
      gradient_steps: of its training; None if unknown.
      wall_s: of its training; None if unknown.
      action_repeat: control steps of one decision of `make_env`.

    Raises:
      ValueError: as `evaluate_returns`, or an invalid row.
    """
    row = CurveRow(
        method=method,
        task=task,
        seed=seed,
        env_steps=env_steps,
        gradient_steps=gradient_steps,
        wall_s=wall_s,
        mean_return=float(evaluate_returns(make_env, policy, episodes, seed).mean()),
        action_repeat=action_repeat,
        command=manifest["command"],
    )
    curves.append(table, row, manifest)
    return row


def check_spaces(env: gymnasium.Env[Any, Any]) -> None:
    """Raise ValueError unless observations and actions are boxes."""
    for name, space in (("observation", env.observation_space), ("action", env.action_space)):
        if not isinstance(space, Box):
            raise ValueError(
                f"the {name} space must be a Box; got {type(space).__name__}: wrap the environment, for example with "
                "gymnasium.wrappers.FlattenObservation"
                if name == "observation"
                else f"the {name} space must be a Box, which is continuous; got {type(space).__name__}: choose a task "
                "with continuous actions"
            )


def _check_seed(env: gymnasium.Env[Any, Any], seed: int) -> None:
    """Warn where two resets with one seed begin at different observations."""
    first, second = (np.array(env.reset(seed=seed)[0]) for _ in range(2))
    if not np.array_equal(first, second, equal_nan=True):
        logger.warning(
            "the environment ignores the seed of reset, so policies are not measured from the same starts: call "
            "super().reset(seed=seed) there, and draw from self.np_random"
        )


@final
class _Predicting:
    """A predictor as a policy of one episode."""

    name = "predictor"

    def __init__(self, policy: Predictor):
        self._policy = policy

    def reset(self, episodes: Any) -> None:
        """Nothing to prepare."""

    def act(self, observations: Float[ndarray, "1 ..."], active: Bool[ndarray, "1"]) -> Any:
        """Action for the observation."""
        return [self._policy.predict(observations[0], deterministic=True)[0]]


@final
class _Episode(Episodes):
    """One episode of a Gymnasium environment.

    Attributes:
      total: the undiscounted return so far.
      clipped: how many actions lay outside of the bounds by more than rounding.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], seed: int):
        self._env, self._observation = env, env.reset(seed=seed)[0]
        self.limit, self.active, self.total, self.clipped, self._steps = LONGEST, np.ones(1, bool), 0.0, 0, 0

    def observe(self) -> Any:
        """Newest observation, as returned by the environment."""
        return [self._observation]

    def step(self, actions: Any) -> None:
        """Check the action, clip it to the bounds, and execute it."""
        action, space = np.asarray(actions[0]), self._env.action_space
        assert isinstance(space, Box)
        if action.shape != space.shape:
            raise ValueError(f"the policy's action has shape {action.shape}; the environment takes {space.shape}")
        if not np.isfinite(action).all():
            raise ValueError(f"the policy's action is not finite at step {self._steps}: {action.tolist()}")
        self.clipped += bool(out_of_bounds(action, space.low, space.high).any())
        action = np.clip(action, space.low, space.high).astype(space.dtype)
        self._observation, reward, terminated, truncated, _ = self._env.step(action)
        self.total += float(reward)
        if not np.isfinite(self.total):
            raise ValueError(f"the environment's reward is not finite at step {self._steps}: {reward}")
        self._steps += 1
        self.active[0] = not (terminated or truncated)
