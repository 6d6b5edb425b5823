"""Constraints on imagined futures: small pytrees, `constraint(model, imagined, spec) -> margin [N]`, safe if ≤ 0.

A margin is the worst over the whole trajectory (and over an ensemble's members). Candidates are ranked feasible first,
then by violation, then by cost, so no weight has to be tuned to outweigh every cost. Limits are leaves: they change
without a recompile. `costs.Custom` makes a constraint of a function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Float
from .imagined import Imagined, action_changes, needed
from .model import LatentModel
from .pytree import static
from .types import ActionSpec, Leaf, Number


@runtime_checkable
class Constraint(Protocol):
    """A callable that is a pytree."""

    def __call__(self, model: Any, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return the margin of each of the `N` imagined futures: the largest excess over the limit."""
        ...


@register_dataclass
@dataclass(frozen=True)
class RateLimit:
    """Limit on the rate of every action dimension, from the last action taken onwards."""

    limit: Number  # half ranges a second: from one bound to the other takes 2 / limit seconds

    def __call__(self, model: Any, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return half ranges a second beyond the limit."""
        rates = jnp.abs(action_changes(imagined, spec)) / spec.control_period
        return jnp.max(rates, axis=(1, 2)) - self.limit


@register_dataclass
@dataclass(frozen=True)
class AccelerationLimit:
    """Limit on the second difference of every action dimension, as `RateLimit` is on the first.

    It continues from the actions that were taken before the plan, as far as they are known (`Imagined.earlier`).
    """

    limit: Number  # half ranges a second, a second

    def __call__(self, model: Any, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return half ranges / s² beyond the limit."""
        return _largest_difference(imagined, spec, 2) - self.limit


@register_dataclass
@dataclass(frozen=True)
class JerkLimit:
    """Limit on the third difference of every action dimension, continued likewise.

    Independent samples rarely satisfy it: plan with few knots (`planner/parameterization=knots`).
    """

    limit: Number  # half ranges a second, a second, a second

    def __call__(self, model: Any, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return half ranges / s³ beyond the limit."""
        return _largest_difference(imagined, spec, 3) - self.limit


@register_dataclass
@dataclass(frozen=True)
class WorkspaceBox:
    """Box between `low` and `high` for the positions that the model's probe decodes, at every imagined step.

    Raises:
      ValueError: the model has no `probe`, or the bounds do not have one number for each decoded position.
    """

    low: Leaf | tuple[Number, ...]  # [Q], in the probe's units; -inf where there is no bound
    high: Leaf | tuple[Number, ...]  # [Q]

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return the distance outside the box, in the probe's units."""
        probe = needed(model.heads.probe, "probe", "WorkspaceBox", "train one with a probe")
        positions = probe(model.params, imagined.latents).astype(jnp.float32)
        low, high = jnp.asarray(self.low, jnp.float32), jnp.asarray(self.high, jnp.float32)
        if not low.shape == high.shape == positions.shape[-1:]:
            raise ValueError(
                f"WorkspaceBox has bounds of shapes {low.shape} and {high.shape}, and the model's probe gives "
                f"{positions.shape[-1]} positions: give one low and one high for each, -inf and inf where free"
            )
        outside = jnp.maximum(low[None, None] - positions, positions - high[None, None])
        return jnp.max(outside, axis=(1, 2))


@register_dataclass
@dataclass(frozen=True)
class JointLimits:
    """Limits `low` to `high` on the joint angles that the model's probe decodes, at every imagined step.

    Angles have a period: `low` to `high` is an arc, and an angle's distance outside is the shorter way back to it, so
    350° is outside of 0° to 90° by 10°. An arc of 2 π or more is free, as is one from -inf to inf.

    With a `root` the probe decodes the points of a planar chain, as the keypoints of `reacher` are: the first joint's
    angle is that of the first link from the x axis, each further one's that of a link from its predecessor. Without one
    the probe decodes the angles themselves. A sliding joint has no period: limit it with `WorkspaceBox`.

    Raises:
      ValueError: the model has no `probe`, there is not one bound for each joint, or bounds that form no arc.
    """

    low: Leaf | tuple[Number, ...]  # [J] radians
    high: Leaf | tuple[Number, ...]  # [J] radians
    root: Leaf | tuple[Number, Number] | None = None  # [2], in the probe's units

    def __post_init__(self) -> None:
        if not all(isinstance(bounds, (tuple, list)) for bounds in (self.low, self.high)):
            return
        for low, high in zip(self.low, self.high, strict=False):
            if isinstance(low, (int, float)) and isinstance(high, (int, float)):
                sound = low <= high and math.isinf(low) == math.isinf(high)
            else:  # a tree map may put anything here; settings may hold strings, such as Hydra's .inf
                sound = not isinstance(low, str) and not isinstance(high, str)
            if not sound:
                raise ValueError(
                    f"a joint is free from -inf to inf, or has two bounds, low to high; got {low} to {high}"
                )

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return the distance outside the arcs, in radians."""
        probe = needed(model.heads.probe, "probe", "JointLimits", "train one with a probe")
        decoded = probe(model.params, imagined.latents).astype(jnp.float32)
        angles = decoded if self.root is None else _chain_angles(decoded, jnp.asarray(self.root, jnp.float32))
        low, high = jnp.asarray(self.low, jnp.float32), jnp.asarray(self.high, jnp.float32)
        if not low.shape == high.shape == angles.shape[-1:]:
            raise ValueError(
                f"JointLimits has bounds of shapes {low.shape} and {high.shape}, and there are {angles.shape[-1]} "
                "joints: give one low and one high for each, -inf and inf where free"
            )
        free = jnp.isinf(low) & jnp.isinf(high)
        middle, half = jnp.where(free, 0.0, (low + high) / 2), jnp.where(free, jnp.pi, (high - low) / 2)
        from_middle = jnp.mod(angles - middle[None, None] + jnp.pi, 2 * jnp.pi) - jnp.pi
        return jnp.max(jnp.abs(from_middle) - half[None, None], axis=(1, 2))


@register_dataclass
@dataclass(frozen=True)
class KeepOut:
    """Disc that one of the probe's points stays out of, between the imagined steps, too.

    A prediction errs, and a path between two steps is not straight: choose a larger radius than that of the object to
    be avoided.

    Raises:
      ValueError: the model has no `probe`, or the probe has no such point.
    """

    center: Leaf | tuple[Number, Number]  # [2], in the probe's units
    radius: Number
    point: int = static(-1)  # which of the probe's points, each of which is two of its positions

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return the depth inside the disc, in the probe's units."""
        path = _path(model, imagined, self.point, "KeepOut")
        begin, way = path[:, :-1], path[:, 1:] - path[:, :-1]
        to_center = jnp.asarray(self.center, jnp.float32)[None, None] - begin
        square = jnp.sum(way**2, axis=-1)  # in the probe's units, which may be small
        share = jnp.sum(to_center * way, axis=-1) / jnp.where(square > 0, square, 1.0)
        nearest = to_center - jnp.clip(share, 0.0, 1.0)[..., None] * way
        return self.radius - jnp.sqrt(jnp.min(jnp.sum(nearest**2, axis=-1), axis=1))


@register_dataclass
@dataclass(frozen=True)
class SpeedLimit:
    """Limit on the speed of one of the probe's points, on average over each model step.

    Raises:
      ValueError: the model has no `probe`, or the probe has no such point.
    """

    limit: Number  # the probe's units a second
    point: int = static(-1)  # which of the probe's points, each of which is two of its positions

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return the excess speed, in the probe's units a second."""
        path = _path(model, imagined, self.point, "SpeedLimit")
        seconds = model.action_block * spec.control_period
        return jnp.max(jnp.linalg.norm(jnp.diff(path, axis=1), axis=-1), axis=1) / seconds - self.limit


def _path(model: LatentModel, imagined: Imagined, point: int, name: str) -> Float[Array, "N S 2"]:
    """Return the present position of a point and the predicted one after each model step: S = H + 1 positions."""
    probe = needed(model.heads.probe, "probe", name, "train one with a probe")
    latents = imagined.latents.astype(jnp.float32)
    root = jnp.broadcast_to(imagined.root.astype(jnp.float32)[None, None], (latents.shape[0], 1, latents.shape[-1]))
    positions = probe(model.params, jnp.concatenate([root, latents], axis=1)).astype(jnp.float32)
    points = positions.shape[-1] // 2
    if not -points <= point < points:
        raise ValueError(f"{name} watches point {point}, and the model's probe decodes {points}: choose one of those")
    return positions.reshape(*positions.shape[:-1], points, 2)[..., point, :]


def _largest_difference(imagined: Imagined, spec: ActionSpec, order: int) -> Float[Array, "N"]:
    """Return the largest difference of an order between actions, in half ranges a second to that order."""
    differences = jnp.diff(action_changes(imagined, spec, past=order), n=order - 1, axis=1)
    return jnp.max(jnp.abs(differences), axis=(1, 2)) / spec.control_period**order


def _chain_angles(decoded: Float[Array, "N H Q"], root: Float[Array, "2"]) -> Float[Array, "N H J"]:
    """Return the joint angles of a planar chain from its points, flat."""
    points = decoded.reshape(*decoded.shape[:-1], -1, 2)
    begin = jnp.broadcast_to(root[None, None, None], (*points.shape[:2], 1, 2))
    links = jnp.diff(jnp.concatenate([begin, points], axis=2), axis=2)
    headings = jnp.arctan2(links[..., 1], links[..., 0])
    return jnp.concatenate([headings[..., :1], jnp.diff(headings, axis=-1)], axis=-1)
