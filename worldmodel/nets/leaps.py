"""Slower dynamics of the representation: where one may be many steps later, and how likely each such place is."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from .layers import MLP

LOG_STD = (-5.0, 2.0)  # range of the logarithms of standard deviations


class Leaps(nnx.Module):
    """`z' = z + f(z, m)` over many steps at once, where the leap m says which of the possible futures came about.

    A conditional variational autoencoder (Sohn et al., NeurIPS 2015): m is inferred from both ends in training, and
    its prior, which knows only the start, is what a planner draws from. A choice is a leap in standard deviations of
    the prior, so that choices of a normal distribution are futures as likely as those in the data.

    Args:
      latent_size: D.
      size: numbers in a leap, M.
      blocks: action blocks that a leap takes.
      width: of the hidden layers.
      depth: number of hidden layers.
      rngs: of the initial weights.
    """

    def __init__(self, latent_size: int, size: int, blocks: int, width: int, depth: int, rngs: nnx.Rngs):
        self.blocks = blocks
        self.prior = MLP(latent_size, 2 * size, width, depth, rngs)
        self.posterior = MLP((latent_size, latent_size), 2 * size, width, depth, rngs)
        self.ahead = MLP((latent_size, size), latent_size, width, depth, rngs, zero_output=True)

    def __call__(self, latent: Float[Array, "... D"], choice: Float[Array, "... M"]) -> Float[Array, "... D"]:
        """Return the latent after the leap of a choice, in standard deviations of the prior."""
        mean, log_std = self.possible(latent)
        return self.after(latent, mean + jnp.exp(log_std) * choice)

    def after(self, latent: Float[Array, "... D"], leap: Float[Array, "... M"]) -> Float[Array, "... D"]:
        """Return the latent after a leap."""
        return latent + self.ahead(latent, leap)

    def possible(self, latent: Float[Array, "... D"]) -> tuple[Float[Array, "... M"], Float[Array, "... M"]]:
        """Mean and logarithm of the standard deviation of the leaps from a latent."""
        return _gaussian(self.prior(latent))

    def taken(
        self, latent: Float[Array, "... D"], later: Float[Array, "... D"]
    ) -> tuple[Float[Array, "... M"], Float[Array, "... M"]]:
        """Mean and logarithm of the standard deviation of the leap from one latent to another."""
        return _gaussian(self.posterior(latent, later))


def _gaussian(numbers: Float[Array, "... N"]) -> tuple[Float[Array, "... M"], Float[Array, "... M"]]:
    mean, log_std = jnp.split(numbers, 2, axis=-1)
    return mean, jnp.clip(log_std, *LOG_STD)
