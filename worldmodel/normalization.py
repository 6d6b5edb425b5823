"""Statistics that are stored with the model, so that it takes and gives raw units everywhere."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from numpy import ndarray

# A feature that never moved carries no information; dividing by its (zero) deviation would turn rounding into signal.
MIN_STD = 1e-4


class Statistic(nnx.Variable[Array]):
    """Measured once from data and never trained."""


class Normalizer(nnx.Module):
    """`(x - mean) / std` over the last axis."""

    def __init__(self, size: int):
        self.mean = Statistic(jnp.zeros((size,), jnp.float32))
        self.std = Statistic(jnp.ones((size,), jnp.float32))

    def fit(self, values: Float[ndarray, "M F"]) -> None:
        """Take mean and standard deviation from data; constant features are only centred."""
        std = values.std(axis=0)
        self.mean[...] = jnp.asarray(values.mean(axis=0), jnp.float32)
        self.std[...] = jnp.asarray((std < MIN_STD) + std * (std >= MIN_STD), jnp.float32)

    def __call__(self, values: Float[Array, "... F"]) -> Float[Array, "... F"]:
        """From raw units to mean 0 and standard deviation 1, a feature at a time."""
        shape = (1,) * (values.ndim - 1) + (-1,)
        return (values - self.mean[...].reshape(shape)) / self.std[...].reshape(shape)

    def inverse(self, values: Float[Array, "... F"]) -> Float[Array, "... F"]:
        """Back to raw units."""
        shape = (1,) * (values.ndim - 1) + (-1,)
        return values * self.std[...].reshape(shape) + self.mean[...].reshape(shape)
