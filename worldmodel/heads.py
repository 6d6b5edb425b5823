"""Small networks on top of the representation: what was done, how far it is, and where things are."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from .layers import MLP
from .normalization import Normalizer


class InverseDynamics(nnx.Module):
    """Which actions led from one latent to another H blocks later: `[..., D], [..., D] -> [..., H * K * A]`, normalised.

    The endpoint form (Toso et al., arXiv 2610.07540) keeps in the representation what actions control, over the horizon.
    """

    def __init__(self, latent_size: int, output_size: int, width: int, depth: int, rngs: nnx.Rngs):
        self.mlp = MLP((latent_size, latent_size), output_size, width, depth, rngs)

    def __call__(self, latent: Float[Array, "... D"], later: Float[Array, "... D"]) -> Float[Array, "... F"]:
        return self.mlp(latent, later)


class TemporalDistance(nnx.Module):
    """Directed distance in environment steps from one latent to another, never negative: `[..., D], [..., D] -> [...]`."""

    def __init__(self, latent_size: int, width: int, depth: int, rngs: nnx.Rngs):
        self.mlp = MLP((latent_size, latent_size), 1, width, depth, rngs)

    def log_steps(self, latent: Float[Array, "... D"], goal: Float[Array, "... D"]) -> Float[Array, "..."]:
        """`log(1 + steps)`, the scale in which it is trained: near goals matter as much as far ones."""
        return jax.nn.softplus(self.mlp(latent, goal)[..., 0])

    def __call__(self, latent: Float[Array, "... D"], goal: Float[Array, "... D"]) -> Float[Array, "..."]:
        return jnp.expm1(self.log_steps(latent, goal))


class Probe(nnx.Module):
    """Decodes positions from a latent, for the eye and for guards; no gradient of it ever reaches the representation."""

    def __init__(self, latent_size: int, target_size: int, width: int, depth: int, rngs: nnx.Rngs):
        self.normalizer = Normalizer(target_size)
        self.mlp = MLP(latent_size, target_size, width, depth, rngs)

    def __call__(self, latent: Float[Array, "... D"]) -> Float[Array, "... Q"]:
        return self.normalizer.inverse(self.mlp(latent))
