"""From a short history of observations to a representation.

The last layer is linear: a normalising one would put representations on a sphere, where no anti-collapse term can make
them Gaussian (LeWorldModel, arXiv 2603.19312).
"""

from __future__ import annotations

from flax import nnx
from jaxtyping import Array, Float

from .layers import MLP
from .normalization import Normalizer


class StateEncoder(nnx.Module):
    """Stacked, normalised sensor vectors through an MLP: `[..., P, O] -> [..., D]`."""

    def __init__(self, observation_size: int, history: int, latent_size: int, width: int, depth: int, rngs: nnx.Rngs):
        self.normalizer = Normalizer(observation_size)
        self.mlp = MLP(history * observation_size, latent_size, width, depth, rngs)

    def __call__(self, obs: Float[Array, "... P O"]) -> Float[Array, "... D"]:
        """Representation of the last P observations, given in raw units, the newest last."""
        scaled = self.normalizer(obs)
        return self.mlp(scaled.reshape((*scaled.shape[:-2], -1)))
