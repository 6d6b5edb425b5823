"""Risk over an ensemble of models: how the members' costs of one candidate become one cost.

A risk is taken on the cost of the whole trajectory, never step by step: a sum of worst steps mixes members, and
describes a future that none of them foresees. It is a distribution over the members, so that it splits every named term
as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Float
from .costs import Imagined
from .model import LatentModel
from .types import ActionSpec, Number


@runtime_checkable
class Risk(Protocol):
    """A pytree that says how much each member counts."""

    def __call__(self, cost: Float[Array, "E N"]) -> Float[Array, "E N"]:
        """The share of each member in a candidate's cost: not negative, with sum 1 over the members.

        Whatever the shares, one member whose cost is not finite makes that of the candidate not finite (0 times
        infinity is no number): a future that one model cannot tell is never chosen before one that all can.
        """
        ...

    def validate(self, members: int) -> None:
        """Raise ValueError, in one sentence, where this risk cannot be taken over so many members."""
        ...


@register_dataclass
@dataclass(frozen=True)
class Mean:
    """What the members expect on average."""

    def __call__(self, cost: Float[Array, "E N"]) -> Float[Array, "E N"]:
        """Equal shares."""
        return jnp.full_like(cost, 1.0 / cost.shape[0])

    def validate(self, members: int) -> None:
        """Any model will do."""


@register_dataclass
@dataclass(frozen=True)
class Worst:
    """What the most pessimistic member expects."""

    def __call__(self, cost: Float[Array, "E N"]) -> Float[Array, "E N"]:
        """All to the member with the highest cost."""
        return jax.nn.one_hot(jnp.argmax(cost, axis=0), cost.shape[0], axis=0, dtype=cost.dtype)

    def validate(self, members: int) -> None:
        """An ensemble is needed."""
        require_ensemble("the risk Worst", members)


@register_dataclass
@dataclass(frozen=True)
class CVaR:
    """The mean over the worst share `alpha` of the members: 1 is `Mean`, and at most 1 / E is `Worst`.

    Conditional value at risk of a discrete distribution (Rockafellar & Uryasev, 2000): where `alpha * E` is no whole
    number, the last member counts in part.
    """

    alpha: Number = 0.5  # share of the members, in (0, 1]

    def __call__(self, cost: Float[Array, "E N"]) -> Float[Array, "E N"]:
        """Shares that fill up to `alpha`, from the highest cost downwards."""
        count = jnp.asarray(self.alpha, jnp.float32) * cost.shape[0]
        rank = jnp.argsort(jnp.argsort(-cost, axis=0), axis=0)
        share = jnp.clip(count - rank.astype(jnp.float32), 0.0, 1.0)
        return share / jnp.sum(share, axis=0, keepdims=True)

    def validate(self, members: int) -> None:
        """An ensemble is needed, and a share in (0, 1]."""
        if not isinstance(self.alpha, jax.core.Tracer) and not 0 < float(self.alpha) <= 1:
            raise ValueError(f"alpha of CVaR must lie in (0, 1]; got {float(self.alpha):g}")
        require_ensemble("the risk CVaR", members)


@register_dataclass
@dataclass(frozen=True)
class Disagreement:
    """A cost: the variance of the predicted latents across the members, summed over dimensions and model steps.

    It keeps a plan where the model knows what it is doing. A future that is known (the oracle's) has none.

    Raises:
      ValueError: the model has no ensemble.
    """

    over_members: ClassVar[bool] = True  # it sees the latents of all members at once

    def __call__(self, model: LatentModel, imagined: Imagined, spec: ActionSpec) -> Float[Array, "N"]:
        """One cost for each of the `N` imagined futures, from latents [E, N, H, D]."""
        require_ensemble("the cost Disagreement", model.ensemble)
        if imagined.latents.ndim == 3:
            return jnp.zeros(imagined.latents.shape[0], jnp.float32)
        variance = jnp.var(imagined.latents.astype(jnp.float32), axis=0)
        return jnp.sum(variance, axis=(1, 2))


def require_ensemble(user: str, members: int) -> None:
    """Raise ValueError where there is nothing to compare."""
    if members < 2:
        raise ValueError(
            f"{user} compares the members of an ensemble, and a single one imagines: train an ensemble of at least "
            "2 and plan with members=null (all of them), or with risk=mean and without Disagreement"
        )
