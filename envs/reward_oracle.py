"""True dynamics of a reward task: returns of action sequences from the current state of an episode.

Sequences run, one after the other, in a second environment of the same kind; the running one is unchanged.
This works for any task with `RewardTask.snapshot`, rewards and terminations included.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .reward_task import RewardTask
from .snapshot import Snapshot


class RewardOracle:
    """Simulator of one kind of task. It is exact: executed actions earn the simulated rewards."""

    def __init__(self, make_task: Callable[[], RewardTask]):
        self._task = make_task()
        self._task.reset(0)

    def returns(self, moment: Snapshot, actions: Float[ndarray, "N T A"]) -> Float[ndarray, "N"]:
        """Undiscounted return of each sequence from `moment` on, one decision per action, up to the episode's end.

        NaN where the simulation diverges.
        """
        return np.array([self._return(moment, sequence) for sequence in actions])

    def close(self) -> None:
        """Free the second environment."""
        self._task.close()

    def _return(self, moment: Snapshot, sequence: Float[ndarray, "T A"]) -> float:
        self._task.restore(moment)
        total = 0.0
        try:
            for action in sequence:
                step = self._task.step(action)
                total += step.reward
                if step.terminated or step.truncated:
                    break
        except RuntimeError:  # raised by dm_control where the physics diverged
            return np.nan
        return total


def present(task: RewardTask) -> Snapshot:
    """Return the current state of the running episode.

    Raises:
      ValueError: the task has no snapshot to simulate from.
    """
    moment = task.snapshot()
    if moment is None:
        raise ValueError(
            f"{task.name} cannot tell its present moment, so its future cannot be simulated: the ceiling is for tasks "
            "of dm_control and Gymnasium's own MuJoCo and classic-control ones"
        )
    return moment
