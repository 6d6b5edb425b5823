"""Order of the steps of a suite on a number of slots: the longest chain first, what failed once more, nothing twice."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from .step import Step


class Schedule:
    """What may start now, given what runs and what is done.

    Of the steps whose needs are done the one with the longest chain of steps behind it starts first (list scheduling by
    upward rank: Topcuoglu, Hariri and Wu, IEEE TPDS 13, 2002); of equal ones, the one that the suite names first.

    Args:
      steps: each after those that it needs.
      seconds: expected duration of each step, by name.
      retries: how often a step that ended without a result is started again.
    """

    def __init__(self, steps: Sequence[Step], seconds: Mapping[str, float], retries: int = 0):
        self.failed: dict[str, str] = {}
        self.done: set[str] = set()
        self.running: set[str] = set()
        self._steps = {step.name: step for step in steps}
        self._attempts = dict.fromkeys(self._steps, 1 + retries)
        self._alone: set[str] = set()
        ranks = _chains(steps, seconds)
        self._order = sorted(self._steps, key=lambda name: -ranks[name])  # stable: equal ones in the suite's order

    @property
    def is_over(self) -> bool:
        """Whether every step is done or has failed."""
        return len(self.done) + len(self.failed) == len(self._steps)

    @property
    def left(self) -> list[Step]:
        """The steps that are neither done nor failed, in the suite's order."""
        return [step for name, step in self._steps.items() if name not in self.done and name not in self.failed]

    def start(self, slots: int) -> list[Step]:
        """Return the steps to start now, on this many slots in all; they count as running from here on."""
        if self.running & self._alone:
            return []
        started: list[Step] = []
        for name in self._order:
            if len(self.running) >= slots:
                break
            if self._waits(name):
                if name in self._alone:
                    if self.running:
                        continue
                    slots = 1
                self.running.add(name)
                started.append(self._steps[name])
        return started

    def finish(self, name: str) -> None:
        """Count a running step as done."""
        self.running.discard(name)
        self.done.add(name)

    def fail(self, name: str, reason: str, again: bool = False, alone: bool = False) -> bool:
        """Count a running step as failed, with all that need it, or let it start again; return whether it does.

        Args:
          name: of the step.
          reason: one sentence.
          again: whether another attempt may do better: its process or machine ended.
          alone: whether the next attempt has all slots to itself.
        """
        self.running.discard(name)
        self._attempts[name] -= 1
        if again and self._attempts[name] > 0:
            self._alone |= {name} if alone else set()
            return True
        self.failed[name] = reason
        for each in self._steps.values():  # in order: those that need it come behind it
            lost = next((need for need in each.needs if need in self.failed), None)
            if lost is not None and each.name not in self.failed:
                self.failed[each.name] = f"it needs {lost}, which failed"
        return False

    def _waits(self, name: str) -> bool:
        if name in self.running or name in self.done or name in self.failed:
            return False
        return all(need in self.done or need not in self._steps for need in self._steps[name].needs)


def makespan(steps: Sequence[Step], seconds: Mapping[str, float], slots: int) -> float:
    """Seconds that the steps take on a number of slots, if each takes as long as expected.

    Args:
      steps: each after those that it needs.
      seconds: duration of each, by name.
      slots: steps that run at a time.
    """
    schedule, now, running = Schedule(steps, seconds), 0.0, list[tuple[float, str]]()
    while not schedule.is_over:
        for step in schedule.start(slots):
            heapq.heappush(running, (now + seconds[step.name], step.name))
        now, name = heapq.heappop(running)
        schedule.finish(name)
    return now


def least_makespan(steps: Sequence[Step], seconds: Mapping[str, float], slots: int) -> float:
    """Seconds that no schedule can go below: all work over all slots, or the longest chain of steps."""
    chains = _chains(steps, seconds)
    return max(sum(seconds[step.name] for step in steps) / slots, max(chains.values(), default=0.0))


def _chains(steps: Sequence[Step], seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds from the start of each step to the end of the longest chain of steps that need it."""
    chains = {step.name: seconds[step.name] for step in steps}
    for step in reversed(steps):
        for need in step.needs:
            if need in chains:
                chains[need] = max(chains[need], seconds[need] + chains[step.name])
    return chains
