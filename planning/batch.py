"""One agent in many environments at the same time, each of which gets the plan that it would get alone.

On a CPU the environments are planned in small groups. A matrix product over the candidates of one alone is too small to
keep two cores busy; over those of all it exceeds the cache. There the groups give the same bits as single plans.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from .agent import Agent, AgentState
from .arrays import Array, Bool, Float, Int, PRNGKeyArray
from .types import Plan

GROUP = 4  # environments side by side on a CPU: of 1, 2, 4, 8 and 16 the fastest on two cores


def step_many(
    agent: Agent, states: AgentState, embeddings: Float[Array, "B E"], active: Bool[Array, "B"]
) -> tuple[Float[Array, "B A"], Plan, AgentState]:
    """Run `Agent.step` for a batch of environments.

    Args:
      agent: the same for all environments.
      states: one for each environment, stacked.
      embeddings: of the present moment in each.
      active: where it is false, nothing is planned, and the state stays.
    """

    def in_groups(states: AgentState, embeddings: Array, active: Array) -> tuple[Array, Plan, AgentState]:
        count = len(active)
        size = min(GROUP, count)
        order = jnp.argsort(~(active & jax.vmap(agent.due)(states)))  # those that plan come first, in full groups
        place = jnp.argsort(order)
        padded = jnp.concatenate([order, jnp.zeros(-count % size, order.dtype)])
        real = (jnp.arange(len(padded)) < count).reshape(-1, size)
        groups = padded.reshape(-1, size)

        def step_group(group: tuple[Array, Array]) -> tuple[Array, Plan, AgentState]:
            members, real = group
            chosen = jax.tree.map(lambda leaf: leaf[members], states)
            return _side_by_side(agent, chosen, embeddings[members], active[members] & real)

        grouped = jax.lax.map(step_group, (groups, real))
        return jax.tree.map(lambda leaf: leaf.reshape(len(padded), *leaf.shape[2:])[place], grouped)

    def all_together(states: AgentState, embeddings: Array, active: Array) -> tuple[Array, Plan, AgentState]:
        return _side_by_side(agent, states, embeddings, active)

    return jax.lax.platform_dependent(states, embeddings, active, cpu=in_groups, default=all_together)


def reset_many(
    agent: Agent,
    goal_embeddings: Float[Array, "B E"],
    key: PRNGKeyArray,
    environments: Int[Array, "B"],
    mask: Bool[Array, "E"] | None = None,
) -> AgentState:
    """Run `Agent.reset` for a batch of environments.

    Args:
      agent: the same for all environments.
      goal_embeddings: one for each environment.
      key: of the episodes.
      environments: number of each environment.
      mask: what of the goals is asked for; None: all of it.
    """
    state = agent.init(key)

    def reset(goal: Array, environment: Array) -> AgentState:
        return agent.reset(state, goal, key, environment, mask)

    def one_by_one(*batch: Any) -> AgentState:
        return jax.lax.map(lambda each: reset(*each), batch)

    return jax.lax.platform_dependent(goal_embeddings, environments, cpu=one_by_one, default=jax.vmap(reset))


def redirect_many(
    agent: Agent,
    states: AgentState,
    goal_embeddings: Float[Array, "B E"],
    which: Bool[Array, "B"],
    mask: Bool[Array, "E"] | None = None,
) -> AgentState:
    """Set another goal in some environments: what was observed and done is kept, and the next step searches anew.

    Args:
      agent: the same for all environments.
      states: one for each environment, stacked.
      goal_embeddings: one for each environment.
      which: environments that get their goal; the others stay as they are.
      mask: what of the goals is asked for; None: all of it.
    """

    def redirect(state: AgentState, goal: Array) -> AgentState:
        begun = agent.reset(state, goal, state.key, state.observed, mask)
        kept = ("history", "root", "previous", "observed", "committed", "frozen")
        return replace(begun, **{name: getattr(state, name) for name in kept})

    def one_by_one(*batch: Any) -> AgentState:
        return jax.lax.map(lambda each: redirect(*each), batch)

    found = jax.lax.platform_dependent(states, goal_embeddings, cpu=one_by_one, default=jax.vmap(redirect))
    return _where(which, found, states)


def _side_by_side(
    agent: Agent, states: AgentState, embeddings: Float[Array, "B E"], active: Bool[Array, "B"]
) -> tuple[Float[Array, "B A"], Plan, AgentState]:
    """Run `Agent.step` in lockstep: all plan where one has to, and the states that were not due are restored."""
    seen = jax.vmap(agent.observe)(states, embeddings)
    due = active & jax.vmap(agent.due)(seen)
    planned = jax.lax.cond(jnp.any(due), jax.vmap(agent.plan_anew), lambda states: states, seen)
    actions, following = jax.vmap(agent.commit)(_where(due, planned, seen))
    following = _where(active, following, states)
    actions = jnp.where(active[:, None], actions, agent.spec.rest_action[None])
    return actions, following.plan, following


def _where(which: Bool[Array, "B"], new: AgentState, old: AgentState) -> AgentState:
    def choose(new: Array, old: Array) -> Array:
        return jnp.where(which.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, new, old)
