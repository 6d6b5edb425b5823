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

    With latent actions, the members take `u = m(z, a)` in place of `a`: a small map, learned from few labelled steps,
    which all members share. They learn most from steps whose `u` was inferred without an action.

    Args:
      latent_size: D.
      action_size: A.
      action_block: environment steps in a block, K.
      width: of the hidden layers.
      depth: number of hidden layers.
      members: of the ensemble, E.
      rngs: of the initial weights.
      code_size: numbers in a latent action, U; 0: the members take the actions themselves.
      map_width: of the map from actions to latent actions, which has one hidden layer.
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
        code_size: int = 0,
        map_width: int = 0,
    ):
        self.normalizer = Normalizer(action_size)
        block_size = action_block * action_size
        sizes = (latent_size, code_size or block_size)
        self.members = nnx.List([MLP(sizes, latent_size, width, depth, rngs, zero_output=True) for _ in range(members)])
        self.map = MLP((latent_size, block_size), code_size, map_width, 1, rngs) if code_size else None

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
        return self.ahead(member, latent, self.code(latent, block))

    def code(self, latent: Float[Array, "... D"], block: Float[Array, "... K A"]) -> Float[Array, "... U"]:
        """Return what the members take of a block of actions: its latent action, or the normalised actions, flat."""
        scaled = self.normalizer(block)
        flat = scaled.reshape((*scaled.shape[:-2], -1))
        return flat if self.map is None else self.map(latent, flat)

    def ahead(self, member: int, latent: Float[Array, "... D"], code: Float[Array, "... U"]) -> Float[Array, "... D"]:
        """Return the latent one model step later, predicted by one member from what `code` returns."""
        return latent + self.members[member](latent, code)
