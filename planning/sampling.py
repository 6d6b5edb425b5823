"""Base of all planners that propose candidates, learn from their costs, and propose again (ask and tell)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from itertools import groupby
from typing import Any, final

import jax
import jax.numpy as jnp

from .arrays import Array, Bool, Float, Int, PRNGKeyArray
from .best import Best, shift
from .noise import coloured_noise
from .parameterization import Parameterization
from .proposals import Given, Proposal
from .search import Search
from .types import ActionSpec, Evaluation, Number, Objective, Plan


class SamplingPlanner(ABC):
    """Base class. A planner is final and defines how to learn from the costs; the rest of the contract is here.

    Fields are the configuration: ints, the parameterisation and the proposals are static, floats are leaves and may be
    traced. The Gaussian is over parameters; candidates, and everything in a plan, are action sequences. Learning
    starts from the sequences as they were evaluated, clipped and fitted by parameters, whatever proposed them.
    """

    horizon: int  # T, environment steps
    num_samples: int  # N, candidates of one iteration
    iterations: int
    num_keep: int  # of the best sequences, those proposed again
    num_best: int  # k, the best sequences kept
    init_std: Number  # share of the half range
    noise_beta: Number  # exponent of the noise's spectrum; 0 is white
    parameterization: Parameterization
    proposals: tuple[Proposal, ...]

    @abstractmethod
    def update(self, state: Search, candidates: Float[Array, "N T A"], evaluation: Evaluation) -> Search:
        """Learn from the candidates' costs."""

    def validate(self, spec: ActionSpec) -> None:
        """Raise ValueError, in one sentence, on a configuration that cannot plan for `spec`."""
        for name in ("horizon", "num_samples", "iterations", "num_best"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        if self.num_best > self.num_samples:
            raise ValueError(f"num_best ({self.num_best}) cannot exceed num_samples ({self.num_samples})")
        if not 0 <= self.num_keep <= self.num_best:
            raise ValueError(f"num_keep must lie between 0 and num_best ({self.num_best}); got {self.num_keep}")
        if sum(isinstance(proposal, Given) for proposal in self.proposals) > 1:
            raise ValueError("proposals holds Given more than once: give one of them all the places")
        proposed = sum(proposal.count for proposal in self.proposals)
        if self.num_samples < self.num_keep + proposed + 2:
            others = f" and {proposed} proposals" if proposed else ""
            raise ValueError(
                f"num_samples ({self.num_samples}) leaves no draw after the mean and num_keep ({self.num_keep}) "
                f"kept sequences{others}; set at least {self.num_keep + proposed + 2}"
            )
        check_number("init_std", self.init_std, 0.0, math.inf, low_open=True)
        check_number("noise_beta", self.noise_beta, 0.0, math.inf)
        self.parameterization.validate(self.horizon)

    def sizes(self) -> tuple[int, ...]:
        """Number of candidates that each iteration of `plan` evaluates: all, unless the population shrinks."""
        return (self.num_samples,) * self.iterations

    def propose(self, state: Search, spec: ActionSpec) -> Float[Array, "N T A"]:
        """Return the mean, the kept sequences, the proposals, and draws; clipped to the bounds."""
        samples = self.draws(state, spec, state.draw_key(), self.num_samples - 1)
        mean = self.expand(state.mean, spec)[None]
        kept = known_or(state.best.sequences[: self.num_keep], state.best.known[: self.num_keep], samples)
        rest = self.with_proposals(state, spec, samples[self.num_keep :])
        return self.within(jnp.concatenate([mean, kept, rest]), spec)

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
        given = sum(proposal.count for proposal in self.proposals if isinstance(proposal, Given))
        nothing = jnp.full((given, self.horizon, spec.size), jnp.inf, jnp.float32)
        numbers = (jnp.zeros(()), jnp.zeros(()), progress)
        memory = self.first_memory(spec)
        return Search(key, zero, zero, self.fit(rest), self._wide(spec), best, *numbers, nothing, memory)

    @final
    def prepare(self, state: Search, evaluation: Any) -> Search:
        """Make room for the names of the evaluation's terms and margins; only the names are read."""
        return replace(state, best=state.best.named(evaluation))

    @final
    def warm_start(self, state: Search, spec: ActionSpec, steps: Int[Array, ""] | int) -> Search:
        """Start from the previous plan, `steps` environment steps later, with the first width and without its costs."""
        steps = jnp.asarray(steps, jnp.int32)
        later = replace(
            state,
            call=state.call + 1,
            iteration=jnp.zeros_like(state.iteration),
            mean=self.fit(shift(self.expand(state.mean, spec), steps)),
            std=self._wide(spec),
            best=state.best.shifted(steps),
            finite=jnp.zeros_like(state.finite),
            effective=jnp.zeros_like(state.effective),
            progress=jnp.full_like(state.progress, jnp.inf),
            given=jnp.full_like(state.given, jnp.inf),
        )
        return replace(later, memory=self.later_memory(later, spec, steps))

    @final
    def with_given(self, state: Search, sequences: Float[Array, "G T A"]) -> Search:
        """Propose these sequences, too, until the next warm start: in the places of `Given` in `proposals`.

        Raises:
          ValueError: the number of sequences differs from the number of places, or their length from the plan's.
        """
        if sequences.shape != state.given.shape:
            raise ValueError(
                f"proposals reserves places for sequences of shape {state.given.shape}, and those given have "
                f"{sequences.shape}: set Given's count to their number"
            )
        return replace(state, given=sequences)

    @final
    def learned(
        self,
        state: Search,
        candidates: Float[Array, "N T A"],
        evaluation: Evaluation,
        order: Int[Array, "N"],
        *,
        mean: Float[Array, "n A"],
        std: Float[Array, "n A"],
        weights: Float[Array, "M"],
        again: int,
        counted: Bool[Array, "N"] | None = None,
    ) -> Search:
        """Return the state after one iteration, with everything that a plan reports.

        Args:
          state: before the iteration.
          candidates: of the iteration.
          evaluation: of the candidates.
          order: their indices, the cheapest first.
          mean: of the new Gaussian, in parameters.
          std: likewise.
          weights: of the sequences behind the Gaussian, with sum 1; all 0 where nothing was learned, and it stays.
          again: how many of the best so far were proposed again.
          counted: candidates that count towards the finite fraction; None: all.
        """
        finite = jnp.isfinite(evaluation.cost)
        counted = jnp.ones_like(finite) if counted is None else counted
        best = state.best.merged(candidates, evaluation, order, again=again)
        squares = jnp.sum(weights**2)
        learned_any = squares > 0
        last = jnp.minimum(state.iteration, self.iterations - 1)
        return replace(
            state,
            iteration=state.iteration + 1,
            mean=jnp.where(learned_any, mean, state.mean),
            std=jnp.where(learned_any, std, state.std),
            best=best,
            finite=state.finite + jnp.sum(finite & counted) / jnp.sum(counted),
            effective=jnp.where(learned_any, 1.0 / jnp.where(learned_any, squares, 1.0), 0.0),
            progress=state.progress.at[last].set(best.evaluation.finite_cost()[0]),
        )

    @final
    def refine(self, objective: Objective, state: Search, spec: ActionSpec) -> Search:
        """Run one iteration against a traced objective, on a state from `prepare`."""
        candidates = self.propose(state, spec)
        return self.update(state, candidates, objective(candidates))

    @final
    def plan(self, objective: Objective, state: Search, spec: ActionSpec) -> tuple[Plan, Search]:
        """Run all iterations against a traced objective. Call `warm_start` between two plans."""
        candidates = jax.eval_shape(self.propose, state, spec)
        state = self.prepare(state, jax.eval_shape(objective, candidates))
        for size, equal in groupby(self.sizes()):  # one scan for each size of the population

            def iteration(state: Search, _: None, size: int = size) -> tuple[Search, None]:
                candidates = self.propose(state, spec)[:size]
                return self.update(state, candidates, objective(candidates)), None

            state, _ = jax.lax.scan(iteration, state, length=len(list(equal)))
        return self.result(state, spec), state

    @final
    def result(self, state: Search, spec: ActionSpec) -> Plan:
        """Return the current plan. Before any finite cost it is FAILED, and holds the previous plan or the middle."""
        half = jnp.where(spec.half_range > 0, spec.half_range, 1.0)
        spread = jnp.mean(state.std / half[None])
        iterations = jnp.maximum(state.iteration, 1).astype(jnp.float32)
        return state.best.plan(state.finite / iterations, spread, state.effective, state.progress)

    def first_memory(self, spec: ActionSpec) -> Any:
        """Return the planner's own memory before any iteration."""
        return None

    def later_memory(self, state: Search, spec: ActionSpec, steps: Int[Array, ""]) -> Any:
        """Return the memory `steps` environment steps later; `state` is otherwise warm-started already."""
        return state.memory

    def width(self, state: Search, spec: ActionSpec) -> Float[Array, "n A"]:
        """Standard deviation of the draws."""
        return state.std

    @final
    def draws(self, state: Search, spec: ActionSpec, key: PRNGKeyArray, num: int) -> Float[Array, "{num} T A"]:
        """Return sequences from the Gaussian, clipped to the bounds.

        Args:
          state: with the Gaussian.
          spec: of the actions.
          key: consumed.
          num: number of sequences.
        """
        noise = coloured_noise(key, num, self.parameterization.num(self.horizon), spec.size, self.noise_beta)
        return self.expand(state.mean[None] + self.width(state, spec)[None] * noise, spec)

    @final
    def with_proposals(self, state: Search, spec: ActionSpec, samples: Float[Array, "n T A"]) -> Float[Array, "n T A"]:
        """Return the samples, the first of them replaced by the finite proposals."""
        start = 0
        for proposal in self.proposals:
            sequences = proposal(state, spec)
            known = jnp.all(jnp.isfinite(sequences), axis=(1, 2))
            replaced = known_or(sequences, known, samples[start:])
            samples = jax.lax.dynamic_update_slice_in_dim(samples, replaced, start, axis=0)
            start += proposal.count
        return samples

    @final
    def expand(self, params: Float[Array, "*N n A"], spec: ActionSpec) -> Float[Array, "*N T A"]:
        """Return sequences within the bounds. Parameters are clipped first, so only a cubic's overshoot is cut off."""
        return self.within(self.parameterization.expand(self.within(params, spec), self.horizon), spec)

    @final
    def fit(self, sequences: Float[Array, "*N T A"]) -> Float[Array, "*N n A"]:
        """Return the parameters nearest to some sequences."""
        return self.parameterization.fit(sequences)

    @final
    def within(self, actions: Float[Array, "*N m A"], spec: ActionSpec) -> Float[Array, "*N m A"]:
        """Clip actions to the bounds."""
        shape = (1,) * (actions.ndim - 1) + (-1,)
        return jnp.clip(actions, spec.low.reshape(shape), spec.high.reshape(shape))

    def _wide(self, spec: ActionSpec) -> Float[Array, "n A"]:
        num = self.parameterization.num(self.horizon)
        return jnp.broadcast_to((self.init_std * spec.half_range)[None], (num, spec.size))


def known_or(
    sequences: Float[Array, "m T A"], known: Bool[Array, "m"], samples: Float[Array, "n T A"]
) -> Float[Array, "m T A"]:
    """Return the sequences where they are known [m], and the first samples in place of the others."""
    return jnp.where(known[:, None, None], sequences, samples[: known.shape[0]])


def equal_share(valid: Bool[Array, "m"]) -> Float[Array, "m"]:
    """Return equal weights for the valid ones, with sum 1; all 0 without any."""
    one = valid.astype(jnp.float32)
    return one / jnp.maximum(jnp.sum(one), 1.0)


def fitted_gaussian(
    share: Float[Array, "m"], params: Float[Array, "m n A"]
) -> tuple[Float[Array, "n A"], Float[Array, "n A"]]:
    """Return mean and standard deviation of weighted samples; the shares sum to one."""
    mean = jnp.einsum("m,mna->na", share, params)
    return mean, jnp.sqrt(jnp.einsum("m,mna->na", share, (params - mean[None]) ** 2))


def check_number(name: str, value: Number, low: float, high: float, low_open: bool = False) -> None:
    """Raise ValueError unless a setting lies in a range.

    Args:
      name: of the setting.
      value: of it; a traced one is not checked.
      low: smallest allowed value.
      high: what it must stay below.
      low_open: whether `low` itself is not allowed.
    """
    if isinstance(value, jax.core.Tracer):
        return
    value = float(value)  # of an array that a trace closes over, a comparison would be traced
    inside = (low < value if low_open else low <= value) and value < high
    if not inside:
        raise ValueError(f"{name} must lie in {'(' if low_open else '['}{low:g}, {high:g}); got {value:g}")
