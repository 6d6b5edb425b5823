"""Encoder from a short history of embeddings, and older moments, to a representation.

The last layer is linear: a normalising one would put representations on a sphere, where no anti-collapse term can make
them Gaussian (LeWorldModel, arXiv 2603.19312).
"""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float
from numpy import ndarray

from ...observation import PRESENT, ObservationSpec
from ..layers import MLP
from ..normalization import Normalizer
from .build import picture_stacks
from .memory import memory_of
from .patches import PATCH


class HistoryEncoder(nnx.Module):
    """Embeddings of the last moments through an MLP: `[..., P, E] -> [..., D]`.

    Vectors are normalised; an angle enters as sine and cosine of its share of the period; a missing reading enters as
    0, next to its flag. Pictures enter as the features of their stack.

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
        self.spec, self.history = nnx.static(spec), history
        self.normalizer = Normalizer(spec.size)
        self.stacks = picture_stacks(spec, pictures, history, rngs)
        joined = 0 if self.stacks is None else sum(stack.size for stack in self.stacks.values())
        self.feature_size = vector_size(spec) + joined
        self.moment_size = vector_size(spec) + sum(sensor.features for sensor in spec.pictures)
        self.memory = memory_of(self.moment_size, history, memory, memory_stride, rngs)
        remembered = 0 if self.memory is None else self.memory.size
        self.mlp = MLP(history * vector_size(spec) + joined + remembered, latent_size, width, depth, rngs)

    def __call__(self, embeddings: Float[Array, "... P E"]) -> Float[Array, "... D"]:
        """Representation of the last P moments and of the older ones, given in raw units, the newest last."""
        remembered = []
        if self.memory is not None:
            older, embeddings = self.memory.parts(embeddings)
            remembered.append(self.memory(self.moment(older)))
        features = self._vector_features(embeddings)
        parts = [features.reshape((*features.shape[:-2], -1)), *self._seen(embeddings), *remembered]
        return self.mlp(parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1))

    def moment(self, embeddings: Float[Array, "... E"]) -> Float[Array, "... F"]:
        """What describes one moment alone: vectors normalised, angles as sine and cosine, pictures as embedded."""
        pictures = [embeddings[..., self.spec.slices[sensor.name]] for sensor in self.spec.pictures]
        return jnp.concatenate([self._vector_features(embeddings), *pictures], axis=-1)

    @property
    def patch_grids(self) -> dict[str, tuple[int, int]]:
        """Rows and columns of the patches of each picture whose embedding is that of its patches."""
        stacks = {} if self.stacks is None else dict(self.stacks.items())
        shapes = {sensor.name: sensor.shape for sensor in self.spec.pictures}
        by_patch = [name for name, stack in stacks.items() if hasattr(stack, "count")]
        return {name: (shapes[name][0] // PATCH, shapes[name][1] // PATCH) for name in by_patch}

    def fit(self, readings: Mapping[str, ndarray]) -> None:
        """Set the scales of the vectors from the readings of a dataset; missing ones are ignored."""
        for sensor in self.spec.sensors:
            if sensor.is_vector:
                values = np.asarray(readings[sensor.name], np.float32)
                present = None
                if sensor.optional:
                    present = np.broadcast_to(np.asarray(readings[sensor.name + PRESENT]) > 0, values.shape)
                self.normalizer.fit(values, present, self.spec.slices[sensor.name])

    def features(self, embeddings: Float[Array, "... E"]) -> Float[Array, "... F"]:
        """Network input for one moment: vectors normalised, angles as sine and cosine, pictures as of a still scene."""
        vectors = self._vector_features(embeddings)
        if self.stacks is None:
            return vectors
        still = jnp.repeat(embeddings[..., None, :], self.history, axis=-2)
        return jnp.concatenate([vectors, *self._seen(still)], axis=-1)

    def feature_mask(self, mask: Bool[Array, "... E"]) -> Bool[Array, "... F"]:
        """Convert a mask of a row to a mask of features."""
        angles = np.flatnonzero(self.spec.period)
        vectors = mask if self.stacks is None else mask[..., self.spec.vector_columns]
        parts = [jnp.concatenate([vectors, mask[..., angles]], axis=-1) if len(angles) else vectors]
        for name, stack in {} if self.stacks is None else self.stacks.items():
            of_picture = mask[..., self.spec.slices[name].start]
            parts.append(jnp.broadcast_to(of_picture[..., None], (*of_picture.shape, stack.size)))
        return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1)

    def _seen(self, embeddings: Float[Array, "... P E"]) -> list[Float[Array, "... J"]]:
        """Features of each picture's stack."""
        stacks = {} if self.stacks is None else dict(self.stacks.items())
        return [stack(embeddings[..., self.spec.slices[name]]) for name, stack in stacks.items()]

    def _vector_features(self, embeddings: Float[Array, "... E"]) -> Float[Array, "... V"]:
        """Vectors and flags of each moment, normalised, angles as sine and cosine."""
        spec, scaled = self.spec, self.normalizer(embeddings)
        for name, flag in spec.flags.items():
            place = spec.slices[name]
            scaled = scaled.at[..., place].multiply(embeddings[..., flag : flag + 1])
        kept = scaled if self.stacks is None else scaled[..., self.spec.vector_columns]
        if not spec.period.any():
            return kept
        angles = np.flatnonzero(spec.period)
        rate = jnp.asarray(2 * np.pi / spec.period[angles], jnp.float32)
        turns = embeddings[..., angles] * rate.reshape((1,) * (scaled.ndim - 1) + (-1,))
        sines, cosines = jnp.sin(turns), jnp.cos(turns)
        for name, flag in spec.flags.items():  # sine and cosine of a missing angle carry no information
            missing = np.isin(angles, np.arange(spec.size)[spec.slices[name]])
            if missing.any():
                shown = jnp.where(jnp.asarray(missing), embeddings[..., flag : flag + 1], 1.0)
                sines, cosines = sines * shown, cosines * shown
        place_of = np.searchsorted(self.spec.vector_columns, angles)
        return jnp.concatenate([kept.at[..., place_of].set(sines), cosines], axis=-1)


def vector_size(spec: ObservationSpec) -> int:
    """V, the number of features of vectors and flags of one moment: one more for each angle."""
    return len(spec.vector_columns) + int(np.count_nonzero(spec.period))
