"""Imagined futures as costs and constraints see them, and what these share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Float
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
