"""Encoders from a short history of embeddings to a representation.

The last layer is linear: a normalising one would put representations on a sphere, where no anti-collapse term can make
them Gaussian (LeWorldModel, arXiv 2603.19312).
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float
from numpy import ndarray

from ..observation import ObservationSpec
from .bins import symlog
from .layers import MLP
from .normalization import Normalizer


class StateEncoder(nnx.Module):
    """Stacked, normalised sensor vectors through an MLP: `[..., P, E] -> [..., D]`.

    An angle enters as sine and cosine of its share of the period; a missing reading enters as 0, next to its flag.

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
        self.mlp = MLP(history * feature_size(spec), latent_size, width, depth, rngs)

    def __call__(self, embeddings: Float[Array, "... P E"]) -> Float[Array, "... D"]:
        """Representation of the last P moments, given in raw units, the newest last."""
        features = self.features(embeddings)
        return self.mlp(features.reshape((*features.shape[:-2], -1)))

    def fit(self, rows: Float[ndarray, "M E"]) -> None:
        """Set the scales from the rows of a dataset; missing readings are ignored."""
        self.normalizer.fit(rows, self.spec.presence(rows))
        for flag in self.spec.flags.values():
            self.normalizer.mean[...] = self.normalizer.mean[...].at[flag].set(0.0)
            self.normalizer.std[...] = self.normalizer.std[...].at[flag].set(1.0)

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


def check_encodable(spec: ObservationSpec) -> None:
    """Raise ValueError where a sensor has no encoder."""
    for sensor in spec.sensors:
        if not sensor.is_vector:
            raise ValueError(
                f"the sensor {sensor.name} reads {sensor.dtype}{list(sensor.shape)}, and there is an encoder for "
                "float32 vectors alone: leave the sensor out"
            )


def feature_size(spec: ObservationSpec) -> int:
    """F, the number of features of a row: one more for each angle."""
    return spec.size + int(np.count_nonzero(spec.period))
