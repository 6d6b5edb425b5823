"""Encoder of a short history of embeddings whose statistics are not known in advance."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ...observation import ObservationSpec
from ..bins import symlog
from ..layers import MLP
from .history import CHANGE_SCALE


class SymlogEncoder(MLP):
    """Embeddings of the last moments through an MLP, vectors on a symlog scale: `[..., P, E] -> [..., D]`.

    For online data, whose statistics are not known in advance. Features of pictures enter as they are, and their
    changes from moment to moment beside them, as in `HistoryEncoder`. It subclasses the MLP, so that the
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
        learned = sum(sensor.width for sensor in spec.pictures)
        super().__init__(history * spec.size + (history - 1) * learned, latent_size, width, depth, rngs)
        self.spec = nnx.static(spec)

    def __call__(self, embeddings: Float[Array, "... P E"]) -> Float[Array, "... D"]:  # type: ignore[override]  # one input
        """Representation of the last P moments, vectors in raw units, the newest last."""
        scaled, changes = symlog(embeddings), list[Array]()
        for sensor in self.spec.pictures:
            place = self.spec.slices[sensor.name]
            features = embeddings[..., place]
            scaled = scaled.at[..., place].set(features)
            changes.append(CHANGE_SCALE * jnp.diff(features, axis=-2))
        parts = [each.reshape((*each.shape[:-2], -1)) for each in (scaled, *changes)]
        return super().__call__(parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1))
