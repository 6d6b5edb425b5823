"""What acts while it learns: planner and policy over the present weights, for several environments at once."""

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
    """Acts in E environments with whatever weights it is given; the situation of each is in an explicit state.

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
        """States of E environments of which nothing was seen."""
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
        """The next actions, in raw units within the bounds. An environment that `begins` forgets its last episode.

        Args:
          weights: of the model, now.
          states: of each environment.
          observations: newest ones.
          begins: whether they are an episode's first.
          key: consumed.
          explore: with the width of the plan (or of the policy) as noise; else the best that is known.
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
        """`act`, exploring, of all runs: everything has a lane for each."""
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
    """The actor as an evaluation asks for it: with these weights, without exploration, in one episode of each place."""

    name = "actor"

    def __init__(self, actor: OnlineActor, weights: Weights, key: PRNGKeyArray):
        self._actor, self._weights, self._key = actor, weights, key

    def reset(self, episodes: Episodes) -> None:
        """Begin new episodes."""
        self._states, self._first = self._actor.init(self._weights, len(episodes.numbers), self._key), True

    def act(self, observations: Float[ndarray, "E O"], active: Bool[ndarray, "E"]) -> Float[ndarray, "E A"]:
        """The next actions of all environments, those that do not run any more included."""
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
