"""The state of a sampling planner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
from jax.tree_util import register_dataclass

from .arrays import PRNGKeyArray
from .best import Best
from .types import Leaf


@register_dataclass
@dataclass(frozen=True)
class Search:
    """State of a sampling planner: its Gaussian over action sequences, and the best found in this call.

    `call` counts warm starts and `iteration` the iterations since: together with `key` they make the key of each draw,
    so that a draw depends neither on the past's number of iterations nor on other environments.
    """

    key: Leaf  # []
    call: Leaf  # [] int32
    iteration: Leaf  # [] int32
    mean: Leaf  # [n, A] of the parameters, in the units of the action
    std: Leaf  # [n, A] likewise
    best: Best
    finite: Leaf  # [] sum over the iterations of the share of candidates with a finite cost
    effective: Leaf  # [] effective number of samples behind the last update
    progress: Leaf  # [iterations] best cost after each
    given: Leaf  # [G, T, A] sequences from outside, infinite where there are none
    memory: Any = None  # memory of one planner only

    def draw_key(self) -> PRNGKeyArray:
        """Return the key of this iteration's draw."""
        return jax.random.fold_in(jax.random.fold_in(self.key, self.call), self.iteration)
