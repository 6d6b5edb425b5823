"""Functions of an agent that an engine compiles, and a bundle holds as programs."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp

from ...agent import Agent, AgentState
from ...arrays import Array
from ...model import reflex_action
from ...objective import LatentObjective, imagine
from ...solutions import nearest
from ...types import Evaluation


def begin(agent: Agent, goal: Array, key: Array, episode: Array) -> AgentState:
    """Return the state at an episode's start.

    Args:
      agent: the agent.
      goal: row [E]; NaN stands for values that are free.
      key: of the episodes.
      episode: number of this one.
    """
    mask = ~jnp.isnan(goal)
    return agent.reset(agent.init(key), jnp.where(mask, goal, 0.0), key, episode, mask)


def embed(agent: Agent, readings: dict[str, Array]) -> Array:
    """Return one moment as a row [E]."""
    return agent.model.embed(agent.model.params, readings)


def step(agent: Agent, state: AgentState, observation: Array) -> tuple[Array, AgentState]:
    """`Agent.step` without the plan, which is in the state."""
    action, _, state = agent.step(state, observation)
    return action, state


def imagined(agent: Agent, state: AgentState) -> Array:
    """Return the predicted outcome of the rest of the plan, decoded where the model has a probe."""
    latents = agent.imagined(state)
    probe = agent.model.heads.probe
    return latents if probe is None else probe(agent.model.params, latents)


def predict(agent: Agent, latent: Array, block: Array) -> Array:
    """Predict one model step; the mean over the members."""
    members = agent.model.ensemble
    if members == 1:
        return agent.model.predict(agent.model.params, latent, block).latent
    latents = jnp.broadcast_to(latent[None], (members, *latent.shape))
    return jnp.mean(agent.model.predict(agent.model.params, latents, block).latent, axis=0)


def probe(agent: Agent, latents: Array) -> Array:
    """Decode positions from latents."""
    decode = agent.model.heads.probe
    assert decode is not None
    return decode(agent.model.params, latents)


def disagreement(agent: Agent, state: AgentState) -> Array:
    """Return the variance across the members along the plan."""
    latents = imagine(agent.model, state.root, state.plan.actions[None], agent.precision).latent
    return jnp.sum(jnp.var(latents, axis=0), axis=-1)[0]


def reflex(agent: Agent, window: Array, goal: Array) -> Array:
    """Return the mean [A] of the policy's next block of actions, from the last moments [P, E] towards a goal [E]."""
    policy = agent.model.heads.policy
    assert policy is not None
    params = agent.model.params
    mask, latent = ~jnp.isnan(goal), agent.model.encode(params, window)
    goals = agent.solutions(jnp.where(mask, goal, 0.0), mask)
    block = policy(params, latent, goals[0] if len(goals) == 1 else nearest(agent.model, latent, goals))
    return jnp.clip(reflex_action(block, agent.model.action_block), agent.spec.low, agent.spec.high)


def fill(agent: Agent, *asked: Array) -> tuple[Array, Array, Array]:
    """Return what every sensor would read, [E], its standard deviation [E], and the trust [S]: see `Engine.fill`."""
    head = agent.model.heads.fill
    assert head is not None
    return head(agent.model.params, *asked)


def evaluate(agent: Agent, state: AgentState, sequences: Array) -> Evaluation:
    """Evaluate the objective on some sequences, without the imagined latents."""
    objective: LatentObjective = agent.objective(state)
    return replace(objective(sequences), latents=None)
