"""Actor of online training: planner and policy over the current weights, for a batch of environments."""

from __future__ import annotations

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
          observations: newest ones.
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

    def _act_together(self, lanes: Lanes, *trees: Any) -> tuple[Array, AgentState]:
        acted: tuple[Array, AgentState] = lanes.over(partial(self._act, explore=True))(*trees)
        return acted

    def _act(
        self, weights: Weights, states: AgentState, observations: Array, begins: Array, key: PRNGKeyArray, explore: bool
    ) -> tuple[Array, AgentState]:
        agent = self.agents.agent(weights)

        def one(each: tuple[AgentState, Array, Array, Int[Array, ""]]) -> tuple[Array, AgentState]:
            state, observation, begin, number = each
            noise_key = jax.random.fold_in(key, number)
            if self._actor == "policy":
                return _policy_action(agent, observation, noise_key, explore), state
            nothing = jnp.zeros_like(observation)
            state = jax.lax.cond(
                begin, lambda state: agent.reset(state, nothing, state.key, 0), lambda state: state, state
            )
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


def _policy_action(agent: Agent, observation: Array, key: PRNGKeyArray, explore: bool) -> Array:
    model: Any = agent.model
    if not explore:
        latent = model.encode(model.params, observation[None])
        return model.heads.policy(model.params, latent, latent)[0]
    module = model.module()
    drawn, _ = module.act(module.represent(observation), key)
    return module.scale.raw(drawn)
