"""Goals about a part of what is there, and goals that are reached from somewhere: optional features of tasks."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .task import Task


@runtime_checkable
class HasParts(Protocol):
    """Task with goals about several things, of which some may be asked for: "the block there, the hand anywhere"."""

    strict_parts: tuple[str, ...]  # that strict protocols ask for
    asked: tuple[str, ...]  # that goals ask for now

    def ask(self, parts: Sequence[str]) -> None:
        """Ask for these parts of a goal from now on; `goal_mask` and `success` follow."""
        ...


@runtime_checkable
class HasOffset(Protocol):
    """Task whose goals are states that are reached from the start, so many environment steps later."""

    goal_offset: int  # of a pair that `sample_pair` draws

    def sample_pair_at(self, rng: np.random.Generator, offset: int) -> tuple[Float[ndarray, "S"], Float[ndarray, "G"]]:
        """Return a start, and a goal that is reached `offset` steps later by some behaviour."""
        ...


@runtime_checkable
class HasNearGoals(Protocol):
    """Task that draws goals within reach of a state, as those of its evaluation are, rather than anywhere."""

    def goals_near(self, states: Float[ndarray, "B S"], rngs: Sequence[np.random.Generator]) -> Float[ndarray, "B G"]:
        """Return a goal for each state that some behaviour reaches from there; the draws of goal i are of `rngs[i]`."""
        ...


def asking(task: Task, parts: Sequence[str]) -> Task:
    """Return `task` with goals that ask for these parts; the task itself where there are none.

    Raises:
      ValueError: goals of the task have no such parts.
    """
    if not parts:
        return task
    if not isinstance(task, HasParts):
        raise ValueError(
            f"asked is {', '.join(parts)}, but a goal of {task.name} is asked for as a whole: leave it out"
        )
    other = copy.copy(task)
    other.ask(parts)
    return other
