"""Encoder of a short history of embeddings whose statistics are not known in advance."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ...observation import ObservationSpec
from ..bins import symlog
from ..layers import MLP
from .build import picture_stacks


class SymlogEncoder(MLP):
    """Embeddings of the last moments through an MLP, vectors on a symlog scale: `[..., P, E] -> [..., D]`.

    For online data, whose statistics are not known in advance. Pictures enter as the features of their stack, as in
    `HistoryEncoder`. It subclasses the MLP, so that the names of its weights match files written before reward models
    had an encoder class.

    Args:
      spec: the sensors.
      history: moments in one latent, P.
      latent_size: D.
      width: of the hidden layers.
      depth: number of hidden layers.
      rngs: of the initial weights.
      pictures: kind of the encoders of pictures, where there are any.
    """

    def __init__(
        self,
        spec: ObservationSpec,
        history: int,
        latent_size: int,
        width: int,
        depth: int,
        rngs: nnx.Rngs,
        pictures: str = "patches",
    ):
        stacks = picture_stacks(spec, pictures, history, rngs)
        seen = 0 if stacks is None else sum(stack.size for stack in stacks.values())
        super().__init__(history * len(spec.vector_columns) + seen, latent_size, width, depth, rngs)
        self.spec, self.stacks = nnx.static(spec), stacks

    def __call__(self, embeddings: Float[Array, "... P E"]) -> Float[Array, "... D"]:  # type: ignore[override]  # one input
        """Representation of the last P moments, vectors in raw units, the newest last."""
        vectors = embeddings if self.stacks is None else embeddings[..., self.spec.vector_columns]
        scaled = symlog(vectors)
        parts = [scaled.reshape((*scaled.shape[:-2], -1))]
        for name, stack in {} if self.stacks is None else self.stacks.items():
            parts.append(stack(embeddings[..., self.spec.slices[name]]))
        return super().__call__(parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1))
