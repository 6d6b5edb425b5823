"""Policies that act without a plan: from the last observations and the goal to an action, in one call of a function.

The model's own policy head is one, the `reflex`; behaviour cloning and reinforcement learning give others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from planning.model import reflex_action
from planning.solutions import nearest, solutions

from .moments import History
from .policy import Start


@final
class ReactivePolicy:
    """Policy `act(stacks [B, P, E], goals) -> [B, A]`, in raw units, from readings only, clipped to the bounds.

    Args:
      name: in tables and records.
      history: P, how many observations `act` takes; an episode's first is repeated before its start.
      see_goals: converts the rows of goals `[B, E]` to the goals of `act`, once per episode.
      act: the policy.
    """

    def __init__(
        self,
        name: str,
        history: int,
        see_goals: Callable[[Float[ndarray, "B E"]], Any],
        act: Callable[[Float[ndarray, "B P E"], Any], Any],
    ):
        self.name = name
        self._history, self._see_goals, self._act = history, see_goals, act

    def reset(self, episodes: Start) -> None:
        """Begin new episodes: nothing is observed yet."""
        self._low, self._high = episodes.low, episodes.high
        self._rows, self._past = episodes.goals, History(self._history)
        self._goals = self._see_goals(self._rows)

    def redirect(self, goals: Float[ndarray, "B E"], which: Bool[ndarray, "B"]) -> None:
        """Set other goals in some of the episodes, which go on from where they are."""
        self._rows = np.where(which[:, None], goals, self._rows)
        self._goals = self._see_goals(self._rows)

    def act(self, observations: Float[ndarray, "B E"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """Actions for the latest observations and the goals."""
        stacks = self._past.push(np.asarray(observations, np.float32))
        return np.clip(np.asarray(self._act(stacks, self._goals)), self._low, self._high)


def reflex(model: Any, mask: Bool[ndarray, "E"] | None = None) -> ReactivePolicy:
    """The model's policy head alone: the mean of its next block of actions, evaluated at each step.

    Args:
      model: of goals or of rewards, with a policy head.
      mask: which readings of a goal count; None: all of them.

    Raises:
      ValueError: the model has no policy head.
    """
    if model.heads.policy is None:
        raise ValueError(
            "the policy reflex needs a model with a policy head, and this one has none: train it with one, or leave "
            "reflex out of the policies"
        )

    def see_goals(rows: Float[ndarray, "B E"]) -> Any:
        return _solutions(model, rows, mask)

    return ReactivePolicy("reflex", model.history, see_goals, lambda stacks, goals: _reflex(model, stacks, goals))


# Compiled once per process and shape: another model of the same shape is only another argument.
@jax.jit
def _solutions(model: Any, rows: Any, mask: Any) -> Any:
    return jax.vmap(lambda row: solutions(model, row, mask))(jnp.asarray(rows))


@jax.jit
def _reflex(model: Any, stacks: Any, goals: Any) -> Any:
    latents = model.encode(model.params, jnp.asarray(stacks))
    if goals.shape[1] == 1:
        chosen = goals[:, 0]
    else:
        chosen = jax.vmap(lambda latent, several: nearest(model, latent, several))(latents, goals)
    return reflex_action(model.heads.policy(model.params, latents, chosen), model.action_block)
