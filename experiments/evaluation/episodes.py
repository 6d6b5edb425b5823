"""The loop of every evaluation: a batch of episodes that advances until all have ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .policy import Episodes, Policy

LONGEST = 100_000  # maximum steps of an episode without an end
Progress = Callable[[int, int], None]  # (steps done, limit)


E = TypeVar("E", bound=Episodes)


def execute(policy: Policy[E], episodes: E, progress: Progress | None = None) -> E:
    """Run the episodes to their end, or to their limit, and return them.

    Args:
      policy: reset first, then called for every step.
      episodes: new ones.
      progress: called with (steps done, limit) after each step.
    """
    policy.reset(episodes)
    for step in range(episodes.limit):
        if not episodes.active.any():
            break
        episodes.step(policy.act(episodes.observe(), episodes.active))
        if progress is not None:
            progress(step + 1, episodes.limit)
    return episodes


def endless(name: str) -> ValueError:
    """The error for episodes that reach `LONGEST`."""
    return ValueError(
        f"{name} went on for {LONGEST:,} decisions: limit it, for example with gymnasium.wrappers.TimeLimit"
    )
