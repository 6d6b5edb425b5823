"""Latent actions: what happened between two representations, where no action was recorded."""

from __future__ import annotations

from flax import nnx
from jaxtyping import Array, Float

from .layers import MLP


class LatentActions(nnx.Module):
    """Inverse model `u = g(z, z')` of one model step, and the decoder of the block of actions that `u` stands for.

    Few numbers, noise and a small norm are the bottleneck: with those, continuous latent actions are better than
    quantised ones (arXiv 2601.05230).

    Args:
      latent_size: D.
      code_size: numbers in a latent action, U.
      block_size: numbers in a block of actions, K · A.
      width: of the hidden layers.
      depth: number of hidden layers.
      rngs: of the initial weights.
    """

    def __init__(self, latent_size: int, code_size: int, block_size: int, width: int, depth: int, rngs: nnx.Rngs):
        self.inference = MLP((latent_size, latent_size), code_size, width, depth, rngs)
        self.decoder = MLP((latent_size, code_size), block_size, width, depth, rngs)

    def __call__(self, latent: Float[Array, "... D"], later: Float[Array, "... D"]) -> Float[Array, "... U"]:
        """Return the latent action of the model step from one latent to the next."""
        return self.inference(latent, later)

    def actions(self, latent: Float[Array, "... D"], code: Float[Array, "... U"]) -> Float[Array, "... F"]:
        """Return the block of actions that a latent action stands for, flat and normalised."""
        return self.decoder(latent, code)
