"""A model's planner or reflex as the behaviour of a collection: it pursues goals in a batch of episodes."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from envs import Task
from envs.behaviours import Generators

from ..moments import goal_mask, goal_rows, rows_of
from ..policy import ModelPolicy, Start
from ..reactive import ReactivePolicy


@final
class ModelPursuer:
    """Pursuer (`envs.pursuit`) that acts by a policy of a model, from what its own sensors read.

    Args:
      policy: of the model.
      task: observed as the model was trained; the one that is collected from may be observed by other sensors.
      model: embeds pictures.
      words: that name the model in the dataset, as JSON.
    """

    def __init__(self, policy: ModelPolicy | ReactivePolicy, task: Task, model: Any, words: dict[str, Any]):
        self._policy, self._task, self._model, self._words = policy, task, model, words
        self._size = 0  # of the largest batch yet: a smaller one is filled up, since a policy is compiled for a size

    def begin(self, goals: Float[ndarray, "B G"], numbers: Int[ndarray, "B"]) -> None:
        """Begin new episodes."""
        self._count, self._size = len(goals), max(self._size, len(goals))
        self._rows = goal_rows(self._task, goals, self._model)
        space: Any = self._task.action_space
        start = Start()
        start.low, start.high = np.asarray(space.low), np.asarray(space.high)
        start.numbers, start.goals = self._filled(numbers).tolist(), self._filled(self._rows)
        start.goal_mask = goal_mask(self._task, self._model)
        self._policy.reset(start)

    def redirect(self, goals: Float[ndarray, "B G"], which: Bool[ndarray, "B"]) -> None:
        """Set other goals in some of the episodes."""
        self._rows[which] = goal_rows(self._task, goals[which], self._model)
        padded = np.concatenate([which, np.zeros(self._size - self._count, bool)])
        self._policy.redirect(self._filled(self._rows), padded)

    def act(self, states: Float[ndarray, "B S"], rngs: Generators) -> Float[ndarray, "B A"]:
        """Next action of each episode."""
        rows = rows_of(self._task, self._task.sense(states, rngs), self._model)
        return self._policy.act(self._filled(rows), np.arange(self._size) < self._count)[: self._count]

    def describe(self) -> dict[str, Any]:
        """The model, as JSON."""
        return self._words

    def _filled(self, values: ndarray) -> ndarray:
        """Values of a whole batch: the first one is repeated."""
        return np.concatenate([values, np.repeat(values[:1], self._size - len(values), axis=0)])
