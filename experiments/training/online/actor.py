"""Actor of online training: planner and policy over the current weights, for a batch of environments."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray
from numpy import ndarray

from planning import Agent, AgentState
from worldmodel.models.freeze import Weights
from worldmodel.training.lanes import Lanes
from worldmodel.training.td import moments_of

from ...build.agents import RewardAgents
from ...evaluation.policy import Episodes


@final
class OnlineActor:
    """Actor for E environments; weights and the state of each environment are arguments.

    Args:
      agents: of the model, for any weights.
      actor: `planner` or `policy`.
    """

    def __init__(self, agents: RewardAgents, actor: str):
        self.agents, self._actor = agents, actor
        self._explore = jax.jit(partial(self._act, explore=True))
        self._exploit = jax.jit(partial(self._act, explore=False))
        self._explore_moments = jax.jit(self._act_on_moments)
        self._explore_together = jax.jit(self._act_together, static_argnums=0)

    def init(self, weights: Weights, environments: int, key: PRNGKeyArray) -> AgentState:
        """Initial states of E environments, before any observation."""
        keys = jax.vmap(lambda number: jax.random.fold_in(key, number))(jnp.arange(environments, dtype=jnp.int32))
        return jax.vmap(self.agents.agent(weights).init)(keys)

    def act(
        self,
        weights: Weights,
        states: AgentState,
        observations: Float[ndarray, "E O"],
        begins: Bool[ndarray, "E"],
        key: PRNGKeyArray,
        explore: bool,
    ) -> tuple[Float[ndarray, "E A"], AgentState]:
        """Next actions, in raw units within the bounds. An environment that `begins` forgets its last episode.

        Args:
          weights: of the model, now.
          states: of each environment.
          observations: newest ones, embedded.
          begins: whether they are an episode's first.
          key: consumed.
          explore: with the width of the plan (or of the policy) as noise; otherwise greedily.
        """
        function = self._explore if explore else self._exploit
        actions, states = function(weights, states, np.asarray(observations, np.float32), np.asarray(begins), key)
        return np.asarray(actions), states

    def explore_together(
        self,
        lanes: Lanes,
        weights: Weights,
        states: AgentState,
        observations: Float[ndarray, "*S E O"],
        begins: Bool[ndarray, "*S E"],
        keys: Key[Array, "*S"],
    ) -> tuple[Float[ndarray, "*S E A"], AgentState]:
        """`act` with exploration for all runs: every argument has one lane for each run."""
        observations = np.asarray(observations, np.float32)
        actions, states = self._explore_together(lanes, weights, states, observations, np.asarray(begins), keys)
        return np.asarray(actions), states

    def explore_moments(
        self,
        weights: Weights,
        states: AgentState,
        rows: Float[ndarray, "E P V"],
        pictures: dict[str, ndarray],
        begins: Bool[ndarray, "E"],
        key: PRNGKeyArray,
    ) -> tuple[Float[ndarray, "E A"], AgentState]:
        """`act` with exploration on moments that are not embedded yet.

        All P of them are embedded with the present weights: those that embedded the earlier ones have learned since.

        Args:
          weights: of the model, now.
          states: of each environment.
          rows: of the vectors at the last P moments.
          pictures: at these, by sensor.
          begins: whether the newest are an episode's first.
          key: consumed.
        """
        actions, states = self._explore_moments(weights, states, rows, pictures, np.asarray(begins), key)
        return np.asarray(actions), states

    def _act_on_moments(
        self, weights: Weights, states: AgentState, rows: Array, pictures: Any, begins: Array, key: PRNGKeyArray
    ) -> tuple[Array, AgentState]:
        model: Any = self.agents.agent(weights).model
        embeddings = model.embed(weights, moments_of(model.observation, rows, pictures))  # [E, P, E]
        past = jnp.concatenate([embeddings[:, :1], embeddings[:, :-1]], axis=1)  # before the newest is observed
        return self._act(weights, replace(states, history=past), embeddings[:, -1], begins, key, explore=True)

    def _act_together(self, lanes: Lanes, *trees: Any) -> tuple[Array, AgentState]:
        acted: tuple[Array, AgentState] = lanes.over(partial(self._act, explore=True))(*trees)
        return acted

    def _act(
        self, weights: Weights, states: AgentState, observations: Array, begins: Array, key: PRNGKeyArray, explore: bool
    ) -> tuple[Array, AgentState]:
        agent = self.agents.agent(weights)

        def one(each: tuple[AgentState, Array, Array, Int[Array, ""]]) -> tuple[Array, AgentState]:
            state, observation, begin, number = each
            noise_key, nothing = jax.random.fold_in(key, number), jnp.zeros_like(observation)
            state = jax.lax.cond(
                begin, lambda state: agent.reset(state, nothing, state.key, 0), lambda state: state, state
            )
            if self._actor == "policy":
                state = agent.observe(state, observation)
                return _policy_action(agent, state.root, noise_key, explore), state
            action, _, state = agent.step(state, observation)
            if explore:
                planner: Any = agent.planner
                action = action + planner.width(state.search, agent.spec)[0] * jax.random.normal(
                    noise_key, action.shape
                )
            return jnp.clip(action, agent.spec.low, agent.spec.high), state

        numbers = jnp.arange(len(begins), dtype=jnp.int32)
        return jax.lax.map(one, (states, observations, begins, numbers))


@final
class CalmActor:
    """Evaluation policy of the actor: fixed weights, no exploration, one episode in each environment."""

    name = "actor"

    def __init__(self, actor: OnlineActor, weights: Weights, key: PRNGKeyArray):
        self._actor, self._weights, self._key = actor, weights, key

    def reset(self, episodes: Episodes) -> None:
        """Begin new episodes."""
        self._states, self._first = self._actor.init(self._weights, len(episodes.numbers), self._key), True

    def act(self, observations: Float[ndarray, "E O"], active: Bool[ndarray, "E"]) -> Float[ndarray, "E A"]:
        """Next actions of all environments, including those that have ended."""
        begins = np.full(len(observations), self._first)
        actions, self._states = self._actor.act(
            self._weights, self._states, observations, begins, self._key, explore=False
        )
        self._first = False
        return actions


def _policy_action(agent: Agent, latent: Array, key: PRNGKeyArray, explore: bool) -> Array:
    model: Any = agent.model
    if not explore:
        return model.heads.policy(model.params, latent, latent)[0]
    module = model.module()
    drawn, _ = module.act(latent, key)
    return module.scale.raw(drawn)
