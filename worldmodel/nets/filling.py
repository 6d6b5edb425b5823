"""Head that answers what a missing sensor would read, one environment step after a latent."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from ..observation import ObservationSpec
from .layers import MLP
from .normalization import Statistic

AGES = (1, 2, 4, 8, 16, 32, 64)  # steps since a sensor was read at which its error is measured
UNMEASURED = 1e6  # factor of an error that was never measured: no trust
_CLIPPED = 20.0  # usual changes: what a known sensor may change by, as an input
_LEAST, _MOST = -7.0, 4.0  # logarithm of the standard deviation, in usual changes


class Filling(nnx.Module):
    """Readings of one moment from the moment before: `[D], [A], [E], [E] -> [E], [E]`, a mean and its deviation.

    A masked prediction over one environment step, which blocks of actions are too long for: the latent of the moments
    before, the action between, and what the other sensors read now. It predicts changes, so that a sensor which is
    missing for long is followed from its last reading on.

    How the error grows with the time since a sensor was read is measured on held-out data, as a factor of the
    deviation: for a sensor that is missing alone, and for several.

    Args:
      spec: the sensors, S of them.
      latent_size: D.
      action_size: A.
      width: of the hidden layers.
      depth: number of hidden layers.
      rngs: of the initial weights.
    """

    def __init__(
        self, spec: ObservationSpec, latent_size: int, action_size: int, width: int, depth: int, rngs: nnx.Rngs
    ):
        self.spec, size = nnx.static(spec), spec.size
        self.middle = Statistic(jnp.zeros((size,), jnp.float32))  # mean of each number in the data
        self.spread = Statistic(jnp.ones((size,), jnp.float32))  # its standard deviation
        self.step = Statistic(jnp.ones((size,), jnp.float32))  # root mean square of its change in a step
        self.factors = Statistic(jnp.full((2, len(spec.sensors), len(AGES)), UNMEASURED, jnp.float32))
        self.mlp = MLP((latent_size, action_size, size, size), 2 * size, width, depth, rngs, zero_output=True)

    def __call__(
        self,
        latent: Float[Array, "... D"],
        action: Float[Array, "... A"],
        previous: Float[Array, "... E"],
        row: Float[Array, "... E"],
        known: Bool[Array, "... E"],
    ) -> tuple[Float[Array, "... E"], Float[Array, "... E"]]:
        """Return the mean of every number in a row, and its standard deviation a step after the last reading.

        Args:
          latent: of the moments before.
          action: between, normalised.
          previous: the embedding of the moment before.
          row: the embedding of the moment; numbers that are not known are ignored.
          known: which numbers of `row` were read.
        """
        lead = (1,) * (row.ndim - 1) + (-1,)
        step, spread = self.step[...].reshape(lead), self.spread[...].reshape(lead)
        before = presence(self.spec, previous)
        change = difference(self.spec, row, previous) / step
        change = jnp.where(known & before, jnp.clip(change, -_CLIPPED, _CLIPPED), 0.0)
        found = self.mlp(latent, action, change, known.astype(row.dtype))
        moved, deviation = jnp.split(found, 2, axis=-1)
        scale = jnp.where(before, step, spread)
        mean = jnp.where(before, previous, self.middle[...].reshape(lead)) + scale * moved
        return mean, scale * jnp.exp(jnp.clip(deviation, _LEAST, _MOST))

    def calibrated(
        self, deviation: Float[Array, "... E"], known: Bool[Array, "... S"], ages: Float[Array, "... S"]
    ) -> tuple[Float[Array, "... E"], Float[Array, "... S"]]:
        """Return the standard deviation of every number, and the trust in every sensor's imagined reading.

        Trust is 1 less the deviation as a share of the sensor's spread in the data: 0 where a guess is as good.

        Args:
          deviation: a step after the last reading.
          known: which sensors were read.
          ages: steps since each one was read.
        """
        several = jnp.sum(~known, axis=-1, keepdims=True, dtype=jnp.int32) > 1
        alone, together = (_at_age(table, ages) for table in (self.factors[0], self.factors[1]))
        scaled = deviation * by_number(self.spec, jnp.where(several, together, alone))
        share = jnp.square(scaled / self.spread[...].reshape((1,) * (deviation.ndim - 1) + (-1,)))
        means = [jnp.mean(share[..., place], axis=-1) for place in self.spec.slices.values()]
        return scaled, jnp.clip(1.0 - jnp.sqrt(jnp.stack(means, axis=-1)), 0.0, 1.0)


def _at_age(table: Float[Array, "S G"], ages: Float[Array, "... S"]) -> Float[Array, "... S"]:
    """Factor of each sensor at its age: interpolated between the measured ages, and growing with the age beyond."""
    place = jnp.clip(jnp.log2(jnp.maximum(ages, 1.0)), 0.0, len(AGES) - 1.0)
    measured = jnp.arange(len(AGES), dtype=jnp.float32).reshape((1,) * place.ndim + (-1,))
    weights = jnp.maximum(1.0 - jnp.abs(place[..., None] - measured), 0.0)
    return jnp.einsum("...sg,sg->...s", weights, table) * jnp.maximum(ages / AGES[-1], 1.0)


def difference(
    spec: ObservationSpec, one: Float[Array, "... E"], other: Float[Array, "... E"]
) -> Float[Array, "... E"]:
    """Return `one - other`, for angles the shorter way round."""
    delta = one - other
    if not spec.period.any():
        return delta
    lead = (1,) * (delta.ndim - 1) + (-1,)
    turns = jnp.asarray(np.where(spec.period > 0, 1.0 / np.maximum(spec.period, 1e-9), 0.0), delta.dtype)
    period = jnp.asarray(spec.period, delta.dtype)
    return delta - period.reshape(lead) * jnp.round(delta * turns.reshape(lead))


def presence(spec: ObservationSpec, rows: Float[Array, "... E"]) -> Bool[Array, "... E"]:
    """Return which numbers of rows were read, by the flags of the optional sensors; flags themselves always are."""
    found = jnp.ones(rows.shape, bool)
    for name, flag in spec.flags.items():
        found = found.at[..., spec.slices[name]].set(rows[..., flag : flag + 1] > 0)
    return found


def by_number(spec: ObservationSpec, values: Array) -> Array:
    """Repeat a value of each sensor, [..., S], for each of its numbers in an embedding, flags included: [..., E]."""
    widths = [sensor.width + sensor.optional for sensor in spec.sensors]
    return jnp.repeat(values, jnp.asarray(widths), axis=-1, total_repeat_length=spec.size)
