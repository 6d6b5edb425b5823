"""The improved cross-entropy method: the published algorithm, step by step.

Pinneri et al. (2020), "Sample-efficient Cross-Entropy Method for Real-time Planning", algorithm 1, with the details of
the authors' own code: populations that shrink to no less than twice the elites, elites that keep their
cost, and shifted elites whose last action is drawn again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Bool, Float, Int
from .best import Best
from .parameterization import Parameterization, Steps
from .proposals import Proposal
from .pytree import static
from .sampling import SamplingPlanner, check_number, equal_share, fitted_gaussian
from .search import Search
from .types import ActionSpec, Evaluation, Number


@register_dataclass
@dataclass(frozen=True)
class ICEM(SamplingPlanner):
    """Coloured noise, a shrinking population, and elites that are kept from iteration to iteration and plan to plan.

    Iteration i draws N_i = max(2 · num_elites, N_{i-1} / decay) samples, rounded down, with N_0 = num_samples; the last
    iteration's first one is the mean. The first iteration also evaluates the `num_keep` best elites of the previous
    plan, shifted; the later ones rank those of the previous iteration again, with the same cost. `propose`
    always returns N_0 + num_keep candidates: those beyond the iteration's own are ignored, and `plan` does not
    even evaluate them.

    The noise has unit variance; that of the published code leaves a constant's share out of its normalisation, and so
    is wider (for 30 steps and a beta of 2.5 by about a fifth), which `init_std` can make up for.
    """

    horizon: int = static(15)  # T, environment steps
    num_samples: int = static(40)  # N_0, draws of the first iteration
    num_elites: int = static(10)
    iterations: int = static(3)
    num_keep: int = static(3)  # elites that are kept and shifted: 0.3 of 10
    num_best: int = static(8)  # k, sequences kept in the plan
    decay: float = static(1.25)  # divisor of the population from one iteration to the next
    init_std: Number = 0.5  # share of the half range, at the start of each plan
    momentum: Number = 0.1  # weight of the old mean and deviation
    noise_beta: Number = 2.0  # exponent of the noise's spectrum: low for fast control, up to 3.5 for manipulation
    parameterization: Parameterization = static(Steps())
    proposals: tuple[Proposal, ...] = static(())

    def validate(self, spec: ActionSpec) -> None:
        """Raise ValueError, in one sentence, on a configuration that cannot plan for `spec`."""
        if not 1 <= self.num_elites <= self.num_samples:
            raise ValueError(
                f"num_elites must lie between 1 and num_samples ({self.num_samples}); got {self.num_elites}"
            )
        if not 0 <= self.num_keep <= self.num_elites:
            raise ValueError(f"num_keep must lie between 0 and num_elites ({self.num_elites}); got {self.num_keep}")
        super().validate(spec)
        check_number("decay", self.decay, 1.0, float("inf"))
        check_number("momentum", self.momentum, 0.0, 1.0)
        if self.num_best > min(self.sizes()):
            raise ValueError(f"num_best ({self.num_best}) cannot exceed the smallest population ({min(self.sizes())})")

    def populations(self) -> tuple[int, ...]:
        """Population N_i: the number of samples of each iteration."""
        sizes = [self.num_samples]
        while len(sizes) < self.iterations:
            sizes.append(min(self.num_samples, max(2 * self.num_elites, int(sizes[-1] / self.decay))))
        return tuple(sizes)

    def sizes(self) -> tuple[int, ...]:
        """The populations, and the shifted elites in the first iteration."""
        first, *rest = self.populations()
        return (first + self.num_keep, *rest)

    def propose(self, state: Search, spec: ActionSpec) -> Float[Array, "N T A"]:
        """Return draws (with the proposals in place of some, and the mean at the end) and the shifted elites."""
        samples = self.draws(state, spec, state.draw_key(), self.num_samples)
        mean = self.expand(state.mean, spec)[None]
        first = jnp.where(state.iteration >= self.iterations - 1, mean, samples[:1])
        rest = self.with_proposals(state, spec, samples[1:])
        shifted = state.memory.sequences[: self.num_keep]
        return self.within(jnp.concatenate([first, rest, shifted]), spec)

    def update(self, state: Search, candidates: Float[Array, "N T A"], evaluation: Evaluation) -> Search:
        """Fit the Gaussian to the elites of the candidates and of the kept elites."""
        counted = self._counted(state)[: candidates.shape[0]]
        evaluation = replace(evaluation, cost=jnp.where(counted, evaluation.cost, jnp.inf))
        # Costs of an earlier plan were forgotten when it was shifted, so none of its elites is ranked by one.
        kept = jax.tree.map(lambda leaf: leaf[: self.num_keep], state.memory)
        sequences = jnp.concatenate([candidates, kept.sequences])
        seen = Evaluation(evaluation.cost, {"violation": evaluation.violation()})
        pool = jax.tree.map(lambda new, old: jnp.concatenate([new, old]), seen, kept.evaluation)
        order = (pool if evaluation.margins else Evaluation(pool.cost)).order()[: self.num_elites]
        known = jnp.isfinite(pool.cost[order])
        share = equal_share(known)
        mean, std = fitted_gaussian(share, self.fit(sequences[order]))
        elites = Best(sequences[order], jax.tree.map(lambda leaf: leaf[order], pool), known)
        # All costs are infinite: the elites of the previous plan are still the best known.
        memory = jax.tree.map(lambda new, old: jnp.where(jnp.any(known), new, old), elites, state.memory)
        state = self.learned(
            state,
            candidates,
            evaluation,
            evaluation.order(),
            mean=self.momentum * state.mean + (1.0 - self.momentum) * mean,
            std=self.momentum * state.std + (1.0 - self.momentum) * std,
            weights=share,
            again=0,
            counted=counted,
        )
        return replace(state, memory=memory)

    def first_memory(self, spec: ActionSpec) -> Any:
        """Return no elites."""
        rest = jnp.broadcast_to(spec.middle[None], (self.horizon, spec.size))
        unknown = Best.unknown(rest, self.num_elites)
        infinite = unknown.evaluation.cost
        return replace(unknown, evaluation=Evaluation(infinite, {"violation": infinite}))

    def later_memory(self, state: Search, spec: ActionSpec, steps: Int[Array, ""]) -> Any:
        """Return the shifted elites; actions beyond their end come from fresh draws."""
        elites = state.memory.shifted(steps)
        key = jax.random.fold_in(state.key, state.call)
        fresh = self.draws(state, spec, jax.random.fold_in(key, self.iterations), self.num_elites)
        beyond = (jnp.arange(self.horizon) >= self.horizon - steps)[None, :, None]
        return replace(elites, sequences=jnp.where(beyond, fresh, elites.sequences))

    def _counted(self, state: Search) -> Bool[Array, "M"]:
        """Mask of the candidates that belong to this iteration."""
        sizes = jnp.asarray(self.populations(), jnp.int32)
        size = sizes[jnp.minimum(state.iteration, self.iterations - 1)]
        sample = jnp.arange(self.num_samples) < size
        shifted = state.memory.known[: self.num_keep] & (state.iteration == 0)
        return jnp.concatenate([sample, shifted])
