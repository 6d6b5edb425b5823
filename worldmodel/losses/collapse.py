"""Regularisation against collapse to a constant: SIGReg, a test of normality along random directions.

Balestriero and LeCun (LeJEPA, arXiv 2511.08544); constants as published with LeWorldModel (arXiv 2603.19312).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

KNOTS = 17
LARGEST_KNOT = 3.0
GAUSSIAN_VALUE = 1.06  # value of the statistic on samples of a standard normal, whatever their number
PUBLISHED_BATCH = 128  # the statistic grows with the batch; published weights belong to this one


def epps_pulley(samples: Float[Array, "B M"]) -> Float[Array, "M"]:
    """Distance between each column's empirical characteristic function and the standard normal's, times B.

    `B · ∫ |φ_emp(t) − φ(t)|² e^{−t²/2} dt` by the trapezoid rule over 17 knots in [0, 3], doubled for the negative
    half. The knots are multiples of one step, so cos(k·x) and sin(k·x) follow from the first knot's by rotation: two
    trigonometric calls per sample instead of thirty-two.
    """
    step = LARGEST_KNOT / (KNOTS - 1)
    knots = np.arange(KNOTS) * step
    target = np.exp(-np.square(knots) / 2)
    weights = 2 * step * np.where(np.isin(np.arange(KNOTS), (0, KNOTS - 1)), 0.5, 1.0) * target

    turn_cos, turn_sin = jnp.cos(step * samples), jnp.sin(step * samples)
    cos, sin = turn_cos, turn_sin
    total = jnp.zeros(samples.shape[1:], samples.dtype)  # the knot at 0 adds nothing: both functions are 1 there
    for knot in range(1, KNOTS):
        real, imaginary = jnp.mean(cos, axis=0), jnp.mean(sin, axis=0)
        total = total + float(weights[knot]) * (jnp.square(real - float(target[knot])) + jnp.square(imaginary))
        cos, sin = cos * turn_cos - sin * turn_sin, sin * turn_cos + cos * turn_sin
    return samples.shape[0] * total


def sigreg(latents: Float[Array, "B D"], key: PRNGKeyArray, projections: int = 64) -> Float[Array, ""]:
    """Return the statistic, averaged over random directions: 1.06 for a standard normal, 0.402·B at full collapse.

    The key is consumed. Compute it in float32: the differences vanish in bfloat16.
    """
    directions = jax.random.normal(key, (latents.shape[-1], projections), latents.dtype)
    directions = directions / jnp.linalg.norm(directions, axis=0, keepdims=True)
    return jnp.mean(epps_pulley(latents @ directions))


def sigreg_loss(latents: Float[Array, "S B D"], key: PRNGKeyArray, projections: int = 64) -> Float[Array, ""]:
    """SIGReg, averaged over S time steps, scaled to a batch of 128: a weight means the same at any batch size."""
    keys = jax.random.split(key, latents.shape[0])
    values = jax.vmap(sigreg, in_axes=(0, 0, None))(latents, keys, projections)
    return jnp.mean(values) * (PUBLISHED_BATCH / latents.shape[1])
