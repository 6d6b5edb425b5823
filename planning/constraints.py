"""Constraints on imagined futures: small pytrees, `constraint(model, imagined, spec) -> margin [N]`, safe if ≤ 0.

A margin is the worst over the whole trajectory (and over an ensemble's members). Candidates are ranked feasible first,
then by violation, then by cost, so no weight has to be found that outbids every cost. Limits are leaves: they change
without a new compile. `costs.Custom` makes a constraint of a function.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from .arrays import Array, Float
from .costs import Imagined, action_changes, head
from .types import ActionSpec, LatentModel, Leaf, Number


@runtime_checkable
class Constraint(Protocol):
    """Anything callable that is a pytree."""

    def __call__(self, model: Any, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """The margin of each of the `N` imagined futures: how far it is beyond the limit at its worst."""
        ...


@partial(jax.tree_util.register_dataclass, data_fields=["limit"], meta_fields=[])
@dataclass(frozen=True)
class RateLimit:
    """No action dimension changes faster than `limit`, from the action that was taken last onwards."""

    limit: Number  # half ranges a second: from one bound to the other takes 2 / limit seconds

    def __call__(self, model: Any, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Half ranges a second beyond the limit."""
        rates = jnp.abs(action_changes(imagined, spec)) / spec.control_period
        return jnp.max(rates, axis=(1, 2)) - self.limit


@partial(jax.tree_util.register_dataclass, data_fields=["low", "high"], meta_fields=[])
@dataclass(frozen=True)
class WorkspaceBox:
    """What the model's probe decodes stays within `low` and `high` at every imagined step.

    Raises:
      ValueError: the model has no `probe`, or the bounds do not have one number for each position that it gives.
    """

    low: Leaf | tuple[Number, ...]  # [Q], in the probe's units; -inf where there is no bound
    high: Leaf | tuple[Number, ...]  # [Q]

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """How far outside, in the probe's units."""
        probe = head(model, "probe", "WorkspaceBox", "train one with a probe")
        positions = probe(model.params, imagined.latents).astype(jnp.float32)
        low, high = jnp.asarray(self.low, jnp.float32), jnp.asarray(self.high, jnp.float32)
        if not low.shape == high.shape == positions.shape[-1:]:
            raise ValueError(
                f"WorkspaceBox has bounds of shapes {low.shape} and {high.shape}, and the model's probe gives "
                f"{positions.shape[-1]} positions: give one low and one high for each, -inf and inf where free"
            )
        outside = jnp.maximum(low[None, None] - positions, positions - high[None, None])
        return jnp.max(outside, axis=(1, 2))
