"""Encoder from a short history of embeddings to a representation.

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

CHANGE_SCALE = 4.0  # of the changes of pictures' features: a step's change is about a quarter of their spread


class HistoryEncoder(nnx.Module):
    """Embeddings of the last moments, with their changes, through an MLP: `[..., P, E] -> [..., D]`.

    Vectors are normalised; an angle enters as sine and cosine of its share of the period; a missing reading enters as
    0, next to its flag. Features of pictures enter as they are, and their changes from moment to moment beside them:
    a body moves by a fraction of a pixel in a step, and its velocity would be a small difference of large numbers.

    Args:
      spec: the sensors.
      history: moments in one latent, P.
      latent_size: D.
      width: of the hidden layers.
      depth: number of hidden layers.
      rngs: of the initial weights.
    """

    def __init__(self, spec: ObservationSpec, history: int, latent_size: int, width: int, depth: int, rngs: nnx.Rngs):
        self.spec = nnx.static(spec)
        self.normalizer = Normalizer(spec.size)
        learned = sum(sensor.width for sensor in spec.sensors if not sensor.is_vector)
        inputs = history * feature_size(spec) + (history - 1) * learned
        self.mlp = MLP(inputs, latent_size, width, depth, rngs)

    def __call__(self, embeddings: Float[Array, "... P E"]) -> Float[Array, "... D"]:
        """Representation of the last P moments, given in raw units, the newest last."""
        features = self.features(embeddings)
        parts = [features.reshape((*features.shape[:-2], -1))]
        for sensor in self.spec.sensors:
            if not sensor.is_vector:
                changes = jnp.diff(embeddings[..., self.spec.slices[sensor.name]], axis=-2)
                parts.append(CHANGE_SCALE * changes.reshape((*changes.shape[:-2], -1)))
        return self.mlp(parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1))

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
        """Network input for each moment: normalised, angles as sine and cosine."""
        spec, scaled = self.spec, self.normalizer(embeddings)
        for name, flag in spec.flags.items():
            place = spec.slices[name]
            scaled = scaled.at[..., place].multiply(embeddings[..., flag : flag + 1])
        if not spec.period.any():
            return scaled
        angles = np.flatnonzero(spec.period)
        rate = jnp.asarray(2 * np.pi / spec.period[angles], jnp.float32)
        turns = embeddings[..., angles] * rate.reshape((1,) * (scaled.ndim - 1) + (-1,))
        sines, cosines = jnp.sin(turns), jnp.cos(turns)
        for name, flag in spec.flags.items():  # sine and cosine of a missing angle carry no information
            missing = np.isin(angles, np.arange(spec.size)[spec.slices[name]])
            if missing.any():
                kept = jnp.where(jnp.asarray(missing), embeddings[..., flag : flag + 1], 1.0)
                sines, cosines = sines * kept, cosines * kept
        return jnp.concatenate([scaled.at[..., angles].set(sines), cosines], axis=-1)

    def feature_mask(self, mask: Bool[Array, "... E"]) -> Bool[Array, "... F"]:
        """Convert a mask of a row to a mask of features."""
        angles = np.flatnonzero(self.spec.period)
        return jnp.concatenate([mask, mask[..., angles]], axis=-1) if len(angles) else mask


def feature_size(spec: ObservationSpec) -> int:
    """F, the number of features of a row: one more for each angle."""
    return spec.size + int(np.count_nonzero(spec.period))
