"""Encoder of a short history of embeddings whose statistics are not known in advance."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ...observation import ObservationSpec
from ..bins import symlog
from ..layers import MLP
from .build import picture_stacks
from .memory import memory_of


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
      memory: older moments in one latent, M.
      memory_stride: environment steps between two of them.
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
        memory: int = 0,
        memory_stride: int = 1,
    ):
        stacks = picture_stacks(spec, pictures, history, rngs)
        seen = 0 if stacks is None else sum(stack.size for stack in stacks.values())
        vectors = len(spec.vector_columns)
        one = vectors + sum(sensor.features for sensor in spec.pictures)
        remembered = memory_of(one, history, memory, memory_stride, rngs)
        if remembered is not None:
            seen += remembered.size
        super().__init__(history * vectors + seen, latent_size, width, depth, rngs)
        self.spec, self.stacks, self.memory = nnx.static(spec), stacks, remembered

    def __call__(self, embeddings: Float[Array, "... P E"]) -> Float[Array, "... D"]:  # type: ignore[override]  # one input
        """Representation of the last P moments and of the older ones, vectors in raw units, the newest last."""
        remembered = []
        if self.memory is not None:
            older, embeddings = self.memory.parts(embeddings)
            pictures = [older[..., self.spec.slices[sensor.name]] for sensor in self.spec.pictures]
            remembered.append(self.memory(jnp.concatenate([self._vectors(older), *pictures], axis=-1)))
        scaled = self._vectors(embeddings)
        parts = [scaled.reshape((*scaled.shape[:-2], -1))]
        for name, stack in {} if self.stacks is None else self.stacks.items():
            parts.append(stack(embeddings[..., self.spec.slices[name]]))
        parts += remembered
        return super().__call__(parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1))

    def _vectors(self, embeddings: Float[Array, "... E"]) -> Float[Array, "... V"]:
        """Vectors and flags of each moment, on the symlog scale."""
        return symlog(embeddings if self.stacks is None else embeddings[..., self.spec.vector_columns])
