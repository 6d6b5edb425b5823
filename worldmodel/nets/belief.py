"""Belief about what is there now, seen or not: a recurrent state that predicts what will be seen.

A representation of the last moments forgets what was hidden before them. A belief goes on: it is predicted a step ahead
from the action, and then corrected by what is seen, as in a Kalman filter (and in the recurrent models of Ha and
Schmidhuber, arXiv 1803.10122, and Hafner et al., arXiv 1811.04551). What it predicts is a representation of one moment,
which is learned with it; nothing is decoded.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from .layers import MLP

SPANS = 3  # environment steps that a belief is predicted ahead without seeing, from every moment
LOG_VARIANCE = (-12.0, 4.0)  # range of the logarithm of an expected square error


class Foresight(NamedTuple):
    """How far what was foreseen was off, by the moment that it was foreseen at and the steps ahead less 1."""

    error: Array  # [B, T, J, D] seen less foreseen; 0 beyond the end
    log_variance: Array  # [B, T, J, D] logarithm of the square error that was expected


class Belief(nnx.Module):
    """Encoder of moments, and the recurrent state that foresees their representations.

    Args:
      features: numbers that describe one moment, F.
      latent_size: D, of the representation of one moment.
      action_size: A.
      size: of the belief, S.
      rngs: of the initial weights.
    """

    def __init__(self, features: int, latent_size: int, action_size: int, size: int, rngs: nnx.Rngs):
        self.size = size
        self.moment = MLP(features, latent_size, size, 2, rngs)
        self.correction = nnx.GRUCell(latent_size, size, rngs=rngs)
        self.dynamics = MLP((size, action_size), size, size, 1, rngs, zero_output=True)
        self.expectation = MLP(size, latent_size, size, 1, rngs)
        self.doubt = MLP((size, SPANS), latent_size, size, 1, rngs, zero_output=True)

    def begin(self, batch: int) -> Float[Array, "B S"]:
        """Belief before anything is seen."""
        return jnp.zeros((batch, self.size), jnp.float32)

    def ahead(self, belief: Float[Array, "... S"], action: Float[Array, "... A"]) -> Float[Array, "... S"]:
        """Belief one environment step later, before anything is seen of it; the action is normalised."""
        return belief + self.dynamics(belief, action)

    def corrected(self, belief: Float[Array, "B S"], seen: Float[Array, "B D"]) -> Float[Array, "B S"]:
        """Belief once the representation of its moment is seen."""
        corrected: Array = self.correction(belief, seen)[0]
        return corrected

    def along(self, seen: Float[Array, "B T D"], actions: Float[Array, "B U A"]) -> Float[Array, "B T S"]:
        """Belief at every moment of some sequences.

        Args:
          seen: representations of the moments.
          actions: taken at all moments but the last, normalised.
        """
        before = jnp.pad(actions, ((0, 0), (1, 0), (0, 0)))  # nothing is known of what led to the first moment

        def step(belief: Array, at: tuple[Array, Array]) -> tuple[Array, Array]:
            moment, action = at
            belief = self.corrected(self.ahead(belief, action), moment)
            return belief, belief

        _, beliefs = jax.lax.scan(step, self.begin(len(seen)), (jnp.swapaxes(seen, 0, 1), jnp.swapaxes(before, 0, 1)))
        return jnp.swapaxes(beliefs, 0, 1)

    def foreseen(self, beliefs: Float[Array, "B T S"], actions: Float[Array, "B U A"]) -> Float[Array, "B T J S"]:
        """Beliefs 1 to `SPANS` environment steps after every moment, without seeing; actions beyond the end are 0."""
        moments = beliefs.shape[1]
        padded = jnp.pad(actions, ((0, 0), (0, SPANS), (0, 0)))
        found = []
        for span in range(SPANS):
            beliefs = self.ahead(beliefs, padded[:, span : span + moments])
            found.append(beliefs)
        return jnp.stack(found, axis=2)

    def foresight(self, features: Float[Array, "B T F"], actions: Float[Array, "B U A"]) -> Foresight:
        """What is foreseen at every moment of some sequences, how far it is off, and how far that is usual.

        Args:
          features: that describe the moments.
          actions: taken at all of them but the last, normalised.
        """
        moments = self.moment(features)
        foreseen = self.foreseen(self.along(moments, actions), actions)
        error = later(moments) - self.expectation(foreseen)
        return Foresight(error * inside(moments.shape[1])[None, ..., None], self.log_variance(foreseen))

    def log_variance(self, foreseen: Float[Array, "B T J S"]) -> Float[Array, "B T J D"]:
        """Logarithm of the square error that is usual in the situation that a foreseen belief describes."""
        spans = jnp.eye(SPANS, dtype=jnp.float32)[None, None]
        return jnp.clip(self.doubt(foreseen, spans), *LOG_VARIANCE)


def later(moments: Float[Array, "B T D"]) -> Float[Array, "B T J D"]:
    """Representations 1 to `SPANS` environment steps after every moment; 0 beyond the end."""
    count = moments.shape[1]
    padded = jnp.pad(moments, ((0, 0), (0, SPANS), (0, 0)))
    return jnp.stack([padded[:, span : span + count] for span in range(1, SPANS + 1)], axis=2)


def inside(moments: int) -> Float[Array, "T J"]:
    """1 where a span from a moment ends within the sequence, 0 beyond."""
    ends = jnp.arange(moments, dtype=jnp.int32)[:, None] + jnp.arange(1, SPANS + 1, dtype=jnp.int32)[None]
    return (ends < moments).astype(jnp.float32)
