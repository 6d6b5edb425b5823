"""The true dynamics of a reward task: what action sequences would earn from the present moment of an episode.

They are tried, one after the other, on a second environment of the same kind: the one that is lived in never moves.
Any task that can tell its present moment (`RewardTask.snapshot`) can be foreseen so, rewards and ends included.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .reward_task import RewardTask
from .snapshot import Snapshot


class RewardOracle:
    """Futures of one kind of task. It is exact: the same actions earn the same when they are taken."""

    def __init__(self, make_task: Callable[[], RewardTask]):
        self._task = make_task()
        self._task.reset(0)

    def returns(self, moment: Snapshot, actions: Float[ndarray, "N T A"]) -> Float[ndarray, "N"]:
        """Undiscounted return of each sequence from `moment` on, one decision an action; an end earns nothing more.

        A future that the simulator gives up on is NaN.
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
        except RuntimeError:  # dm_control's own word for physics that diverged
            return np.nan
        return total


def present(task: RewardTask) -> Snapshot:
    """The present moment of the running episode.

    Raises:
      ValueError: the task cannot tell it, so that nothing can be tried from there.
    """
    moment = task.snapshot()
    if moment is None:
        raise ValueError(
            f"{task.name} cannot tell its present moment, so its future cannot be simulated: the ceiling is for tasks "
            "of dm_control and Gymnasium's own MuJoCo and classic-control ones"
        )
    return moment
