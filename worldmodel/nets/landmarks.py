"""Landmarks of the representation: places of the data, and the short ways between them that the data took."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from .normalization import Statistic

NEIGHBOURS = 16  # landmarks that one leads to at most
NO_WAY = 1e6  # steps to where no way leads; finite, as all weights of a model are


class Graph(NamedTuple):
    """Landmarks and the ways between them."""

    latents: Array  # [L, D]
    neighbours: Array  # [L, N] int32, where the ways from each one lead
    steps: Array  # [L, N], environment steps of these ways; `NO_WAY` for a way that there is not


class Landmarks(nnx.Module):
    """Graph over latents, measured once from data and never trained.

    Args:
      count: landmarks, L.
      latent_size: D.
    """

    def __init__(self, count: int, latent_size: int):
        self.latents = Statistic(jnp.zeros((count, latent_size), jnp.float32))
        self.neighbours = Statistic(jnp.zeros((count, NEIGHBOURS), jnp.int32))
        self.steps = Statistic(jnp.full((count, NEIGHBOURS), NO_WAY, jnp.float32))

    def set(self, latents: Float[Array, "L D"], neighbours: Int[Array, "L N"], steps: Float[Array, "L N"]) -> None:
        """Take another graph of the same size."""
        self.latents[...], self.neighbours[...], self.steps[...] = latents, neighbours, steps

    def __call__(self) -> Graph:
        """Return the graph."""
        return Graph(self.latents[...], self.neighbours[...], self.steps[...])
