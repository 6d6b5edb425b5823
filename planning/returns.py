"""Costs of models that predict rewards: rewards on the way, and the value beyond the horizon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Float
from .imagined import Imagined, needed
from .model import LatentModel
from .types import ActionSpec, Number


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
