"""From a short history of observations to a representation.

The last layer is linear: a normalising one would put representations on a sphere, where no anti-collapse term can make
them Gaussian (LeWorldModel, arXiv 2603.19312).
"""

from __future__ import annotations

from flax import nnx
from jaxtyping import Array, Float

from .bins import symlog
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


class SymlogEncoder(MLP):
    """Stacked sensor vectors on a symlog scale through an MLP: `[..., P, O] -> [..., D]`.

    For data that arrive while it learns, of which no statistics are known beforehand. It is an MLP itself, so that the
    names of its weights are those of files written when reward models had no encoder class.
    """

    def __init__(self, observation_size: int, history: int, latent_size: int, width: int, depth: int, rngs: nnx.Rngs):
        super().__init__(history * observation_size, latent_size, width, depth, rngs)

    def __call__(self, obs: Float[Array, "... P O"]) -> Float[Array, "... D"]:  # type: ignore[override]  # one input
        """Representation of the last P observations, given in raw units, the newest last."""
        scaled = symlog(obs)
        return super().__call__(scaled.reshape((*scaled.shape[:-2], -1)))
