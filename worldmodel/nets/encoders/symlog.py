"""Encoder of sensor vectors whose statistics are not known in advance."""

from __future__ import annotations

from flax import nnx
from jaxtyping import Array, Float

from ...observation import ObservationSpec
from ..bins import symlog
from ..layers import MLP


class SymlogEncoder(MLP):
    """Stacked sensor vectors on a symlog scale through an MLP: `[..., P, E] -> [..., D]`.

    For online data, whose statistics are not known in advance. It subclasses the MLP, so that the
    names of its weights match files written before reward models had an encoder class.

    Args:
      spec: the sensors.
      history: moments in one latent, P.
      latent_size: D.
      width: of the hidden layers.
      depth: number of hidden layers.
      rngs: of the initial weights.
    """

    def __init__(self, spec: ObservationSpec, history: int, latent_size: int, width: int, depth: int, rngs: nnx.Rngs):
        super().__init__(history * spec.size, latent_size, width, depth, rngs)

    def __call__(self, embeddings: Float[Array, "... P E"]) -> Float[Array, "... D"]:  # type: ignore[override]  # one input
        """Representation of the last P moments, given in raw units, the newest last."""
        scaled = symlog(embeddings)
        return super().__call__(scaled.reshape((*scaled.shape[:-2], -1)))
