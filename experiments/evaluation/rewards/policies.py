"""What acts for rewards, without exploration, and the episodes that it is measured on.

A policy acts in several episodes that advance side by side, as `RewardBatch` steps them; every policy begins the same
episodes, which no training saw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from envs.reward_batch import RewardBatch
from envs.reward_task import RewardTask
from envs.streams import episode_rng
from planning import Agent, reset_many, step_many

from .returns import LONGEST


class RewardPolicy(Protocol):
    """Acts in every environment of a batch."""

    def act(self, batch: RewardBatch, running: Bool[ndarray, "E"]) -> Float[ndarray, "E A"]:
        """The next actions, in raw units; those of environments that do not run any more do not count."""
        ...


def episode_returns(
    make_task: Callable[[], RewardTask],
    policy: RewardPolicy,
    episodes: int,
    seed: int,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Float[ndarray, "{episodes}"]:
    """Undiscounted returns of held-out episodes, which depend on `seed` alone; `told(decisions, most)`.

    An episode that an environment spoils by a fault is begun anew, with a line in the log.

    Raises:
      ValueError: no episode, or one without end.
    """
    if episodes < 1:
        raise ValueError(f"an evaluation needs one episode or more; got {episodes}")
    batch = RewardBatch(make_task, episodes, seed, stream="evaluate")
    limit = batch.task.episode_steps
    most = LONGEST if limit is None else -(-limit // batch.task.action_repeat)
    returns, decisions = np.full(episodes, np.nan), 0
    try:
        while (running := np.isnan(returns)).any():
            if decisions == LONGEST:
                raise ValueError(
                    f"an episode of {batch.task.name} went on for {LONGEST:,} decisions: limit it, for example with "
                    "gymnasium.wrappers.TimeLimit"
                )
            steps = batch.step(policy.act(batch, running))
            returns = np.where(running, steps.returns, returns)
            decisions += 1
            told(min(decisions, most), most)
        told(most, most)
    finally:
        batch.close()
    return returns


_reset_many = jax.jit(reset_many)
_step_many = jax.jit(step_many)


class PlannerPolicy:
    """A model for rewards with its planner."""

    def __init__(self, agent: Agent, seed: int):
        self._agent, self._key = agent, jax.random.key(seed)
        self._states: Any = None

    def act(self, batch: RewardBatch, running: Bool[ndarray, "E"]) -> Float[ndarray, "E A"]:
        """The first actions of the plans; environments that do not run any more are not planned for."""
        seen = jnp.asarray(batch.observations, jnp.float32)
        if self._states is None:
            numbers = jnp.arange(batch.count, dtype=jnp.int32)
            self._states = _reset_many(self._agent, jnp.zeros_like(seen), self._key, numbers)
        actions, _, self._states = _step_many(self._agent, self._states, seen, jnp.asarray(running))
        return np.asarray(actions)


@jax.jit
def _mean_actions(agent: Agent, observations: Any) -> Any:
    model: Any = agent.model
    latents = model.encode(model.params, observations[:, None])
    return jnp.clip(
        model.heads.policy(model.params, latents, latents)[:, 0], agent.spec.low[None], agent.spec.high[None]
    )


class PriorPolicy:
    """The policy of a model for rewards, alone: its mean action."""

    def __init__(self, agent: Agent):
        self._agent = agent

    def act(self, batch: RewardBatch, running: Bool[ndarray, "E"]) -> Float[ndarray, "E A"]:
        """What it does on seeing the observations."""
        return np.asarray(_mean_actions(self._agent, jnp.asarray(batch.observations, jnp.float32)))


class RandomRewardPolicy:
    """Uniform over the bounds, each decision anew; every episode has random numbers of its own."""

    def __init__(self, seed: int):
        self._seed = seed
        self._rngs: list[np.random.Generator] = []

    def act(self, batch: RewardBatch, running: Bool[ndarray, "E"]) -> Float[ndarray, "E A"]:
        """A fresh draw for every environment."""
        task = batch.task
        self._rngs = self._rngs or [episode_rng(self._seed, "random_policy", e) for e in range(batch.count)]
        return np.stack([rng.uniform(task.low, task.high) for rng in self._rngs]).astype(np.float32)
