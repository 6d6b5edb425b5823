"""What all planners share that propose candidates, are told what those cost, and propose again (ask and tell)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from .best import Best, shift
from .types import ActionSpec, Evaluation, Leaf, Number, Objective, Plan

_SEARCH_FIELDS = ["key", "call", "iteration", "mean", "std", "best", "finite", "effective", "progress"]


@partial(jax.tree_util.register_dataclass, data_fields=_SEARCH_FIELDS, meta_fields=[])
@dataclass(frozen=True)
class Search:
    """Where a sampling planner stands: its Gaussian over action sequences, and the best that it has seen in this call.

    `call` counts warm starts and `iteration` the iterations since: together with `key` they make the key of each draw,
    so that a draw depends neither on the past's number of iterations nor on other environments.
    """

    key: Leaf  # []
    call: Leaf  # [] int32
    iteration: Leaf  # [] int32
    mean: Leaf  # [T, A] in the units of the action
    std: Leaf  # [T, A] likewise
    best: Best
    finite: Leaf  # [] sum over the iterations of the share of candidates with a finite cost
    effective: Leaf  # [] effective number of samples behind the last update
    progress: Leaf  # [iterations] best cost after each

    def draw_key(self) -> PRNGKeyArray:
        """The key of this iteration's draw."""
        return jax.random.fold_in(jax.random.fold_in(self.key, self.call), self.iteration)


class SamplingPlanner(ABC):
    """A planner is final and says how to propose and how to learn from the answer; the rest of the contract is here.

    Fields are the configuration: ints are static, floats are leaves and may be traced.
    """

    horizon: int  # T, environment steps
    iterations: int
    num_best: int  # k, the best sequences kept
    init_std: Number  # share of the half range

    @abstractmethod
    def validate(self, spec: ActionSpec) -> None:
        """Raise ValueError, in one sentence, on a configuration that cannot plan for `spec`."""

    @abstractmethod
    def propose(self, state: Search, spec: ActionSpec) -> Float[Array, "N T A"]:
        """Candidates of one iteration, within the bounds. The first is the mean."""

    @abstractmethod
    def update(self, state: Search, candidates: Float[Array, "N T A"], evaluation: Evaluation) -> Search:
        """Learn from what the candidates cost."""

    @final
    def init(self, spec: ActionSpec, key: PRNGKeyArray) -> Search:
        """Search around the middle of the bounds. `key` belongs to the state from here on.

        Raises:
          ValueError: the configuration cannot plan for `spec`.
        """
        self.validate(spec)
        rest = jnp.broadcast_to(spec.middle[None], (self.horizon, spec.size))
        zero = jnp.zeros((), jnp.int32)
        best = Best.unknown(rest, self.num_best)
        progress = jnp.full(self.iterations, jnp.inf, jnp.float32)
        return Search(key, zero, zero, rest, self._wide(spec), best, jnp.zeros(()), jnp.zeros(()), progress)

    @final
    def prepare(self, state: Search, evaluation: Any) -> Search:
        """Make room for the names of the evaluation's terms and margins; only its names are read."""
        return replace(state, best=state.best.named(evaluation))

    @final
    def warm_start(self, state: Search, spec: ActionSpec, steps: Int[Array, ""] | int) -> Search:
        """Start from the previous plan, `steps` environment steps later, with the first width and without its costs."""
        steps = jnp.asarray(steps, jnp.int32)
        return replace(
            state,
            call=state.call + 1,
            iteration=jnp.zeros_like(state.iteration),
            mean=shift(state.mean, steps),
            std=self._wide(spec),
            best=state.best.shifted(steps),
            finite=jnp.zeros_like(state.finite),
            effective=jnp.zeros_like(state.effective),
            progress=jnp.full_like(state.progress, jnp.inf),
        )

    @final
    def learned(
        self,
        state: Search,
        candidates: Float[Array, "N T A"],
        evaluation: Evaluation,
        order: Int[Array, "N"],
        *,
        mean: Float[Array, "..."],
        std: Float[Array, "..."],
        weights: Float[Array, "M"],
        again: int,
    ) -> Search:
        """The state after one iteration, with everything that a plan says of it.

        `weights` are those of the candidates behind `mean` and `std`, with sum 1; the first `again` of the best so far
        were proposed again.
        """
        finite = jnp.mean(jnp.isfinite(evaluation.cost).astype(jnp.float32))
        best = state.best.merged(candidates, evaluation, order, again=again)
        squares = jnp.sum(weights**2)
        last = jnp.minimum(state.iteration, self.iterations - 1)
        return replace(
            state,
            iteration=state.iteration + 1,
            mean=mean,
            std=std,
            best=best,
            finite=state.finite + finite,
            effective=jnp.where(squares > 0, 1.0 / jnp.maximum(squares, 1e-12), 0.0),
            progress=state.progress.at[last].set(best.evaluation.finite_cost()[0]),
        )

    @final
    def plan(self, objective: Objective, state: Search, spec: ActionSpec) -> tuple[Plan, Search]:
        """All iterations against a traced objective. Call `warm_start` between two plans."""
        candidates = jax.eval_shape(self.propose, state, spec)
        state = self.prepare(state, jax.eval_shape(objective, candidates))

        def iteration(state: Search, _: None) -> tuple[Search, None]:
            candidates = self.propose(state, spec)
            return self.update(state, candidates, objective(candidates)), None

        state, _ = jax.lax.scan(iteration, state, length=self.iterations)
        return self.result(state, spec), state

    @final
    def result(self, state: Search, spec: ActionSpec) -> Plan:
        """The plan as it stands. Before any finite cost it is FAILED, and holds the previous plan or the middle."""
        half = jnp.where(spec.half_range > 0, spec.half_range, 1.0)
        spread = jnp.mean(state.std / half[None])
        iterations = jnp.maximum(state.iteration, 1).astype(jnp.float32)
        return state.best.plan(state.finite / iterations, spread, state.effective, state.progress)

    def _wide(self, spec: ActionSpec) -> Float[Array, "T A"]:
        return jnp.broadcast_to((self.init_std * spec.half_range)[None], (self.horizon, spec.size))
