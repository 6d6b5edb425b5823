"""Planning against an objective that cannot be traced: a simulator, or any function of NumPy arrays.

The same two halves of an iteration as in `plan`, each compiled once, with the objective called between them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from numpy import ndarray

from .arrays import Array, Float
from .types import ActionSpec, AskTell, Evaluation, Plan, Planner

State = TypeVar("State")


@jax.jit
def _propose(planner: AskTell[Any], state: Any, spec: ActionSpec) -> Array:
    return planner.propose(state, spec)


@jax.jit
def _update(planner: AskTell[Any], state: Any, candidates: Array, evaluation: Evaluation) -> Any:
    return planner.update(state, candidates, evaluation)


@jax.jit
def _result(planner: Planner[Any], state: Any, spec: ActionSpec) -> Plan:
    return planner.result(state, spec)


def plan_on_host(
    planner: AskTell[State],
    objective: Callable[[Float[ndarray, "N T A"]], Evaluation],
    state: State,
    spec: ActionSpec,
) -> tuple[Plan, State]:
    """Run all iterations of `planner` against an objective on the host, such as a simulator.

    Args:
      planner: with the two halves `propose` and `update`.
      objective: of sequences [N, T, A], NumPy in and out.
      state: the planner's.
      spec: of the actions.

    Raises:
      ValueError: the objective did not return one cost (or margin, or term) for each candidate.
    """
    for size in planner.sizes():
        candidates = _propose(planner, state, spec)[:size]
        evaluation = _checked(objective(np.asarray(candidates)), candidates.shape[0])
        state = planner.prepare(state, evaluation)
        state = _update(planner, state, candidates, evaluation)
    return _result(planner, state, spec), state


def _checked(evaluation: Evaluation, num: int) -> Evaluation:
    """Return the evaluation in float32, with one number for each candidate in every part."""
    evaluation.check(num)

    def single(part: Any) -> ndarray:
        with np.errstate(over="ignore"):  # values beyond float32 become infinite, and count as such
            return np.asarray(part).astype(np.float32)

    return jax.tree.map(single, evaluation)
