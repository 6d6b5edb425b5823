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

from .protocols import Pairs


class ReactivePolicy:
    """`act(stacks [B, P, O], goals) -> [B, A]`, in raw units, of observations alone, clipped to the bounds.

    `see_goals` makes of goal observations `[B, O]` what `act` takes as goals, once an episode.
    """

    def __init__(
        self,
        name: str,
        task: Task,
        history: int,
        see_goals: Callable[[Float[ndarray, "B O"]], Any],
        act: Callable[[Float[ndarray, "B P O"], Any], Any],
    ):
        self.name = name
        self._task = task
        self._history = history
        self._see_goals = see_goals
        self._act = act
        space: Any = task.action_space
        self._low, self._high = np.asarray(space.low), np.asarray(space.high)
        self._goals: Any = None
        self._stacks: ndarray | None = None

    def reset(self, pairs: Pairs) -> None:
        """Begin an episode a pair: nothing is observed yet."""
        self._goals = self._see_goals(self._task.goal_observation(pairs.goals).astype(np.float32))
        self._stacks = None

    def act(self, states: Float[ndarray, "B S"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """What it does on seeing the observations of `states`."""
        return self.act_on(self._task.observe(states), active)

    def act_on(self, observations: Float[ndarray, "B O"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """What it does on reading `observations`; an episode's first one is repeated, since nothing came before it."""
        seen = np.asarray(observations, np.float32)[:, None]
        if self._stacks is None:
            self._stacks = np.repeat(seen, self._history, axis=1)
        else:
            self._stacks = np.concatenate([self._stacks[:, 1:], seen], axis=1)
        return np.clip(np.asarray(self._act(self._stacks, self._goals)), self._low, self._high)


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

    def see_goals(observations: Float[ndarray, "B O"]) -> Any:
        return _encode(model, np.repeat(observations[:, None], model.history, axis=1))

    return ReactivePolicy("reflex", task, model.history, see_goals, lambda stacks, goals: _reflex(model, stacks, goals))


# Compiled once a process and shape: another model of the same shape is only another argument.
@jax.jit
def _encode(model: Any, stacks: Any) -> Any:
    return model.encode(model.params, jnp.asarray(stacks))


@jax.jit
def _reflex(model: Any, stacks: Any, goals: Any) -> Any:
    return model.heads.policy(model.params, model.encode(model.params, jnp.asarray(stacks)), goals)[..., 0, :]
