"""Normalization statistics stored with the model, so that its inputs and outputs are in raw units."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float
from numpy import ndarray

from ..moments import Moments


class Statistic(nnx.Variable[Array]):
    """Variable measured once from data and never trained."""


class Normalizer(nnx.Module):
    """`(x - mean) / std` over the last axis."""

    def __init__(self, size: int):
        self.mean = Statistic(jnp.zeros((size,), jnp.float32))
        self.std = Statistic(jnp.ones((size,), jnp.float32))

    def fit(
        self, values: Float[ndarray, "M F"], present: Bool[ndarray, "M F"] | None = None, place: slice = slice(None)
    ) -> None:
        """Set mean and standard deviation from data, computed in float64; constant features are only centred.

        A constant feature carries no information, and dividing by its deviation would amplify rounding errors.

        Args:
          values: the data.
          present: mask of the values that were read; None: all.
          place: which features they are; the others keep their scales.
        """
        if present is None or present.all():
            moments = Moments.of(values)
        else:
            moments = Moments.of_columns([values[present[:, each], each] for each in range(values.shape[1])])
        mean, std = np.array(self.mean[...]), np.array(self.std[...])
        mean[place], std[place] = moments.mean, np.where(moments.still, 1.0, moments.std)
        self.mean[...], self.std[...] = jnp.asarray(mean), jnp.asarray(std)

    def __call__(self, values: Float[Array, "... F"]) -> Float[Array, "... F"]:
        """Convert from raw units to mean 0 and standard deviation 1 per feature."""
        shape = (1,) * (values.ndim - 1) + (-1,)
        return (values - self.mean[...].reshape(shape)) / self.std[...].reshape(shape)

    def inverse(self, values: Float[Array, "... F"]) -> Float[Array, "... F"]:
        """Convert back to raw units."""
        shape = (1,) * (values.ndim - 1) + (-1,)
        return values * self.std[...].reshape(shape) + self.mean[...].reshape(shape)
