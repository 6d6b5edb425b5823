"""Policies that act without a plan: from the last observations and the goal to an action, in one call of a function.

The model's own policy head is one, the `reflex`; behaviour cloning and reinforcement learning give others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from envs import Task

from ..moments import History, Senses, goal_mask, goal_rows, repeated
from .protocols import Pairs


class ReactivePolicy:
    """`act(stacks [B, P, E], goals) -> [B, A]`, in raw units, of readings alone, clipped to the bounds.

    `see_goals` makes of the rows of goals `[B, E]` what `act` takes as goals, once an episode.
    """

    def __init__(
        self,
        name: str,
        task: Task,
        history: int,
        see_goals: Callable[[Float[ndarray, "B E"]], Any],
        act: Callable[[Float[ndarray, "B P E"], Any], Any],
    ):
        self.name = name
        self._task = task
        self._history = history
        self._see_goals = see_goals
        self._act = act
        space: Any = task.action_space
        self._low, self._high = np.asarray(space.low), np.asarray(space.high)
        self._goals: Any = None
        self._senses: Senses | None = None
        self._past = History(history)

    def reset(self, pairs: Pairs) -> None:
        """Begin an episode a pair: nothing is observed yet."""
        self._goals = self._see_goals(goal_rows(self._task, pairs.goals))
        self._senses, self._past = Senses(self._task, 0, pairs.numbers), History(self._history)

    def act(self, states: Float[ndarray, "B S"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """What it does on seeing the observations of `states`."""
        assert self._senses is not None
        return self.act_on(self._senses.rows(states), active)

    def act_on(self, rows: Float[ndarray, "B E"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """What it does on these rows of readings; an episode's first is repeated, since nothing came before it."""
        stacks = self._past.push(np.asarray(rows, np.float32))
        return np.clip(np.asarray(self._act(stacks, self._goals)), self._low, self._high)


def reflex(task: Task, model: Any) -> ReactivePolicy:
    """The model's policy head alone: the first action of the block that it gives, anew at each step.

    Raises:
      ValueError: the model has no policy head.
    """
    if model.heads.policy is None:
        raise ValueError(
            "the policy reflex needs a model with a policy head, and this one has none: train it with one, or leave "
            "reflex out of the policies"
        )

    mask = goal_mask(task)

    def see_goals(rows: Float[ndarray, "B E"]) -> Any:
        if mask is not None and model.heads.goal is not None:
            return model.heads.goal(model.params, jnp.asarray(rows), jnp.broadcast_to(jnp.asarray(mask), rows.shape))
        return _encode(model, repeated(rows, model.history))

    return ReactivePolicy("reflex", task, model.history, see_goals, lambda stacks, goals: _reflex(model, stacks, goals))


# Compiled once a process and shape: another model of the same shape is only another argument.
@jax.jit
def _encode(model: Any, stacks: Any) -> Any:
    return model.encode(model.params, jnp.asarray(stacks))


@jax.jit
def _reflex(model: Any, stacks: Any, goals: Any) -> Any:
    return model.heads.policy(model.params, model.encode(model.params, jnp.asarray(stacks)), goals)[..., 0, :]
