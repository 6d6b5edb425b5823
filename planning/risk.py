"""Risk over an ensemble of models: the reduction of the members' costs of one candidate to one cost.

A risk is taken on the cost of the whole trajectory, never step by step: a sum of worst steps mixes members, and
describes a future that none of them predicts. It is a distribution over the members, so that it also splits every
named term.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Float
from .imagined import Imagined
from .model import LatentModel
from .types import ActionSpec, Number


@runtime_checkable
class Risk(Protocol):
    """A pytree that weights each member."""

    def __call__(self, cost: Float[Array, "E N"]) -> Float[Array, "E N"]:
        """Return the share of each member in a candidate's cost: not negative, with sum 1 over the members.

        Whatever the shares, one member whose cost is not finite makes that of the candidate not finite (0 times
        infinity is NaN): a future that one model cannot predict is never chosen before one that all can.
        """
        ...

    def validate(self, members: int) -> None:
        """Raise ValueError, in one sentence, where this risk cannot be taken over this many members."""
        ...


@register_dataclass
@dataclass(frozen=True)
class Mean:
    """Average of the members' costs."""

    def __call__(self, cost: Float[Array, "E N"]) -> Float[Array, "E N"]:
        """Return equal shares."""
        return jnp.full_like(cost, 1.0 / cost.shape[0])

    def validate(self, members: int) -> None:
        """Accept any number of members."""


@register_dataclass
@dataclass(frozen=True)
class Worst:
    """Cost of the most pessimistic member."""

    def __call__(self, cost: Float[Array, "E N"]) -> Float[Array, "E N"]:
        """Return the full share for the member with the highest cost."""
        return jax.nn.one_hot(jnp.argmax(cost, axis=0), cost.shape[0], axis=0, dtype=cost.dtype)

    def validate(self, members: int) -> None:
        """Raise ValueError without an ensemble."""
        require_ensemble("the risk Worst", members)


@register_dataclass
@dataclass(frozen=True)
class CVaR:
    """Mean over the worst share `alpha` of the members: 1 is `Mean`, and at most 1 / E is `Worst`.

    Conditional value at risk of a discrete distribution (Rockafellar & Uryasev, 2000): where `alpha * E` is not a whole
    number, the last member counts in part.
    """

    alpha: Number = 0.5  # share of the members, in (0, 1]

    def __call__(self, cost: Float[Array, "E N"]) -> Float[Array, "E N"]:
        """Return shares that fill up to `alpha`, from the highest cost downwards."""
        count = jnp.asarray(self.alpha, jnp.float32) * cost.shape[0]
        rank = jnp.argsort(jnp.argsort(-cost, axis=0), axis=0)
        share = jnp.clip(count - rank.astype(jnp.float32), 0.0, 1.0)
        return share / jnp.sum(share, axis=0, keepdims=True)

    def validate(self, members: int) -> None:
        """Raise ValueError without an ensemble, or for a share outside (0, 1]."""
        if not isinstance(self.alpha, jax.core.Tracer) and not 0 < float(self.alpha) <= 1:
            raise ValueError(f"alpha of CVaR must lie in (0, 1]; got {float(self.alpha):g}")
        require_ensemble("the risk CVaR", members)


@register_dataclass
@dataclass(frozen=True)
class Disagreement:
    """Cost: the variance of the predicted latents across the members, summed over dimensions and model steps.

    It keeps a plan where the model is accurate. A known future (the oracle's) has no disagreement.

    Raises:
      ValueError: the model has no ensemble.
    """

    over_members: ClassVar[bool] = True  # it sees the latents of all members together

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """Return one cost for each of the `N` imagined futures, from latents [E, N, H, D]."""
        require_ensemble("the cost Disagreement", model.ensemble)
        if imagined.latents.ndim == 3:
            return jnp.zeros(imagined.latents.shape[0], jnp.float32)
        variance = jnp.var(imagined.latents.astype(jnp.float32), axis=0)
        return jnp.sum(variance, axis=(1, 2))


def require_ensemble(user: str, members: int) -> None:
    """Raise ValueError without several members to compare."""
    if members < 2:
        raise ValueError(
            f"{user} compares the members of an ensemble, and only one predicts: train an ensemble of at least "
            "2 and plan with members=null (all of them), or with risk=mean and without Disagreement"
        )
