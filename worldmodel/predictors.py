"""The action-conditioned dynamics of the representation: latent and action block in, next latent out."""

from __future__ import annotations

from flax import nnx
from jaxtyping import Array, Float

from .layers import MLP
from .normalization import Normalizer


class ResidualPredictor(nnx.Module):
    """`z' = z + MLP(z, a)`, where `a` is the concatenated block of K actions: `[..., D], [..., K, A] -> [..., D]`.

    The output layer starts at zero, so that an untrained predictor is the "nothing changes" one.
    """

    def __init__(self, latent_size: int, action_size: int, action_block: int, width: int, depth: int, rngs: nnx.Rngs):
        self.normalizer = Normalizer(action_size)
        self.mlp = MLP((latent_size, action_block * action_size), latent_size, width, depth, rngs, zero_output=True)

    def __call__(self, latent: Float[Array, "... D"], block: Float[Array, "... K A"]) -> Float[Array, "... D"]:
        """The latent K environment steps later; `block` holds the actions of those steps, in raw units."""
        scaled = self.normalizer(block)
        return latent + self.mlp(latent, scaled.reshape((*scaled.shape[:-2], -1)))
