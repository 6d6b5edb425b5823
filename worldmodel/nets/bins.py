"""Rewards and returns as distributions over bins: a scale-free target for regression, learned by cross-entropy.

Symlog squeezes returns of any size into a few units, and two-hot weights name a number between two bins exactly (Hafner
et al., arXiv 2301.04104; used for values by Hansen et al., TD-MPC2, arXiv 2310.16828).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def symlog(values: Float[Array, "..."]) -> Float[Array, "..."]:
    """`sign(x) · log(1 + |x|)`."""
    return jnp.sign(values) * jnp.log1p(jnp.abs(values))


def symexp(values: Float[Array, "..."]) -> Float[Array, "..."]:
    """Inverse of `symlog`."""
    return jnp.sign(values) * jnp.expm1(jnp.abs(values))


def two_hot(values: Float[Array, "..."], bins: int, limit: float) -> Float[Array, "... {bins}"]:
    """Weights of the two bins adjacent to `symlog(values)`, among `bins` evenly spaced from `-limit` to `limit`.

    Values beyond the limits count as the outermost bin.
    """
    place = (jnp.clip(symlog(values), -limit, limit) + limit) * ((bins - 1) / (2 * limit))
    numbers = jnp.arange(bins, dtype=jnp.float32).reshape((1,) * values.ndim + (-1,))
    return jnp.maximum(0.0, 1.0 - jnp.abs(place[..., None] - numbers))


def decoded(logits: Float[Array, "... K"], limit: float) -> Float[Array, "..."]:
    """Value of a distribution over bins: `symexp` of its mean, as in TD-MPC2."""
    places = jnp.linspace(-limit, limit, logits.shape[-1], dtype=jnp.float32).reshape((1,) * (logits.ndim - 1) + (-1,))
    return symexp(jnp.sum(jax.nn.softmax(logits, axis=-1) * places, axis=-1))
