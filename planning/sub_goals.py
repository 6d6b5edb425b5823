"""What planners with sub-goals share: an upper level chooses a latent, and a sampling planner plans to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Float, Int, PRNGKeyArray
from .cem import CEM
from .objective import LatentObjective
from .pytree import static
from .sampling import SamplingPlanner
from .search import Search
from .types import ActionSpec, Leaf, Objective, Plan

P = TypeVar("P")


@register_dataclass
@dataclass(frozen=True)
class Levels:
    """State of the search on both levels."""

    lower: Search
    upper: Any  # search of the upper level; None where it keeps none
    aim: Leaf | None  # [D] latent that the lower level plans to; None before `prepare`
    age: Leaf  # [] int32, environment steps since it was chosen
    due: Leaf  # [] bool, whether it is to be chosen again
    direct: Leaf  # [] bool, whether it is the goal itself


@dataclass(frozen=True)
class SubGoalPlanner(ABC):
    """A sampling planner that plans to sub-goals, each of which stays for `renew` environment steps.

    Attributes:
      horizon: T, environment steps of the lower level's plans.
      lower: searches for actions; its own horizon is not used.
      renew: environment steps between two sub-goals.
    """

    horizon: int = static(15)
    lower: SamplingPlanner = CEM()
    renew: int = static(5)

    @abstractmethod
    def _chosen(self, objective: LatentObjective, state: Levels) -> Levels:
        """Return the state with another sub-goal: `aim` and `direct`, and the upper level's search."""

    @property
    def iterations(self) -> int:
        """Iterations of a plan: those of the lower level."""
        return self.lower.iterations

    @property
    def proposals(self) -> tuple[Any, ...]:
        """Proposals of the lower level."""
        return self.lower.proposals

    @property
    def _lower(self) -> SamplingPlanner:
        lower: Any = self.lower
        return replace(lower, horizon=self.horizon)

    def validate(self, spec: ActionSpec) -> None:
        """Raise ValueError, in one sentence, on a configuration that cannot plan for `spec`."""
        if self.renew < 1:
            raise ValueError(f"renew must be at least 1; got {self.renew}")
        self._lower.validate(spec)

    def init(self, spec: ActionSpec, key: PRNGKeyArray) -> Levels:
        """Search around the middle of the bounds. `key` belongs to the state from here on.

        Raises:
          ValueError: the configuration cannot plan for `spec`.
        """
        self.validate(spec)
        zero, yes = jnp.zeros((), jnp.int32), jnp.ones((), bool)
        return Levels(self._lower.init(spec, key), None, None, zero, yes, yes)

    def prepare(self, state: Levels, evaluation: Any) -> Levels:
        """Make room for the evaluation's terms, margins and latents: the state keeps its structure afterwards.

        Raises:
          ValueError: the objective imagines no latents.
        """
        if evaluation.latents is None:
            raise ValueError(
                f"the planner {type(self).__name__} needs the objective of a world model: this one imagines no latents"
            )
        aim = jnp.zeros(evaluation.latents.shape[-1], jnp.float32) if state.aim is None else state.aim
        return replace(state, lower=self._lower.prepare(state.lower, evaluation), aim=aim)

    def warm_start(self, state: Levels, spec: ActionSpec, steps: Int[Array, ""] | int) -> Levels:
        """Start from the previous plan, `steps` environment steps later; a sub-goal is due after `renew` of them."""
        age = state.age + jnp.asarray(steps, jnp.int32)
        due = state.due | (age >= self.renew)
        return replace(state, lower=self._lower.warm_start(state.lower, spec, steps), age=age, due=due)

    def with_given(self, state: Levels, sequences: Float[Array, "G T A"]) -> Levels:
        """Propose these sequences, too, on the lower level."""
        return replace(state, lower=self._lower.with_given(state.lower, sequences))

    def refine(self, objective: Objective, state: Levels, spec: ActionSpec) -> Levels:
        """Run one iteration of the lower level, after choosing a sub-goal where one is due."""
        state, nearer = self._aimed(objective, state)
        return replace(state, lower=self._lower.refine(nearer, state.lower, spec))

    def plan(self, objective: Objective, state: Levels, spec: ActionSpec) -> tuple[Plan, Levels]:
        """Run all iterations against the objective of a world model. Between two plans the caller calls `warm_start`.

        Raises:
          ValueError: another objective, or a model without what the upper level needs.
        """
        if state.aim is None:
            rows = jnp.zeros((1, self.horizon, spec.size), jnp.float32)
            state = self.prepare(state, jax.eval_shape(objective, rows))
        state, nearer = self._aimed(objective, state)
        plan, lower = self._lower.plan(nearer, state.lower, spec)
        return plan, replace(state, lower=lower)

    def result(self, state: Levels, spec: ActionSpec) -> Plan:
        """Return the current plan of the lower level."""
        return self._lower.result(state.lower, spec)

    def _aimed(self, objective: Objective, state: Levels) -> tuple[Levels, LatentObjective]:
        """Return the state with a sub-goal, a new one where it is due, and the objective of the way there."""
        if not isinstance(objective, LatentObjective):
            raise ValueError(
                f"the planner {type(self).__name__} needs the objective of a world model; got "
                f"{type(objective).__name__}: take another planner in a simulator"
            )
        self._check_model(objective)

        def chosen(state: Levels) -> Levels:
            fresh = self._chosen(objective, state)
            return replace(fresh, age=jnp.zeros_like(state.age), due=jnp.zeros_like(state.due))

        state = jax.lax.cond(state.due, chosen, lambda state: state, state)
        assert state.aim is not None  # after `prepare`
        goal = jnp.where(state.direct, objective.goal, state.aim)
        return state, replace(objective, goal=goal)

    @abstractmethod
    def _check_model(self, objective: LatentObjective) -> None:
        """Raise ValueError where the model lacks what the upper level needs."""

    def _needed(self, part: P | None, name: str, fix: str) -> P:
        """Return a part of the model, which not every model has.

        Raises:
          ValueError: it is None.
        """
        if part is None:
            raise ValueError(
                f"the planner {type(self).__name__} needs a model with {name}, and this one has none: {fix}, or take "
                "another planner"
            )
        return part
