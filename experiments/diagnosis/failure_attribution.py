"""Attribution of failures: the same pair again, with one component at a time replaced by the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

import envs
from planning import Agent, AskTell

from ..evaluation.episodes import Progress
from ..evaluation.goals.policies import SimulatedPolicy
from ..evaluation.goals.protocols import Pairs
from ..evaluation.goals.rollout import run_episodes
from ..records.episodes import EpisodeRecord

FAULTS = {
    "planner or task": "the ceiling fails, too: plan longer or with more samples, or give the task more time",
    "representation or critic": "the oracle fails: more varied data, more training, another cost",
    "predictor": "the oracle succeeds: more data where it failed, more training, a larger model, a shorter horizon",
}


@dataclass(frozen=True)
class Failure:
    """Failed episode, and the outcome of the same pair with true dynamics."""

    episode: int
    ceiling: bool  # reached with the true dynamics and the task's privileged cost
    oracle: bool | None  # reached with the true dynamics and the model's cost; None where the ceiling failed already

    @property
    def fault(self) -> str:
        """One of `FAULTS`."""
        if not self.ceiling:
            return "planner or task"
        return "predictor" if self.oracle else "representation or critic"


def blame(
    task: envs.Task,
    agent: Agent,
    pairs: Pairs,
    records: Sequence[EpisodeRecord],
    seed: int,
    most: int,
    progress: Progress | None = None,
) -> list[Failure]:
    """Judge the first `most` failures among `records`, which belong to `pairs`; simulated plans are slow.

    None is judged if the planner needs a differentiable model, because it cannot plan in a simulator.
    """
    failed = [index for index, record in enumerate(records) if not record.success][:most]
    if not failed or not isinstance(agent.planner, AskTell):
        return []
    again, eyes = _chosen(pairs, failed), agent.model
    ceiling = run_episodes(task, SimulatedPolicy("ceiling", task, agent, seed), again, progress, model=eyes)
    reached = [index for index, record in zip(failed, ceiling, strict=True) if record.success]
    oracle: dict[int, bool] = {}
    if reached:
        records = run_episodes(
            task, SimulatedPolicy("oracle", task, agent, seed), _chosen(pairs, reached), progress, model=eyes
        )
        oracle = {index: record.success for index, record in zip(reached, records, strict=True)}
    return [Failure(index, record.success, oracle.get(index)) for index, record in zip(failed, ceiling, strict=True)]


def _chosen(pairs: Pairs, which: Sequence[int]) -> Pairs:
    rows = np.asarray(which)
    return replace(pairs, states=pairs.states[rows], goals=pairs.goals[rows])
