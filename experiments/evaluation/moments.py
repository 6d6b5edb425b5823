"""Conversion of a task's observations to model inputs: rows of numbers, and stacks of the latest rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from envs import Task
from envs.goal_parts import HasParts, asking
from envs.reward_task import RewardTask
from envs.streams import episode_rng
from worldmodel.observation import ObservationSpec

from ..build.embeddings import embedded

Observed = Task | RewardTask


def spec_of(task: Observed) -> ObservationSpec:
    """Observation specification of a task's sensors, with a model's names."""
    return ObservationSpec.of(task.sensors)


def rows_of(task: Observed, observation: Any, model: Any = None) -> Float[ndarray, "... E"]:
    """Rows of observations: raw readings of vectors, and the features of pictures.

    Args:
      task: that the observations are of.
      observation: `[..., *shape]` of each sensor.
      model: embeds pictures; None: a policy looks at none, and where there are pictures, rows have no columns.
    """
    spec = spec_of(task)
    if spec.is_vectors:
        return np.asarray(spec.numpy_row(observation), np.float32)
    batch = observation[spec.sensors[0].name].shape[: -len(spec.sensors[0].shape)]
    if model is None:
        return np.zeros((*batch, 0), np.float32)
    flat = {name: values.reshape((-1, *values.shape[len(batch) :])) for name, values in observation.items()}
    return embedded(model, flat).reshape((*batch, -1))


def goal_rows(task: Task, goals: Float[ndarray, "... G"], model: Any = None) -> Float[ndarray, "... E"]:
    """Complete rows of goals at rest."""
    if model is None and not spec_of(task).is_vectors:
        return np.zeros((*goals.shape[:-1], 0), np.float32)
    return rows_of(task, task.goal_observation(goals), model)


def goal_mask(task: Task, model: Any = None) -> Bool[ndarray, "E"] | None:
    """Mask of the entries of a goal's row that the task requires; None: all of them."""
    spec, mask = spec_of(task) if model is None else model.observation, task.goal_mask
    by_sensor = mask if isinstance(mask, dict) else {spec.sensors[0].name: mask}
    required = np.zeros(spec.size, bool)
    for name, place in spec.slices.items():
        asked = np.ravel(by_sensor[name])
        required[place] = asked if len(asked) == place.stop - place.start else asked.all()
        if name in spec.flags:
            required[spec.flags[name]] = required[place].any()
    return None if required.all() else required


def asked_of(task: Task) -> tuple[tuple[bool, ...], ...]:
    """Return what goals of a task specify: all that it asks for, and each part alone; nothing where that is all."""
    each = [task]
    if isinstance(task, HasParts) and len(task.asked) > 1:
        each += [asking(task, [part]) for part in task.asked]
    masks = [goal_mask(one) for one in each]
    return tuple(tuple(mask.tolist()) for mask in masks if mask is not None)


def goal_for(task: Task, goal: Float[ndarray, "G"]) -> Any:
    """Goal in a controller's format: NaN, or an omitted sensor, where the task requires nothing."""
    if not spec_of(task).is_vectors:
        return task.goal_observation(goal)
    spec, mask = spec_of(task), goal_mask(task)
    row = goal_rows(task, goal)
    if mask is not None:
        row = np.where(mask, row, np.float32(np.nan))
    if isinstance(task.goal_observation(goal), dict):
        return {name: row[place] for name, place in spec.slices.items() if not np.isnan(row[place]).all()}
    return row


def true_rows(task: Task, states: Float[ndarray, "... S"], model: Any = None) -> Float[ndarray, "... E"]:
    """Rows of ideal sensor readings in these states."""
    if model is None and not spec_of(task).is_vectors:
        return np.zeros((*states.shape[:-1], 0), np.float32)
    return rows_of(task, task.observe(states), model)


def sensed_rows(task: Task, states: Float[ndarray, "N T S"], seed: int, model: Any = None) -> Float[ndarray, "N T E"]:
    """Rows of simulated sensor readings along `N` futures: all with the same noise and the same missing readings.

    These match the training inputs: a model may never have seen readings that are complete at every moment.
    """
    if not task.noisy:
        return true_rows(task, states, model)
    rngs = [np.random.default_rng(seed) for _ in states]
    return rows_of(task, task.sense(states, rngs), model)


@final
class Senses:
    """Sensor readings of a batch of episodes, with noise and missing readings.

    Args:
      task: with the sensors.
      seed: of the episodes.
      numbers: of the episodes; each has its own random stream.
      model: see `rows_of`.
    """

    def __init__(self, task: Task, seed: int, numbers: Sequence[int] | range, model: Any = None):
        self._task, self._model = task, model
        self._rngs = [episode_rng(seed, "sense", number) for number in numbers]

    def rows(self, states: Float[ndarray, "B S"]) -> Float[ndarray, "B E"]:
        """One reading of every episode, as rows."""
        if not self._task.noisy:
            return true_rows(self._task, states, self._model)
        return rows_of(self._task, self._task.sense(states, self._rngs), self._model)


def repeated(rows: Float[ndarray, "... E"], history: int) -> Float[ndarray, "... P E"]:
    """Stack of a body at rest: the same moment repeated `history` times."""
    return np.repeat(rows[..., None, :], history, axis=-2)


def stacks(rows: Float[ndarray, "L E"], lags: Sequence[int]) -> Float[ndarray, "L P E"]:
    """Stack that ends at each moment of an episode; the first moment is repeated before its start.

    Args:
      rows: of the episode's moments.
      lags: steps from the newest moment of a stack back to each one, as a model gives them.
    """
    index = np.arange(len(rows))[:, None] - np.asarray(lags)
    return rows[np.maximum(index, 0)]


@final
class History:
    """Latest moments of a batch of parallel episodes."""

    def __init__(self, length: int):
        self._length = length
        self._stacks: ndarray | None = None

    def push(self, rows: Float[ndarray, "B E"]) -> Float[ndarray, "B P E"]:
        """Append the newest moments and return the stacks that end with them. The first is repeated before it."""
        if self._stacks is None:
            self._stacks = repeated(rows, self._length)
        else:
            self._stacks = np.concatenate([self._stacks[:, 1:], rows[:, None]], axis=1)
        return self._stacks
