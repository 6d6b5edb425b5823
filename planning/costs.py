"""Costs of imagined futures: small pytrees, `cost(model, imagined, spec) -> [N]`, lower is better.

A cost holds no weight of its own place in the sum: that is the objective's. `running` and `terminal` say how much each
model step and the last one count; both are leaves, so they change without a new compile.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .types import ActionSpec, LatentModel, Leaf, Number


@partial(jax.tree_util.register_dataclass, data_fields=["root", "latents", "goal", "actions"], meta_fields=[])
@dataclass(frozen=True)
class Imagined:
    """What the model foresees of `N` action sequences from one root. `latents` begin after the first action block."""

    root: Leaf  # [D]
    latents: Leaf  # [N, H, D]
    goal: Leaf  # [D]
    actions: Leaf  # [N, T, A]


@runtime_checkable
class Cost(Protocol):
    """Anything callable that is a pytree: a new cost is one frozen dataclass like those below."""

    def __call__(self, model: Any, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """One cost for each of the `N` imagined futures."""
        ...


@partial(jax.tree_util.register_dataclass, data_fields=["running", "terminal"], meta_fields=[])
@dataclass(frozen=True)
class GoalDistance:
    """Squared Euclidean distance to the goal in representation space."""

    running: Number = 1.0
    terminal: Number = 0.0

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """One cost for each of the `N` imagined futures."""
        latents = imagined.latents.astype(jnp.float32)
        goal = imagined.goal.astype(jnp.float32)
        return over_time(jnp.sum((latents - goal[None, None]) ** 2, axis=-1), self.running, self.terminal)


@partial(jax.tree_util.register_dataclass, data_fields=["running", "terminal"], meta_fields=[])
@dataclass(frozen=True)
class TemporalDistance:
    """Environment steps that remain to the goal, as the model's own temporal-distance critic sees it.

    Raises:
      ValueError: the model has no `distance`.
    """

    running: Number = 1.0
    terminal: Number = 0.0

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """One cost for each of the `N` imagined futures."""
        distance = model.distance
        if distance is None:
            raise ValueError(
                "the cost TemporalDistance needs a model with a temporal-distance head, and this one has none: "
                "train with the distance loss, or plan with GoalDistance"
            )
        shape = imagined.latents.shape
        # vmap over the latents alone: what depends on the goal only is computed once, not N x H times.
        remaining = jax.vmap(lambda latent: distance(model.params, latent, imagined.goal))
        steps = remaining(imagined.latents.reshape(-1, shape[-1])).reshape(shape[:2])
        return over_time(steps.astype(jnp.float32), self.running, self.terminal)


@partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=[])
@dataclass(frozen=True)
class Effort:
    """Mean square of the actions, from the middle of their bounds in half ranges: 0 at rest, 1 at the bounds."""

    def __call__(self, model: Any, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """One cost for each of the `N` imagined futures."""
        half = jnp.where(spec.half_range > 0, spec.half_range, 1.0)  # a locked action costs nothing
        relative = (imagined.actions - spec.middle[None, None]) / half[None, None]
        return jnp.mean(relative**2, axis=(1, 2))


def over_time(steps: Float[Array, "N H"], running: Number, terminal: Number) -> Float[Array, "N"]:
    """Sum over the model steps of `running * c_h`, plus `terminal * c_H`."""
    return running * jnp.sum(steps, axis=1) + terminal * steps[:, -1]
