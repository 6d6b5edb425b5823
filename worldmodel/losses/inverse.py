"""Inverse dynamics: the representation must keep the information about the actions that were taken."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def inverse_loss(decoded: Float[Array, "B F"], actions: Float[Array, "B F"]) -> Float[Array, ""]:
    """Mean squared error of decoded against taken actions, both normalised."""
    return jnp.mean(jnp.square(decoded - actions))
