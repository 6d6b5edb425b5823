"""Heads on top of the representation: inverse dynamics, policy, goal encoder, distance critic and probe."""

from __future__ import annotations

import math

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from numpy import ndarray

from .layers import MLP
from .normalization import Normalizer, Statistic

STEP_SCALE = 20.0  # environment steps, of the order of a plan's horizon
EMBEDDING = 16  # dimensions of u
EPSILON = 1e-6  # keeps the norm differentiable at the goal
SELDOM = 0.5  # of the likeliest one's share: a solution that is the best one more seldom is none


class InverseDynamics(nnx.Module):
    """Actions that led from one latent to another H blocks later: `[..., D], [..., D] -> [..., H·K·A]`, normalised.

    The endpoint form (Toso et al., arXiv 2610.07540) keeps controllable information in the representation, over the
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
        """Return the H · K actions in between, flat and normalised."""
        return self.mlp(latent, later)


class GoalPolicy(nnx.Module):
    """Policy towards a goal latent: `[..., D], [..., D] -> [..., K, A]`, the next action block.

    Reactive "Mode 1", as opposed to the planner's "Mode 2": one pass through a small network instead of a search.

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
        """Set the bounds of the actions, in raw units."""
        self.low[...] = jnp.asarray(low, jnp.float32)
        self.high[...] = jnp.asarray(high, jnp.float32)

    def __call__(self, latent: Float[Array, "... D"], goal: Float[Array, "... D"]) -> Float[Array, "... K A"]:
        """Return the block of actions, in raw units and within the bounds."""
        raw = self.mlp(latent, goal, goal - latent)  # the difference, for precision near the goal
        share = jnp.tanh(raw.reshape((*raw.shape[:-1], *self.shape)))
        middle, half = (self.low[...] + self.high[...]) / 2, (self.high[...] - self.low[...]) / 2
        lead = (1,) * (share.ndim - 1)
        return middle.reshape((*lead, -1)) + half.reshape((*lead, -1)) * share


class PartialGoal(nnx.Module):
    """Encoder of partially specified goals: `[..., F], [..., F] -> [..., M, D], [..., M]`.

    The unspecified rest follows from the data. With one solution the target is the mean of the representations of
    consistent goals. With several each is a hypothesis, and only the best one learns from a goal (multiple choice
    learning: Guzman-Rivera et al., 2012; Lee et al., arXiv 1606.07839): they settle where consistent goals are, such as
    at the two elbows of an arm whose tip is given. Scores are the logits of how often each is the best one.

    Args:
      latent_size: D.
      features: encoder features of one moment, F.
      width: of the hidden layers.
      depth: number of hidden layers.
      rngs: of the initial weights.
      solutions: M.
    """

    def __init__(self, latent_size: int, features: int, width: int, depth: int, rngs: nnx.Rngs, solutions: int = 1):
        self.shape = (solutions, latent_size)
        scores = solutions if solutions > 1 else 0
        self.mlp = MLP((features, features), solutions * latent_size + scores, width, depth, rngs)

    def __call__(
        self, features: Float[Array, "... F"], known: Float[Array, "... F"]
    ) -> tuple[Float[Array, "... M D"], Float[Array, "... M"]]:
        """Encode the features of a goal; the mask is 1 where a feature is specified and 0 where it is free."""
        found = self.mlp(features * known, known)
        count, size = self.shape
        latents = found[..., : count * size].reshape((*found.shape[:-1], count, size))
        return latents, found[..., count * size :] if count > 1 else jnp.zeros_like(latents[..., 0])

    def likely(self, latents: Float[Array, "... M D"], scores: Float[Array, "... M"]) -> Float[Array, "... M D"]:
        """Return the solutions, with the likeliest one in place of those that are the best one much more seldom.

        Little teaches a hypothesis where it hardly ever is the best one, and the critic about it: there it may be
        anything.
        """
        best = jnp.argmax(scores, axis=-1)[..., None, None]
        unlikely = scores < jnp.max(scores, axis=-1, keepdims=True) + math.log(SELDOM)
        return jnp.where(unlikely[..., None], jnp.take_along_axis(latents, best, axis=-2), latents)


class TemporalDistance(nnx.Module):
    """Directed distance in environment steps from one latent to another: `[..., D], [..., D] -> [...]`.

    `d(z, g) = ‖u(z, g) − u(g, g)‖`: never negative, and zero at the goal itself by construction. A free output
    learns the latter poorly, since states at rest exactly at the goal are rare in data, and a plan then settles next to
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
        """Return the distance in units of `STEP_SCALE`, in which it is trained.

        Linear, so that a step counts equally far from and near the goal: a logarithm would lose precision exactly where
        a wall has to be avoided.
        """
        difference = self.mlp(latent, goal) - self.mlp(goal, goal)
        return jnp.sqrt(jnp.sum(jnp.square(difference), axis=-1) + EPSILON)

    def __call__(self, latent: Float[Array, "... D"], goal: Float[Array, "... D"]) -> Float[Array, "..."]:
        """Return the distance in environment steps."""
        return STEP_SCALE * self.scaled(latent, goal)


class Probe(nnx.Module):
    """Probe that decodes positions from a latent, for display and guards; no gradient reaches the representation.

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
