"""From a task's observations to what a model takes: rows of numbers, and stacks of the last few of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from envs import Task
from envs.streams import episode_rng
from worldmodel.observation import ObservationSpec


def spec_of(task: Task) -> ObservationSpec:
    """The sensors of a task, as a model names them."""
    return ObservationSpec.of(task.sensors)


def goal_rows(task: Task, goals: Float[ndarray, "... G"]) -> Float[ndarray, "... E"]:
    """The rows of goals at rest, complete."""
    return np.asarray(spec_of(task).numpy_row(task.goal_observation(goals)), np.float32)


def goal_mask(task: Task) -> Bool[ndarray, "E"] | None:
    """What of a goal's row the task asks for; None: all of it."""
    spec, mask = spec_of(task), task.goal_mask
    by_sensor = mask if isinstance(mask, dict) else {spec.sensors[0].name: mask}
    asked = np.zeros(spec.size, bool)
    for name, place in spec.slices.items():
        asked[place] = np.ravel(by_sensor[name])
        if name in spec.flags:
            asked[spec.flags[name]] = asked[place].any()
    return None if asked.all() else asked


def goal_for(task: Task, goal: Float[ndarray, "G"]) -> Any:
    """A goal as a controller takes it: NaN, or a sensor left out, where the task asks for nothing."""
    spec, mask = spec_of(task), goal_mask(task)
    row = goal_rows(task, goal)
    if mask is not None:
        row = np.where(mask, row, np.float32(np.nan))
    if isinstance(task.goal_observation(goal), dict):
        return {name: row[place] for name, place in spec.slices.items() if not np.isnan(row[place]).all()}
    return row


def true_rows(task: Task, states: Float[ndarray, "... S"]) -> Float[ndarray, "... E"]:
    """The rows of what perfect sensors would read in these states."""
    return np.asarray(spec_of(task).numpy_row(task.observe(states)), np.float32)


def sensed_rows(task: Task, states: Float[ndarray, "N T S"], seed: int) -> Float[ndarray, "N T E"]:
    """The rows of what the sensors would read along `N` futures: each with the same noise, and the same missing.

    What a model has learned to encode: readings that are complete at every moment it may never have seen.
    """
    if type(task).sense is Task.sense:
        return true_rows(task, states)
    rngs = [np.random.default_rng(seed) for _ in states]
    return np.asarray(spec_of(task).numpy_row(task.sense(states, rngs)), np.float32)


@final
class Senses:
    """What the sensors of a batch of episodes read, with their noise and what is missing.

    Args:
      task: whose sensors.
      seed: of the episodes.
      numbers: of the episodes: each has random numbers of its own.
    """

    def __init__(self, task: Task, seed: int, numbers: Sequence[int] | range):
        self._task, self._spec = task, spec_of(task)
        self._rngs = [episode_rng(seed, "sense", number) for number in numbers]

    def rows(self, states: Float[ndarray, "B S"]) -> Float[ndarray, "B E"]:
        """One reading of every episode, as rows."""
        return np.asarray(self._spec.numpy_row(self._task.sense(states, self._rngs)), np.float32)


def repeated(rows: Float[ndarray, "... E"], history: int) -> Float[ndarray, "... P E"]:
    """The stack of a body that does not move: `history` times the same moment."""
    return np.repeat(rows[..., None, :], history, axis=-2)


def stacks(rows: Float[ndarray, "L E"], history: int) -> Float[ndarray, "L P E"]:
    """The stack that ends at each moment of an episode; the first moment is repeated before its start."""
    wanted = np.arange(len(rows))[:, None] - np.arange(history - 1, -1, -1)
    return rows[np.maximum(wanted, 0)]


@final
class History:
    """The last moments of a batch of episodes that run side by side."""

    def __init__(self, length: int):
        self._length = length
        self._stacks: ndarray | None = None

    def push(self, rows: Float[ndarray, "B E"]) -> Float[ndarray, "B P E"]:
        """Take in the newest moments; the stacks that end with them. The first moment of all is repeated before it."""
        if self._stacks is None:
            self._stacks = repeated(rows, self._length)
        else:
            self._stacks = np.concatenate([self._stacks[:, 1:], rows[:, None]], axis=1)
        return self._stacks
