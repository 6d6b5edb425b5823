"""Costs of imagined futures: small pytrees, `cost(model, imagined, spec) -> [N]`, lower is better.

A cost has no weight in the sum: weights belong to the objective. `running` and `terminal` weight each
model step and the last one; both are leaves, so they change without a recompile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Float
from .model import LatentModel
from .pytree import static
from .types import ActionSpec, Leaf, Number

T = TypeVar("T")


@register_dataclass
@dataclass(frozen=True)
class Imagined:
    """Predicted outcome of `N` action sequences from one root. `latents` begin after the first action block.

    A cost over members sees all of an ensemble: `latents`, `rewards` and `continuations` with a leading axis `E`.
    """

    root: Leaf  # [D]
    latents: Leaf  # [N, H, D]
    goal: Leaf  # [D]
    actions: Leaf  # [N, T, A]
    previous: Leaf | None = None  # [A] the last action before the root, where known
    earlier: Leaf | None = None  # [2, A] those before that one, newest last, where known
    rewards: Leaf | None = None  # [N, H] reward of each action block, where the model predicts it
    continuations: Leaf | None = None  # [N, H] probability that the episode does not end in it, likewise


@runtime_checkable
class Cost(Protocol):
    """A callable that is a pytree: a new cost is one frozen dataclass like those below.

    A cost whose `knows_no_goal` is true never uses the goal: where all costs are such, an episode needs none.
    """

    def __call__(self, model: Any, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return one cost for each of the `N` imagined futures."""
        ...


@register_dataclass
@dataclass(frozen=True)
class GoalDistance:
    """Squared Euclidean distance to the goal in representation space."""

    running: Number = 1.0
    terminal: Number = 0.0

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return one cost for each of the `N` imagined futures."""
        latents = imagined.latents.astype(jnp.float32)
        goal = imagined.goal.astype(jnp.float32)
        return over_time(jnp.sum((latents - goal[None, None]) ** 2, axis=-1), self.running, self.terminal)


@register_dataclass
@dataclass(frozen=True)
class TemporalDistance:
    """Environment steps that remain to the goal, as predicted by the model's temporal-distance critic.

    Raises:
      ValueError: the model has no `distance`.
    """

    running: Number = 1.0
    terminal: Number = 0.0

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return one cost for each of the `N` imagined futures."""
        distance = model.heads.distance
        if distance is None:
            raise ValueError(
                "the cost TemporalDistance needs a model with a temporal-distance head, and this one has none: "
                "train with the distance loss, or plan with GoalDistance"
            )
        shape = imagined.latents.shape
        # vmap over the latents alone: terms that depend on the goal only are computed once, not N x H times.
        remaining = jax.vmap(lambda latent: distance(model.params, latent, imagined.goal))
        steps = remaining(imagined.latents.reshape(-1, shape[-1])).reshape(shape[:2])
        return over_time(steps.astype(jnp.float32), self.running, self.terminal)


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

    A goal in the words of the probe that each episode sets anew, as a set-point is; `ProbeDistance` has a fixed one.

    Raises:
      ValueError: the model has no `probe`, or there is not one weight for each number that it gives.
    """

    weights: (
        Leaf | tuple[Number, ...]
    )  # [Q] of the squared differences, each in the probe's units; 0: any value will do
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


@register_dataclass
@dataclass(frozen=True)
class Effort:
    """Mean square of the actions, from the rest action in half ranges: 0 at rest."""

    knows_no_goal: ClassVar[bool] = True

    def __call__(self, model: Any, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return one cost for each of the `N` imagined futures."""
        half = jnp.where(spec.half_range > 0, spec.half_range, 1.0)  # a locked action costs nothing
        relative = (imagined.actions - spec.rest_action[None, None]) / half[None, None]
        return jnp.mean(relative**2, axis=(1, 2))


@register_dataclass
@dataclass(frozen=True)
class ActionRate:
    """Mean square of the change from one action to the next, in half ranges a control step.

    The change from the last action taken is the first one: without it a plan that is renewed at every step
    would be smooth and the executed actions would not.
    """

    knows_no_goal: ClassVar[bool] = True

    def __call__(self, model: Any, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return one cost for each of the `N` imagined futures."""
        return jnp.mean(action_changes(imagined, spec) ** 2, axis=(1, 2))


@register_dataclass
@dataclass(frozen=True)
class Reward:
    """Minus the sum of the predicted rewards, `discount ** h` for that of model step `h`.

    Raises:
      ValueError: the model predicts no rewards.
    """

    discount: Number = 1.0  # a model step

    knows_no_goal: ClassVar[bool] = True

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return one cost for each of the `N` imagined futures."""
        rewards = needed(imagined.rewards, "reward", "Reward", "train with the reward loss").astype(jnp.float32)
        discounts = jnp.asarray(self.discount, jnp.float32) ** jnp.arange(rewards.shape[1], dtype=jnp.float32)
        return -jnp.sum(rewards * discounts[None], axis=1)


@register_dataclass
@dataclass(frozen=True)
class Value:
    """Minus `discount ** H` times the value of the last latent: the predicted return beyond the horizon.

    Raises:
      ValueError: the model has no `value`.
    """

    discount: Number = 1.0  # a model step

    knows_no_goal: ClassVar[bool] = True

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return one cost for each of the `N` imagined futures."""
        value = needed(model.heads.value, "value", "Value", "train with the value loss")
        discount = jnp.asarray(self.discount, jnp.float32) ** imagined.latents.shape[1]
        return -discount * value(model.params, imagined.latents[:, -1]).astype(jnp.float32)


@register_dataclass
@dataclass(frozen=True)
class Return:
    """Minus the discounted return of an imagined future: the rewards on the way, and the value of the last latent.

    Where the model also predicts the probability that a step does not end the episode, later terms are scaled by it.

    Raises:
      ValueError: the model predicts no rewards, or has no `value`.
    """

    discount: Number = 0.99  # a model step

    knows_no_goal: ClassVar[bool] = True

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return one cost for each of the `N` imagined futures."""
        fix = "train one with objective=td"
        rewards = needed(imagined.rewards, "reward", "Return", fix).astype(jnp.float32)
        value = needed(model.heads.value, "value", "Return", fix)
        latents, steps, goes_on = imagined.latents, imagined.latents.shape[1], imagined.continuations
        goes_on = jnp.ones_like(rewards) if goes_on is None else goes_on.astype(jnp.float32)
        # [N, H] weight of later steps; a cumulative product would be an operation that no bundle may have.
        after = jax.lax.associative_scan(jnp.multiply, jnp.asarray(self.discount, jnp.float32) * goes_on, axis=1)
        before = jnp.concatenate([jnp.ones_like(after[:, :1]), after[:, : steps - 1]], axis=1)
        beyond = value(model.params, latents[:, -1]).astype(jnp.float32)
        return -(jnp.sum(before * rewards, axis=1) + after[:, -1] * beyond)


@register_dataclass
@dataclass(frozen=True)
class Custom:
    """A user-defined function: `function(model, imagined, spec, **data) -> [N]`, for a cost or a margin.

    `data` are numbers and arrays that may change without a recompile. The function itself is static: define it once,
    because each new `lambda` triggers a recompile.
    """

    function: Callable[..., Array] = static()
    data: dict[str, Any] = field(default_factory=dict)

    def __call__(self, model: Any, imagined: Imagined, spec: ActionSpec) -> Array:
        """Return the function's value for each of the `N` imagined futures."""
        return self.function(model, imagined, spec, **self.data)


@register_dataclass
@dataclass(frozen=True)
class Penalty:
    """Violation of a constraint, as a cost among others: only as good as the chosen weight.

    As a constraint of the objective, the same takes precedence over every cost.
    """

    of: Callable[..., Array]  # a constraint, or any function that returns margins

    def __call__(self, model: Any, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return the positive part of the margin."""
        return jnp.maximum(self.of(model, imagined, spec), 0.0)


def needed(part: T | None, name: str, user: str, fix: str) -> T:
    """Return `part`, which not every model has.

    Args:
      part: a head of the model, or one of its predictions.
      name: of the part.
      user: the cost or constraint that needs it.
      fix: how to get a model that has it.

    Raises:
      ValueError: it is None.
    """
    if part is None:
        raise ValueError(f"{user} needs a model with a {name} head, and this one has none: {fix}, or leave it out")
    return part


def action_changes(imagined: Imagined, spec: ActionSpec, past: int = 1) -> Float[Array, "N C A"]:
    """Return the change from each action to the next, in half ranges, C = T + past - 1 of them.

    Args:
      imagined: whose actions.
      spec: their bounds.
      past: number of actions before the first one, at most 3. Where they are not known, the earliest
        known one is repeated: as if nothing had moved before.
    """
    actions = imagined.actions
    known = [] if imagined.previous is None else [imagined.previous[None]]
    if known and imagined.earlier is not None:
        known.insert(0, imagined.earlier)
    before = jnp.concatenate(known)[-past:] if known else actions[:0, 0]
    first = jnp.broadcast_to(before[None], (len(actions), *before.shape))
    missing = jnp.repeat(jnp.concatenate([first, actions], axis=1)[:, :1], past - before.shape[0], axis=1)
    half = jnp.where(spec.half_range > 0, spec.half_range, 1.0)
    return jnp.diff(jnp.concatenate([missing, first, actions], axis=1), axis=1) / half[None, None]


def over_time(steps: Float[Array, "N H"], running: Number, terminal: Number) -> Float[Array, "N"]:
    """Return the sum over the model steps of `running * c_h`, plus `terminal * c_H`."""
    return running * jnp.sum(steps, axis=1) + terminal * steps[:, -1]
