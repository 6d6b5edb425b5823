"""Returns on held-out episodes of a reward task; every policy gets the same episodes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any, final

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from envs.reward_batch import RewardBatch
from envs.reward_task import RewardTask

from ..episodes import LONGEST, Progress, endless, execute
from ..moments import rows_of, spec_of
from ..policy import Episodes, Policy


@final
class RewardEpisodes(Episodes):
    """Episodes that depend on `seed` alone; one that fails in the environment is restarted, with a warning.

    Args:
      make_task: makes one environment.
      count: B.
      seed: of the episodes.
      model: embeds pictures; None: a policy looks at none.

    Attributes:
      returns: `[B]` undiscounted; nan where an episode still runs.
      most: maximum decisions of an episode, if the environment specifies it.

    Raises:
      ValueError: no episode.
    """

    def __init__(self, make_task: Callable[[], RewardTask], count: int, seed: int, model: Any = None):
        if count < 1:
            raise ValueError(f"an evaluation needs one episode or more; got {count}")
        self._batch = RewardBatch(make_task, count, seed, stream="evaluate")
        task = self._batch.task
        self.name, self.low, self.high = task.name, task.low, task.high
        self._task, self._model = task, model
        columns = spec_of(task).size if model is None else model.embedding_size
        self.numbers, self.goals = range(count), np.zeros((count, columns), np.float32)
        self.limit = LONGEST  # a restarted episode exceeds the environment's limit
        self.most = LONGEST if task.episode_steps is None else -(-task.episode_steps // task.action_repeat)
        self.returns, self.active = np.full(count, np.nan), np.ones(count, bool)

    @property
    def tasks(self) -> list[RewardTask]:
        """Current environments, for policies that read their states."""
        return self._batch.tasks

    def observe(self) -> Float[ndarray, "B E"]:
        """The newest observations, as rows."""
        return rows_of(self._task, self._batch.observations, self._model)

    def step(self, actions: Float[ndarray, "B A"]) -> None:
        """One decision in every environment; returns of the first episode count."""
        self.returns = np.where(self.active, self._batch.step(actions).returns, self.returns)
        self.active = np.isnan(self.returns)

    def close(self) -> None:
        """Close the environments."""
        self._batch.close()


def episode_returns(
    make_task: Callable[[], RewardTask],
    policy: Policy[RewardEpisodes],
    episodes: int,
    seed: int,
    progress: Progress = lambda done, total: None,
    model: Any = None,
) -> Float[ndarray, "{episodes}"]:
    """Undiscounted returns of held-out episodes.

    Args:
      make_task: makes one environment.
      policy: to execute.
      episodes: how many.
      seed: of the episodes.
      progress: called with (decisions, most decisions of an episode).
      model: embeds pictures; None: the policy looks at none.

    Raises:
      ValueError: no episode, or one without end.
    """
    with closing(RewardEpisodes(make_task, episodes, seed, model)) as batch:
        execute(policy, batch, lambda done, _: progress(min(done, batch.most), batch.most))
        if batch.active.any():
            raise endless(f"an episode of {batch.name}")
        progress(batch.most, batch.most)
        return batch.returns
