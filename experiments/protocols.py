"""Who starts where and towards what: the pairs on which every policy of a table is measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from envs import Task
from envs.streams import episode_rng


@dataclass(frozen=True, eq=False)
class Pairs:
    """Start states and goals of `B` episodes."""

    protocol: str
    states: Float[ndarray, "B S"]
    goals: Float[ndarray, "B G"]

    def __len__(self) -> int:
        return len(self.states)

    def first(self, episodes: int) -> Pairs:
        """The first so many pairs: a slow row may use fewer, and is then measured on the same ones."""
        return Pairs(self.protocol, self.states[:episodes], self.goals[:episodes])


def honest(task: Task, episodes: int, seed: int) -> Pairs:
    """Start and goal drawn by the task from a random stream that no training sees; solved starts are drawn again.

    Pair `i` depends on `seed` and `i` alone.
    """
    pairs = [task.sample_pair(episode_rng(seed, "evaluate", episode)) for episode in range(episodes)]
    return Pairs("honest", np.stack([state for state, _ in pairs]), np.stack([goal for _, goal in pairs]))
