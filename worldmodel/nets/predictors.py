"""Action-conditioned dynamics of the representation: latent and action block in, next latent out."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from .layers import MLP
from .normalization import Normalizer


class EnsemblePredictor(nnx.Module):
    """`z' = z + MLP(z, a)`, where `a` is the concatenated block of K actions, for E members with separate weights.

    The output layers start at zero, so that an untrained predictor predicts no change. Members are initialised and
    trained differently (Lakshminarayanan et al., arXiv 1612.01474): where data were scarce, they disagree.

    Args:
      latent_size: D.
      action_size: A.
      action_block: environment steps in a block, K.
      width: of the hidden layers.
      depth: number of hidden layers.
      members: of the ensemble, E.
      rngs: of the initial weights.
    """

    def __init__(
        self,
        latent_size: int,
        action_size: int,
        action_block: int,
        width: int,
        depth: int,
        members: int,
        rngs: nnx.Rngs,
    ):
        self.normalizer = Normalizer(action_size)
        sizes = (latent_size, action_block * action_size)
        self.members = nnx.List([MLP(sizes, latent_size, width, depth, rngs, zero_output=True) for _ in range(members)])

    def __call__(self, latent: Float[Array, "... D"], block: Float[Array, "... K A"]) -> Float[Array, "... D"]:
        """Return the latent K environment steps later; `block` holds the actions of those steps, in raw units.

        Latents with one leading axis more than the blocks are those of the first members, each of which continues from
        its own: `[E, ..., D], [..., K, A] -> [E, ..., D]`. Without that axis the first member predicts.
        """
        if latent.ndim < block.ndim:
            return self.by(0, latent, block)
        return jnp.stack([self.by(member, each, block) for member, each in enumerate(latent)])

    def by(self, member: int, latent: Float[Array, "... D"], block: Float[Array, "... K A"]) -> Float[Array, "... D"]:
        """Return the latent K environment steps later, predicted by one member."""
        scaled = self.normalizer(block)
        return latent + self.members[member](latent, scaled.reshape((*scaled.shape[:-2], -1)))
