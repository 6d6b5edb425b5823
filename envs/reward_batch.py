"""Batch of environments, stepped sequentially, with automatic resets and tolerance of faults in single environments.

They run in this thread: a step of a simulator costs less than handing it to another process would on a few cores. The
whole batch can be stopped at any step and resumed exactly.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from numpy.typing import ArrayLike

from .reward_task import RewardTask, Step
from .sensors import Observation, each, finite, put, zeros
from .snapshot import Snapshot, part, prefixed
from .streams import stream as stream_number

_MAX_FAULTS = 10  # in a row, of one environment, before the batch gives up
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_log = logging.getLogger(__name__)


class Steps(NamedTuple):
    """One decision in each of E environments, in rows that can be stored as they are: all but `returns` is finite.

    `dropped[e] = n > 0` marks the episode of environment e as invalid: its last n rows, including this one, are to be
    taken back. Store the rows first, then take back; `next_observations` of an ended episode is its own last one, and
    the first of the next is in `RewardBatch.observations`.
    """

    observations: Any  # [E, O] float32, or [E, ...] by sensor, for which the actions were chosen
    actions: ndarray  # [E, A] float32, as executed: clipped to the raw bounds
    rewards: ndarray  # [E] float32, summed over the control steps of the decision
    next_observations: Any  # likewise, after them
    terminated: ndarray  # [E] bool
    truncated: ndarray  # [E] bool
    control_steps: ndarray  # [E] int64, action repeat counted
    dropped: ndarray  # [E] int64, rows to take back, this one included; 0 if the step is valid
    returns: ndarray  # [E] float64, undiscounted return of the episode that ended here; nan if none ended
    lengths: ndarray  # [E] int64, its control steps; 0 if none ended


class RewardBatch:
    """E environments of one kind. `observations` holds what the next actions are to be chosen on.

    Episode k of environment e has its own seed, drawn from `seed`, the random stream's name, e and k: two batches with
    other streams ("collect", "evaluate") never share an episode.

    An environment that raises, or whose observation or reward is not finite, is recreated and begins its next episode;
    the invalid episode is taken back (`Steps.dropped`), counted in `faults` and logged once per kind.

    Args:
      task_factory: makes one environment.
      count: E.
      seed: of all episodes.
      stream: name of the random stream: "collect" or "evaluate".

    Attributes:
      observations: `[E, O]` float32, or `[E, ...]` by sensor.
      env_steps: control steps taken so far, those of dropped episodes among them.
      dropped_episodes: number of dropped episodes.
      dropped_steps: number of decisions taken back with them.
      faults: number of faults of each kind.

    Raises:
      ValueError: no environment, an unknown stream, or a factory that returns one environment twice.
    """

    def __init__(self, task_factory: Callable[[], RewardTask], count: int, seed: int, stream: str = "collect"):
        if count < 1:
            raise ValueError(f"count is {count}, but a batch needs at least one environment")
        self._factory, self.count, self.seed, self.stream = task_factory, count, seed, stream
        stream_number(stream)
        self.tasks = [task_factory() for _ in range(count)]
        if len({id(getattr(getattr(task, "env", task), "unwrapped", task)) for task in self.tasks}) < count:
            raise ValueError("task_factory returned one environment twice: it has to make a new one at every call")
        self.task = self.tasks[0]  # its name, sizes and bounds are those of all
        self.env_steps = self.dropped_episodes = self.dropped_steps = 0
        self.faults: Counter[str] = Counter()
        self.observations: Any = zeros(self.task.sensors, count)
        self._episodes = np.zeros(count, np.int64)  # begun so far
        self._decisions, self._lengths = np.zeros(count, np.int64), np.zeros(count, np.int64)  # of the running ones
        self._returns = np.zeros(count)
        self._in_a_row = np.zeros(count, np.int64)
        for index in range(count):
            self._begin(index)

    def step(self, actions: ArrayLike) -> Steps:
        """One decision `[E, A]` in every environment, in the raw bounds; environments whose episode ends are reset.

        Raises:
          ValueError: actions of another shape, or not finite.
          RuntimeError: one environment failed ten times in a row.
        """
        chosen = np.asarray(actions, np.float32)
        if chosen.shape != (self.count, self.task.action_size):
            raise ValueError(
                f"the actions have shape {chosen.shape}, but {self.count} environments of {self.task.name} take "
                f"({self.count}, {self.task.action_size})"
            )
        if not np.isfinite(chosen).all():
            raise ValueError(f"the actions of environments {_not_finite(chosen)} are not finite: every value has to be")
        steps = _blank(self.observations, np.clip(chosen, self.task.low, self.task.high))
        self.observations = each(np.copy, self.observations)  # the caller may still hold the old arrays
        for index in range(self.count):
            self._step_one(index, steps)
        self.env_steps += int(steps.control_steps.sum())
        return steps

    def snapshot(self) -> Snapshot:
        """Return the state of the whole batch: a flat mapping of numeric arrays and JSON values."""
        moments = [task.snapshot() for task in self.tasks]
        return {
            **self._identity(),
            "env_steps": self.env_steps,
            "dropped_episodes": self.dropped_episodes,
            "dropped_steps": self.dropped_steps,
            "faults": json.dumps(self.faults),
            **{name: array.copy() for name, array in self._arrays().items()},
            **{
                name: value
                for index, moment in enumerate(moments)
                if moment is not None
                for name, value in prefixed(f"env{index}", moment).items()
            },
        }

    def restore(self, snapshot: Mapping[str, Any]) -> Bool[ndarray, "E"]:
        """Resume from `snapshot`: True for the environments whose episode continues bit for bit.

        Where it is False (no snapshot of the environment, or other versions), a new episode has begun, so that the
        last stored row of that environment is the end of a truncated episode; a line is logged.

        Raises:
          ValueError: the snapshot is of another task, action repeat, number of environments, seed or stream.
        """
        for what, here in self._identity().items():
            if snapshot[what] != here:
                raise ValueError(
                    f"the snapshot was taken with {what} {snapshot[what]!r}, but this batch has {here!r}: build it as "
                    "it was then to go on"
                )
        self.env_steps = snapshot["env_steps"]
        self.dropped_episodes, self.dropped_steps = snapshot["dropped_episodes"], snapshot["dropped_steps"]
        self.faults = Counter(json.loads(snapshot["faults"]))
        self.observations = each(np.copy, self.observations)
        for name, array in self._arrays().items():
            array[...] = snapshot[name]
        exact = np.zeros(self.count, bool)
        for index, task in enumerate(self.tasks):
            if not (moment := part(f"env{index}", snapshot)):
                self._begin_instead(index, "its state cannot be stored")
                continue
            try:
                task.restore(moment)
                exact[index] = True
            except ValueError as error:
                self._begin_instead(index, str(error))
        return exact

    def close(self) -> None:
        """Close every environment."""
        for task in self.tasks:
            task.close()

    def _step_one(self, index: int, steps: Steps) -> None:
        self._decisions[index] += 1
        try:
            step = self.tasks[index].step(steps.actions[index])
        except Exception as error:
            steps.control_steps[index] = self.task.action_repeat  # the actual number is unknown
            self._drop(index, steps, f"raised {type(error).__name__}", error)
            return
        steps.control_steps[index] = step.control_steps
        if fault := _fault(step):
            self._drop(index, steps, fault, None)
            return
        put(steps.next_observations, index, step.observation)
        put(self.observations, index, step.observation)
        steps.rewards[index] = step.reward
        self._returns[index] += step.reward
        self._lengths[index] += step.control_steps
        if step.terminated or step.truncated:
            steps.terminated[index], steps.truncated[index] = step.terminated, step.truncated
            steps.returns[index], steps.lengths[index] = self._returns[index], self._lengths[index]
            self._in_a_row[index] = 0
            self._begin(index)

    def _drop(self, index: int, steps: Steps, kind: str, cause: Exception | None) -> None:
        """Mark the running episode as invalid and begin the next one."""
        steps.dropped[index] = self._decisions[index]
        steps.truncated[index] = True
        self.dropped_episodes += 1
        self.dropped_steps += int(self._decisions[index])
        self._renew(index, kind, cause)
        self._begin(index)

    def _begin(self, index: int) -> None:
        """Begin the next episode of one environment; recreate the environment if its reset fails."""
        self._decisions[index] = self._lengths[index] = self._returns[index] = 0
        while True:
            identity = [self.seed, stream_number(self.stream), index, int(self._episodes[index])]
            self._episodes[index] += 1
            try:
                observation = self.tasks[index].reset(int(np.random.default_rng(identity).integers(2**31)))
            except Exception as error:
                self._renew(index, f"raised {type(error).__name__}", error)
                continue
            if finite(observation):
                put(self.observations, index, observation)
                return
            self._renew(index, "gave an observation that is not finite", None)

    def _renew(self, index: int, kind: str, cause: Exception | None) -> None:
        """Count and log a fault, and recreate the environment. Raises RuntimeError at the tenth in a row."""
        self._in_a_row[index] += 1
        description = f"{self.task.name} {kind} at decision {self._decisions[index]}" + (f" ({cause})" if cause else "")
        if self._in_a_row[index] >= _MAX_FAULTS:
            raise RuntimeError(
                f"{description}, and so did {_MAX_FAULTS} episodes of environment {index} in a row: run "
                "check_reward_task on it, and fix what it reports"
            ) from cause
        if not self.faults[kind]:
            _log.warning("%s: the episode is dropped and the environment made anew (said once a kind)", description)
        self.faults[kind] += 1
        with contextlib.suppress(Exception):  # a broken environment may fail to close
            self.tasks[index].close()
        self.tasks[index] = self._factory()

    def _begin_instead(self, index: int, reason: str) -> None:
        _log.warning("environment %d of %s begins a new episode: %s", index, self.task.name, reason)
        self._begin(index)

    def _identity(self) -> dict[str, str | int]:
        return {
            "task": self.task.name,
            "action_repeat": self.task.action_repeat,
            "count": self.count,
            "seed": self.seed,
            "stream": self.stream,
        }

    def _arrays(self) -> dict[str, ndarray]:
        seen = self.observations
        named = {f"observations.{name}": array for name, array in seen.items()} if isinstance(seen, dict) else {}
        return {
            **(named or {"observations": seen}),
            "episodes": self._episodes,
            "decisions": self._decisions,
            "lengths": self._lengths,
            "returns": self._returns,
            "in_a_row": self._in_a_row,
        }


def _blank(observations: Observation, actions: Float[ndarray, "E A"]) -> Steps:
    """Return initial rows, with finite values whatever the environments do."""
    count = len(actions)
    return Steps(
        observations=observations,
        actions=actions,
        rewards=np.zeros(count, np.float32),
        next_observations=each(np.copy, observations),
        terminated=np.zeros(count, bool),
        truncated=np.zeros(count, bool),
        control_steps=np.zeros(count, np.int64),
        dropped=np.zeros(count, np.int64),
        returns=np.full(count, np.nan),
        lengths=np.zeros(count, np.int64),
    )


def _fault(step: Step) -> str | None:
    if not finite(step.observation):
        return "gave an observation that is not finite"
    if not abs(step.reward) <= _FLOAT32_MAX:
        return "gave a reward that is not finite"
    return None


def _not_finite(rows: Float[ndarray, "E A"]) -> list[int]:
    return np.flatnonzero(~np.isfinite(rows).all(axis=1)).tolist()
