"""The protocol of all policies in an evaluation, and the policies for both goals and rewards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from envs.streams import episode_rng
from planning import Agent, redirect_many, reset_many, step_many
from planning.agent import AgentState


class Start:
    """What a policy knows of a batch of B new episodes."""

    numbers: Sequence[int]  # one per episode: determines its random numbers
    low: Float[ndarray, "A"]  # bounds of the actions, in raw units
    high: Float[ndarray, "A"]
    goals: Float[ndarray, "B E"]  # as rows of readings; zeros where there are none
    goal_mask: Bool[ndarray, "E"] | None = None  # which readings of a goal count; None: all of them


class Episodes(Start, ABC):
    """Batch of B episodes that advance together, and their results."""

    limit: int  # maximum steps of an episode
    active: Bool[ndarray, "B"]  # episodes that still run

    @abstractmethod
    def observe(self) -> Float[ndarray, "B E"]:
        """Read the sensors of every episode; called once a step."""

    @abstractmethod
    def step(self, actions: Float[ndarray, "B A"]) -> None:
        """Execute one action in each active episode."""


E_contra = TypeVar("E_contra", bound=Episodes, contravariant=True)


class Policy(Protocol[E_contra]):
    """Acts on observations, in a batch of episodes.

    A privileged policy for comparison, which reads the simulator's state, requires one kind of episodes: `GoalEpisodes`
    or `RewardEpisodes`.
    """

    @property
    def name(self) -> str:
        """Name in tables and records."""

    def reset(self, episodes: E_contra) -> None:
        """Prepare for new episodes; nothing of earlier ones is kept."""

    def act(self, observations: Float[ndarray, "B E"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """The next actions, in raw units; those of episodes that are not `active` are not executed."""


@final
class RandomPolicy:
    """Uniform over the action bounds, drawn at each step; every episode has its own random stream."""

    name = "random"

    def __init__(self, seed: int):
        self._seed = seed
        self._rngs: list[np.random.Generator] = []

    def reset(self, episodes: Episodes) -> None:
        """Seed one generator per episode."""
        self._low, self._high = episodes.low, episodes.high
        self._rngs = [episode_rng(self._seed, "random_policy", number) for number in episodes.numbers]

    def act(self, observations: Float[ndarray, "B E"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """Draw a new action for every episode."""
        return np.stack([rng.uniform(self._low, self._high) for rng in self._rngs]).astype(np.float32)


@final
class NoopPolicy:
    """Zero action, or the bound nearest to it: the result of doing nothing."""

    name = "noop"

    def reset(self, episodes: Episodes) -> None:
        """Clip zero to the bounds."""
        self._action = np.clip(np.zeros_like(episodes.low), episodes.low, episodes.high)

    def act(self, observations: Float[ndarray, "B E"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """Return the constant action for every episode, as a read-only view."""
        return np.broadcast_to(self._action, (len(observations), len(self._action)))


# Compiled once per process and shape: the agent is a pytree, so a model of the same shape is just another argument.
_reset_many = jax.jit(reset_many)
_step_many = jax.jit(step_many)
_redirect_many = jax.jit(redirect_many)
_imagined_many = jax.jit(lambda agent, states: jax.lax.map(agent.imagined, states))


@final
class ModelPolicy:
    """World model with its planner, for goals or for rewards; it uses observations only.

    Args:
      agent: model and planner.
      seed: of the plans.
    """

    name = "model"

    def __init__(self, agent: Agent, seed: int):
        self._agent, self._key = agent, jax.random.key(seed)
        self._states: AgentState | None = None
        self._mask: jax.Array | None = None

    def reset(self, episodes: Start) -> None:
        """Begin new episodes, each with its goal."""
        self._mask = None if episodes.goal_mask is None else jnp.asarray(episodes.goal_mask)
        numbers = jnp.asarray(np.asarray(episodes.numbers, np.int32))
        self._states = _reset_many(self._agent, jnp.asarray(episodes.goals), self._key, numbers, self._mask)

    def redirect(self, goals: Float[ndarray, "B E"], which: Bool[ndarray, "B"]) -> None:
        """Set other goals in some of the episodes, which go on from where they are."""
        changed = jnp.asarray(goals), jnp.asarray(which)
        self._states = _redirect_many(self._agent, self._states, *changed, self._mask)

    def act(self, observations: Float[ndarray, "B E"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """The first actions of the plans; inactive episodes are skipped."""
        seen = jnp.asarray(observations, jnp.float32)
        actions, _, self._states = _step_many(self._agent, self._states, seen, jnp.asarray(active))
        return np.asarray(actions)

    def imagined(self) -> Float[ndarray, "B H+1 Q"] | None:
        """Positions along the current plans, decoded by the probe, the present first; None without a probe."""
        model: Any = self._agent.model
        decode = model.heads.probe
        if decode is None or self._states is None:
            return None
        latents = _imagined_many(self._agent, self._states)
        path = jnp.concatenate([self._states.root[:, None], latents], axis=1)
        return np.asarray(decode(model.params, path))
