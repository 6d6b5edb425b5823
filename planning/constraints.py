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


@partial(jax.tree_util.register_dataclass, data_fields=["center", "radius"], meta_fields=["point"])
@dataclass(frozen=True)
class KeepOut:
    """One of the points that the model's probe decodes stays out of a disc, between the imagined steps, too.

    A prediction errs, and a path between two steps is not straight: choose the radius larger than that of what must not
    be touched.

    Raises:
      ValueError: the model has no `probe`, or the probe has no such point.
    """

    center: Leaf | tuple[Number, Number]  # [2], in the probe's units
    radius: Number
    point: int = -1  # which of the probe's points, each of which is two of its positions

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """How deep inside, in the probe's units."""
        path = _path(model, imagined, self.point, "KeepOut")
        begin, way = path[:, :-1], path[:, 1:] - path[:, :-1]
        to_center = jnp.asarray(self.center, jnp.float32)[None, None] - begin
        square = jnp.sum(way**2, axis=-1)  # in the probe's units, which may be small
        share = jnp.sum(to_center * way, axis=-1) / jnp.where(square > 0, square, 1.0)
        nearest = to_center - jnp.clip(share, 0.0, 1.0)[..., None] * way
        return self.radius - jnp.sqrt(jnp.min(jnp.sum(nearest**2, axis=-1), axis=1))


@partial(jax.tree_util.register_dataclass, data_fields=["limit"], meta_fields=["point"])
@dataclass(frozen=True)
class SpeedLimit:
    """One of the points that the model's probe decodes is nowhere faster than `limit`, on average over a model step.

    Raises:
      ValueError: the model has no `probe`, or the probe has no such point.
    """

    limit: Number  # the probe's units a second
    point: int = -1  # which of the probe's points, each of which is two of its positions

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """How much too fast, in the probe's units a second."""
        path = _path(model, imagined, self.point, "SpeedLimit")
        seconds = model.action_block * spec.control_period
        return jnp.max(jnp.linalg.norm(jnp.diff(path, axis=1), axis=-1), axis=1) / seconds - self.limit


def _path(model: LatentModel, imagined: Imagined, point: int, name: str) -> Float[Array, "N S 2"]:
    """Where a point is now and where it will be after each model step: S = H + 1 places."""
    probe = head(model, "probe", name, "train one with a probe")
    latents = imagined.latents.astype(jnp.float32)
    root = jnp.broadcast_to(imagined.root.astype(jnp.float32)[None, None], (latents.shape[0], 1, latents.shape[-1]))
    positions = probe(model.params, jnp.concatenate([root, latents], axis=1)).astype(jnp.float32)
    points = positions.shape[-1] // 2
    if not -points <= point < points:
        raise ValueError(f"{name} watches point {point}, and the model's probe decodes {points}: choose one of those")
    return positions.reshape(*positions.shape[:-1], points, 2)[..., point, :]
