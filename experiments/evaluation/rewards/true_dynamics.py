"""The ceiling of a learning curve: the same episodes, planned on the true dynamics, without any learning.

`jepa-mpc train method=ceiling task=dmc/cartpole-swingup`. It looks a fixed number of decisions ahead, with no
value beyond them, by trying candidates in a second simulator: slow, so its episodes are few.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from omegaconf import DictConfig

from envs.reward_oracle import RewardOracle, present
from envs.reward_task import RewardTask
from planning import ActionSpec, AskTell, Evaluation, plan_on_host

from ... import build
from ...shell.overrides import override
from .rollout import RewardEpisodes


@final
class TrueDynamics:
    """A `Policy` for reward episodes that replans at every decision from each episode's true state.

    Args:
      make_task: makes one environment; plans are simulated in a separate one.
      planner: any that only evaluates the cost of candidates.
      spec: of the actions.
      seed: of the candidates.

    Raises:
      ValueError: the planner needs a differentiable model, or cannot plan for these actions.
    """

    name = "ceiling"

    def __init__(self, make_task: Callable[[], RewardTask], planner: Any, spec: ActionSpec, seed: int):
        if not isinstance(planner, AskTell):
            raise ValueError(
                f"{type(planner).__name__} needs a differentiable model and cannot plan in a simulator: take another "
                "planner for the true dynamics, as in planner=predictive_sampling"
            )
        planner.validate(spec)
        self._oracle, self._spec, self._key = RewardOracle(make_task), spec, jax.random.key(seed)
        self._planner: AskTell[Any] = planner
        self._searches: dict[int, Any] = {}
        self.milliseconds: list[float] = []  # of each plan

    def reset(self, episodes: RewardEpisodes) -> None:
        """Forget earlier plans, and take over the episodes, whose states it reads."""
        self._episodes, self._searches = episodes, {}

    def act(self, observations: Float[ndarray, "B O"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """The first action of each plan; the rest action where an episode is not active."""
        actions = np.tile(np.asarray(self._spec.rest_action), (len(active), 1))
        for index in np.flatnonzero(active):
            began = time.perf_counter()
            actions[index] = self._plan(int(index), self._episodes.tasks[index])
            self.milliseconds.append((time.perf_counter() - began) * 1e3)
        return actions

    def _plan(self, index: int, task: RewardTask) -> Float[ndarray, "A"]:
        objective = partial(self._objective, present(task))
        if index in self._searches:
            search = _warm_start(self._planner, self._searches[index], self._spec)
        else:
            search = self._planner.init(self._spec, jax.random.fold_in(self._key, index))
        plan, self._searches[index] = plan_on_host(self._planner, objective, search, self._spec)
        return np.asarray(plan.actions[0])

    def _objective(self, moment: Any, actions: Float[ndarray, "N T A"]) -> Evaluation:
        return Evaluation(cost=jnp.asarray(-self._oracle.returns(moment, actions), jnp.float32))


@jax.jit
def _warm_start(planner: Any, search: Any, spec: ActionSpec) -> Any:
    return planner.warm_start(search, spec, 1)


def settings(task: str, *overrides: str) -> DictConfig:
    """Settings of the ceiling, as `jepa-mpc train method=ceiling` has them."""
    return build.compose("train", "method=ceiling", "task=reward", override("task.name", task), *overrides)
