"""Small networks on top of the representation: what was done, how far it is, and where things are."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from .layers import MLP
from .normalization import Normalizer

STEP_SCALE = 20.0  # environment steps, of the order of a plan's horizon
EMBEDDING = 16  # dimensions of u
EPSILON = 1e-6  # keeps the norm differentiable at the goal


class InverseDynamics(nnx.Module):
    """Which actions led from one latent to another H blocks later: `[..., D], [..., D] -> [..., H·K·A]`, normalised.

    The endpoint form (Toso et al., arXiv 2610.07540) keeps in the representation what actions control, over the
    horizon.
    """

    def __init__(self, latent_size: int, output_size: int, width: int, depth: int, rngs: nnx.Rngs):
        self.mlp = MLP((latent_size, latent_size), output_size, width, depth, rngs)

    def __call__(self, latent: Float[Array, "... D"], later: Float[Array, "... D"]) -> Float[Array, "... F"]:
        """The H · K actions in between, flat and normalised."""
        return self.mlp(latent, later)


class TemporalDistance(nnx.Module):
    """Directed distance in environment steps from one latent to another: `[..., D], [..., D] -> [...]`.

    `d(z, g) = ‖u(z, g) − u(g, g)‖`: never negative, and nothing at the goal itself by construction. A free output
    learns that last part badly, since moments of rest at just the goal are rare in data, and a plan then settles beside
    its goal.
    """

    def __init__(self, latent_size: int, width: int, depth: int, rngs: nnx.Rngs):
        self.mlp = MLP((latent_size, latent_size), EMBEDDING, width, depth, rngs)

    def scaled(self, latent: Float[Array, "... D"], goal: Float[Array, "... D"]) -> Float[Array, "..."]:
        """The distance in units of `STEP_SCALE`, in which it is trained.

        Linear, so that a step counts as much far away as near the goal: a logarithm would blur just where a wall has to
        be gone around.
        """
        difference = self.mlp(latent, goal) - self.mlp(goal, goal)
        return jnp.sqrt(jnp.sum(jnp.square(difference), axis=-1) + EPSILON)

    def __call__(self, latent: Float[Array, "... D"], goal: Float[Array, "... D"]) -> Float[Array, "..."]:
        """The distance in environment steps."""
        return STEP_SCALE * self.scaled(latent, goal)


class Probe(nnx.Module):
    """Decodes positions from a latent, for the eye and for guards; none of its gradients reach the representation."""

    def __init__(self, latent_size: int, target_size: int, width: int, depth: int, rngs: nnx.Rngs):
        self.normalizer = Normalizer(target_size)
        self.mlp = MLP(latent_size, target_size, width, depth, rngs)

    def __call__(self, latent: Float[Array, "... D"]) -> Float[Array, "... Q"]:
        """Positions, flat, in the units of the targets that the normaliser was fitted to."""
        return self.normalizer.inverse(self.mlp(latent))
