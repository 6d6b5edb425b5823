"""Costs of imagined futures: small pytrees, `cost(model, imagined, spec) -> [N]`, lower is better.

A cost has no weight in the sum: weights belong to the objective. `running` and `terminal` weight each
model step and the last one; both are leaves, so they change without a recompile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Float
from .imagined import Imagined, action_changes, over_time
from .model import LatentModel
from .pytree import static
from .types import ActionSpec, Number


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
