"""Baselines whose published scores are far from what was measured here, so that nobody takes a weak one as proof.

A measured method is compared with the published ones of its name (`sac` with `SAC` and `SAC (SimbaV2 repo)`), at the
same task and number of environment steps. Far: its return is at least `POINTS` below or above the best of them, and
less than half or more than twice of it. Publications differ among themselves, in action repeats, network sizes and
updates, so both ends of what was published are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..records.curves import Run
from .published import PublishedScore, published_name
from .tables import short

POINTS = 100.0  # of the 1,000 that DeepMind Control allows
RATIO = 2.0
NAMED = 4  # tasks in a sentence


@dataclass(frozen=True)
class Far:
    """A measured mean return far from the best published one of the same method."""

    method: str
    task: str
    env_steps: int
    measured: float
    best: float  # of the published ones
    worst: float

    @property
    def weaker(self) -> bool:
        """Whether the measured return is the lower one."""
        return self.measured < self.best


def far(runs: Sequence[Run], published: Sequence[PublishedScore], at: int) -> list[Far]:
    """Measured methods far from the best publication of their name.

    Args:
      runs: measured ones.
      published: all published scores.
      at: environment steps of the comparison; runs that were not evaluated until then are left out.
    """
    found = []
    for method, task in dict.fromkeys((run.method, run.task) for run in runs):
        own = [run.at(at) for run in runs if (run.method, run.task) == (method, task) and run.reaches(at)]
        means = [
            score.mean
            for score in published
            if score.task == published_name(task) and score.step == at and _is_called(score.method, method)
        ]
        if own and means and _is_far(float(np.mean(own)), max(means)):
            found.append(Far(method, task, at, float(np.mean(own)), max(means), min(means)))
    return found


def sentences(found: Sequence[Far]) -> list[str]:
    """One sentence for each method, and for each direction."""
    made = []
    for method, weaker in dict.fromkeys((each.method, each.weaker) for each in found):
        own = [each for each in found if (each.method, each.weaker) == (method, weaker)]
        own.sort(key=lambda each: -abs(each.best - each.measured))
        cases = [f"{short(each.task)} {each.measured:.0f} here, {_range(each)} published" for each in own[:NAMED]]
        more = f" and {len(own) - NAMED} more" if len(own) > NAMED else ""
        how = "less than half of" if weaker else "more than twice"
        meaning = (
            f"a lead over this {method} is no proof of a lead over what {method} can do"
            if weaker
            else "settings or evaluations differ from the published ones"
        )
        made.append(
            f"{method} returns {how} what others published for it on {len(own)} task{'' if len(own) == 1 else 's'} at "
            f"{own[0].env_steps:,} environment steps ({'; '.join(cases)}{more}): {meaning}"
        )
    return made


def _range(each: Far) -> str:
    best, worst = f"{each.best:.0f}", f"{each.worst:.0f}"
    return best if best == worst else f"{worst} to {best}"


def _is_called(publication: str, method: str) -> bool:
    return publication.partition(" (")[0].casefold() == method.casefold()


def _is_far(measured: float, published: float) -> bool:
    low, high = sorted((measured, published))
    return high - low >= POINTS and high > RATIO * low
