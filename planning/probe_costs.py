"""Costs on what the model's probe decodes from a latent, in the probe's units: a goal with no critic in between."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Float
from .imagined import Imagined, needed, over_time
from .model import LatentModel
from .types import ActionSpec, Leaf, Number


@register_dataclass
@dataclass(frozen=True)
class ProbeDistance:
    """Squared Euclidean distance of the decoded positions from `target`; NaN there: any value is accepted.

    A goal in the probe's coordinates, such as a position of the fingertip. It finds no way around a wall: with a wall,
    give the goal to the model (`Agent.reset`), whose critic does.

    Raises:
      ValueError: the model has no `probe`, or the target does not have one number for each decoded position.
    """

    target: Leaf | tuple[Number, ...]  # [Q], in the probe's units
    running: Number = 1.0
    terminal: Number = 0.0

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return one cost for each of the `N` imagined futures."""
        decode = needed(model.heads.probe, "probe", "ProbeDistance", "train one with a probe")
        places = decode(model.params, imagined.latents).astype(jnp.float32)
        target = jnp.asarray(self.target, jnp.float32)
        if target.shape != places.shape[-1:]:
            raise ValueError(
                f"ProbeDistance has {target.shape} numbers, and the model's probe gives {places.shape[-1]}"
            )
        apart = jnp.where(jnp.isnan(target)[None, None], 0.0, places - target[None, None])
        return over_time(jnp.sum(apart**2, axis=-1), self.running, self.terminal)


@register_dataclass
@dataclass(frozen=True)
class ProbeGoalDistance:
    """Squared distance between what the model's probe decodes from a latent and from the goal.

    For goals that change from episode to episode, such as set-points; `ProbeDistance` has a fixed target.

    Args:
      weights: `[Q]` of the squared differences, each in the probe's units; 0 where any value is accepted.
      running: weight of each imagined step.
      terminal: further weight of the last one.

    Raises:
      ValueError: the model has no `probe`, or there is not one weight for each number that it gives.
    """

    weights: Leaf | tuple[Number, ...]
    running: Number = 1.0
    terminal: Number = 0.0

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """One cost for each of the `N` imagined futures."""
        decode = needed(model.heads.probe, "probe", "ProbeGoalDistance", "train one with a probe")
        values = decode(model.params, imagined.latents).astype(jnp.float32)
        wanted = decode(model.params, imagined.goal).astype(jnp.float32)
        weights = jnp.asarray(self.weights, jnp.float32)
        if weights.shape != values.shape[-1:]:
            raise ValueError(
                f"ProbeGoalDistance has {weights.shape} weights, and the model's probe gives {values.shape[-1]} numbers"
            )
        apart = weights[None, None] * (values - wanted[None, None]) ** 2
        return over_time(jnp.sum(apart, axis=-1), self.running, self.terminal)
