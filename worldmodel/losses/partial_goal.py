"""Goals of which only some sensors are told, learned from whole ones with sensors left out at random."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..models.goal_model import WorldModel


def partial_goals(model: WorldModel, observations: Float[Array, "B O"], key: PRNGKeyArray) -> Float[Array, "B D"]:
    """Representations of the observations with some of their sensors left out: few or many, a share at random each."""
    share_key, known_key = jax.random.split(key)
    share = jax.random.uniform(share_key, (len(observations), 1))
    known = (jax.random.uniform(known_key, observations.shape) < share).astype(observations.dtype)
    return model.goal_head(jax.lax.stop_gradient(model.encoder.normalizer(observations)), known)


def goal_loss(told: Float[Array, "B D"], goals: Float[Array, "B D"]) -> Float[Array, ""]:
    """Mean squared error towards the whole goals, which it does not change: it settles at the mean of what agrees."""
    return jnp.mean(jnp.square(told - jax.lax.stop_gradient(goals)))
