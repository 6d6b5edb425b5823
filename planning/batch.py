"""One agent in many environments at the same time, each of which gets the plan that it would get alone.

On a CPU the environments are planned in small groups. A matrix product over the candidates of one alone is too small to
keep two cores busy; over those of all it exceeds the cache. There the groups give the same bits as single plans.
"""

from __future__ import annotations

from collections.abc import Callable
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
            few = jax.tree.map(lambda leaf: leaf[members], states)
            return _side_by_side(agent, few, embeddings[members], active[members] & real)

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
    mask: Bool[Array, "... E"] | None = None,
) -> AgentState:
    """Run `Agent.reset` for a batch of environments.

    Args:
      agent: the same for all environments.
      goal_embeddings: one for each environment.
      key: of the episodes.
      environments: number of each environment.
      mask: what of the goals is asked for, the same for all or one for each environment; None: all of it.
    """
    state = agent.init(key)

    def reset(goal: Array, environment: Array, mask: Array | None = None) -> AgentState:
        return agent.reset(state, goal, key, environment, mask)

    return _mapped(reset, goal_embeddings, environments, *_each_mask(mask, goal_embeddings))


def redirect_many(
    agent: Agent,
    states: AgentState,
    goal_embeddings: Float[Array, "B E"],
    which: Bool[Array, "B"],
    mask: Bool[Array, "... E"] | None = None,
) -> AgentState:
    """Set another goal in some environments: what was observed and done is kept, and the next step searches anew.

    Args:
      agent: the same for all environments.
      states: one for each environment, stacked.
      goal_embeddings: one for each environment.
      which: environments that get their goal; the others stay as they are.
      mask: what of the goals is asked for, the same for all or one for each environment; None: all of it.
    """

    def redirect(state: AgentState, goal: Array, mask: Array | None = None) -> AgentState:
        begun = agent.reset(state, goal, state.key, state.observed, mask)
        kept = ("history", "root", "previous", "observed", "committed", "frozen")
        return replace(begun, **{name: getattr(state, name) for name in kept})

    return chosen(which, _mapped(redirect, states, goal_embeddings, *_each_mask(mask, goal_embeddings)), states)


def chosen(which: Bool[Array, "B"], new: AgentState, old: AgentState) -> AgentState:
    """Return the new states of some environments, and the old ones of the others."""

    def choose(new: Array, old: Array) -> Array:
        return jnp.where(which.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, new, old)


def _mapped(function: Callable[..., AgentState], *batch: Any) -> AgentState:
    """Apply a function of one environment to all: on a CPU one after the other, which gives its bits."""

    def one_by_one(*batch: Any) -> AgentState:
        return jax.lax.map(lambda each: function(*each), batch)

    return jax.lax.platform_dependent(*batch, cpu=one_by_one, default=jax.vmap(function))


def _each_mask(mask: Array | None, goals: Array) -> tuple[Array, ...]:
    return () if mask is None else (jnp.broadcast_to(mask, goals.shape),)


def _side_by_side(
    agent: Agent, states: AgentState, embeddings: Float[Array, "B E"], active: Bool[Array, "B"]
) -> tuple[Float[Array, "B A"], Plan, AgentState]:
    """Run `Agent.step` in lockstep: all plan where one has to, and the states that were not due are restored."""
    seen = jax.vmap(agent.observe)(states, embeddings)
    due = active & jax.vmap(agent.due)(seen)
    planned = jax.lax.cond(jnp.any(due), jax.vmap(agent.plan_anew), lambda states: states, seen)
    actions, following = jax.vmap(agent.commit)(chosen(due, planned, seen))
    following = chosen(active, following, states)
    actions = jnp.where(active[:, None], actions, agent.spec.rest_action[None])
    return actions, following.plan, following
