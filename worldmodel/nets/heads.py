"""Small networks on top of the representation: what was done, what to do, how far it is, and where things are."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from numpy import ndarray

from .layers import MLP
from .normalization import Normalizer, Statistic

STEP_SCALE = 20.0  # environment steps, of the order of a plan's horizon
EMBEDDING = 16  # dimensions of u
EPSILON = 1e-6  # keeps the norm differentiable at the goal


class InverseDynamics(nnx.Module):
    """Which actions led from one latent to another H blocks later: `[..., D], [..., D] -> [..., H·K·A]`, normalised.

    The endpoint form (Toso et al., arXiv 2610.07540) keeps in the representation what actions control, over the
    horizon.

    Args:
      latent_size: D.
      output_size: numbers in all actions between the two latents, H·K·A.
      width: of the hidden layers.
      depth: number of hidden layers.
      rngs: of the initial weights.
    """

    def __init__(self, latent_size: int, output_size: int, width: int, depth: int, rngs: nnx.Rngs):
        self.mlp = MLP((latent_size, latent_size), output_size, width, depth, rngs)

    def __call__(self, latent: Float[Array, "... D"], later: Float[Array, "... D"]) -> Float[Array, "... F"]:
        """The H · K actions in between, flat and normalised."""
        return self.mlp(latent, later)


class GoalPolicy(nnx.Module):
    """What to do to get from one latent to another: `[..., D], [..., D] -> [..., K, A]`, the next action block.

    The reflex ("Mode 1") beside the planner ("Mode 2"): one pass through a small network in place of a search.

    Args:
      latent_size: D.
      action_size: A.
      action_block: environment steps in a block, K.
      width: of the hidden layers.
      depth: number of hidden layers.
      rngs: of the initial weights.
    """

    def __init__(self, latent_size: int, action_size: int, action_block: int, width: int, depth: int, rngs: nnx.Rngs):
        self.low = Statistic(-jnp.ones((action_size,), jnp.float32))
        self.high = Statistic(jnp.ones((action_size,), jnp.float32))
        self.mlp = MLP((latent_size,) * 3, action_block * action_size, width, depth, rngs)
        self.shape = (action_block, action_size)

    def fit(self, low: Float[ndarray, "A"], high: Float[ndarray, "A"]) -> None:
        """Take the bounds of the actions, in raw units."""
        self.low[...] = jnp.asarray(low, jnp.float32)
        self.high[...] = jnp.asarray(high, jnp.float32)

    def __call__(self, latent: Float[Array, "... D"], goal: Float[Array, "... D"]) -> Float[Array, "... K A"]:
        """The block of actions, in raw units and within the bounds."""
        raw = self.mlp(latent, goal, goal - latent)  # the difference, for precision beside the goal
        share = jnp.tanh(raw.reshape((*raw.shape[:-1], *self.shape)))
        middle, half = (self.low[...] + self.high[...]) / 2, (self.high[...] - self.low[...]) / 2
        lead = (1,) * (share.ndim - 1)
        return middle.reshape((*lead, -1)) + half.reshape((*lead, -1)) * share


class PartialGoal(nnx.Module):
    """The representation of a goal of which only some numbers are asked for: `[..., F], [..., F] -> [..., D]`.

    What the rest may be is for the data to say: it is trained to give the mean of the representations that agree.

    Args:
      latent_size: D.
      features: numbers that the encoder makes of one moment, F.
      width: of the hidden layers.
      depth: number of hidden layers.
      rngs: of the initial weights.
    """

    def __init__(self, latent_size: int, features: int, width: int, depth: int, rngs: nnx.Rngs):
        self.mlp = MLP((features, features), latent_size, width, depth, rngs)

    def __call__(self, features: Float[Array, "... F"], known: Float[Array, "... F"]) -> Float[Array, "... D"]:
        """From the features of a goal, and 1 where one counts, 0 where any value will do."""
        return self.mlp(features * known, known)


class Decoder(nnx.Module):
    """From a latent to the features of the newest moment: only for the twin that learns by reconstruction.

    Args:
      latent_size: D.
      features: numbers that the encoder makes of one moment.
      width: of the hidden layers.
      depth: number of hidden layers.
      rngs: of the initial weights.
    """

    def __init__(self, latent_size: int, features: int, width: int, depth: int, rngs: nnx.Rngs):
        self.mlp = MLP(latent_size, features, width, depth, rngs)

    def __call__(self, latent: Float[Array, "... D"]) -> Float[Array, "... F"]:
        """The features, with mean 0 and standard deviation 1."""
        return self.mlp(latent)


class TemporalDistance(nnx.Module):
    """Directed distance in environment steps from one latent to another: `[..., D], [..., D] -> [...]`.

    `d(z, g) = ‖u(z, g) − u(g, g)‖`: never negative, and nothing at the goal itself by construction. A free output
    learns that last part badly, since moments of rest at just the goal are rare in data, and a plan then settles beside
    its goal.

    Args:
      latent_size: D.
      width: of the hidden layers.
      depth: number of hidden layers.
      rngs: of the initial weights.
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
    """Decodes positions from a latent, for the eye and for guards; none of its gradients reach the representation.

    Args:
      latent_size: D.
      target_size: numbers to decode, Q.
      width: of the hidden layers.
      depth: number of hidden layers.
      rngs: of the initial weights.
    """

    def __init__(self, latent_size: int, target_size: int, width: int, depth: int, rngs: nnx.Rngs):
        self.normalizer = Normalizer(target_size)
        self.mlp = MLP(latent_size, target_size, width, depth, rngs)

    def __call__(self, latent: Float[Array, "... D"]) -> Float[Array, "... Q"]:
        """Positions, flat, in the units of the targets that the normaliser was fitted to."""
        return self.normalizer.inverse(self.mlp(latent))
