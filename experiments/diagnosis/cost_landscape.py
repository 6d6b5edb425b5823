"""A slice of the cost landscape: costs of actions under the model and under the true dynamics.

Both use the model's own costs. If the two slices differ, the predictor is wrong; if they agree without leading
to the goal, the representation or the critic is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpy import ndarray

import envs
from planning import Agent

from ..evaluation.goals.policies import SimulatedPolicy
from ..evaluation.goals.protocols import Pairs
from ..evaluation.goals.rollout import GoalEpisodes
from ..evaluation.moments import goal_mask, goal_rows, true_rows
from ..records.intervals import spearman


@dataclass(frozen=True, eq=False)
class Slice:
    """Costs over two numbers of a plan, all others as planned: rows are the second number, columns the first."""

    names: tuple[str, str]
    first: Float[ndarray, "G"]
    second: Float[ndarray, "G"]
    model: Float[ndarray, "G G"]
    truth: Float[ndarray, "G G"]
    planned: tuple[float, float]  # their mean over the block in the plan itself

    @property
    def agreement(self) -> float:
        """Rank correlation of the two slices."""
        return spearman(self.model.ravel(), self.truth.ravel())

    @property
    def regret(self) -> float:
        """Relative true cost of the model's choice: 0 at the lowest point of the true slice, 1 at its highest."""
        low, high = self.truth.min(), self.truth.max()
        return float((self.truth.ravel()[self.model.argmin()] - low) / (high - low)) if high > low else 0.0


def slices(task: envs.Task, agent: Agent, pairs: Pairs, seed: int, cells: int = 15) -> list[Slice]:
    """Compute one slice per pair, at its start: over the first two actuators in the plan's first block.

    With one actuator, over its first and its second block.
    """
    simulator = SimulatedPolicy("oracle", task, agent, seed)
    simulator.reset(GoalEpisodes(task, pairs, agent.model))
    key = jax.random.key(seed)
    goals, mask = goal_rows(task, pairs.goals, agent.model), goal_mask(task, agent.model)
    found = []
    for index, (state, goal) in enumerate(zip(pairs.states, goals, strict=True)):
        situation = _plan(agent, key, index, goal, mask, true_rows(task, state, agent.model))
        plan = np.asarray(situation.plan.actions)
        names, axes, planned, candidates = _candidates(plan, agent, cells)
        costs = [
            np.asarray(evaluation, np.float64).reshape(cells, cells)
            for evaluation in (
                _cost(agent, situation, jnp.asarray(candidates)),
                simulator.objective(index, state)(candidates).cost,
            )
        ]
        found.append(Slice(names, axes[0], axes[1], costs[0], costs[1], planned))
    return found


def _candidates(plan: Float[ndarray, "T A"], agent: Agent, cells: int) -> tuple[Any, Any, Any, Float[ndarray, "N T A"]]:
    """Candidates: the plan with two of its numbers replaced by a grid over their bounds."""
    block, low, high = agent.model.action_block, np.asarray(agent.spec.low), np.asarray(agent.spec.high)
    places: list[tuple[slice, int]] = [(slice(0, block), 0), (slice(0, block), 1)]
    names = ("first block, actuator 0", "first block, actuator 1")
    if len(low) == 1:
        places = [(slice(0, block), 0), (slice(block, 2 * block), 0)]
        names = ("first block", "second block")
    axes = [np.linspace(low[dimension], high[dimension], cells) for _, dimension in places]
    candidates = np.repeat(plan[None], cells * cells, axis=0)
    for (steps, dimension), values in zip(places, np.meshgrid(*axes), strict=True):
        candidates[:, steps, dimension] = values.reshape(-1, 1)
    planned = tuple(float(plan[steps, dimension].mean()) for steps, dimension in places)
    return names, axes, planned, candidates


@jax.jit
def _plan(agent: Agent, key: Any, index: Any, goal: Any, mask: Any, row: Any) -> Any:
    state = agent.reset(agent.init(key), goal, key, index, mask)
    return agent.plan_anew(agent.observe(state, row))


@jax.jit
def _cost(agent: Agent, situation: Any, actions: Any) -> jax.Array:
    return agent.objective(situation)(actions).cost
