"""Evidence lower bound of the slower dynamics: places many steps later, through few numbers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..nets.leaps import Leaps
from ..types import Metrics

DIVERGENCE = 0.01  # weight of a nat beside the mean squared error of latents, whose variance is about 1


def leap_loss(leaps: Leaps, latents: Float[Array, "B S D"], key: PRNGKeyArray) -> tuple[Float[Array, ""], Metrics]:
    """Squared error of the latents some blocks later, and the divergence of inferred leaps from the possible ones.

    Args:
      leaps: the slower dynamics, which learn.
      latents: of windows, a block apart.
      key: consumed.
    """
    here, later = latents[:, : -leaps.blocks], latents[:, leaps.blocks :]
    mean, log_std = leaps.taken(here, later)
    prior_mean, prior_log_std = leaps.possible(here)
    leap = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape, mean.dtype)
    error = jnp.mean(jnp.square(leaps.after(here, leap) - later))
    squares = jnp.exp(2 * (log_std - prior_log_std)) + jnp.square((mean - prior_mean) * jnp.exp(-prior_log_std))
    nats = jnp.mean(jnp.sum(prior_log_std - log_std + 0.5 * (squares - 1.0), axis=-1))
    loss = error + DIVERGENCE * nats
    unmoved = jnp.mean(jnp.square(later - here))
    return loss, {"loss": loss, "leap": error / unmoved, "leap_nats": nats}
