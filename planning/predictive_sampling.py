"""Predictive sampling: keep the best of the nominal plan and noise around it.

Howell et al. (2022), "Predictive Sampling: Real-time Behaviour Synthesis with MuJoCo", algorithm 1. The simplest
planner that works, and the baseline that every other should beat.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Float
from .parameterization import Knots, Parameterization
from .proposals import Proposal
from .pytree import static
from .sampling import SamplingPlanner, known_or
from .search import Search
from .types import ActionSpec, Evaluation, Number


@register_dataclass
@dataclass(frozen=True)
class PredictiveSampling(SamplingPlanner):
    """Keeps the best of `num_samples`: the first is the nominal plan, so only a better one ever replaces it.

    The width never changes. Noise on few knots is the published choice; with `Steps`, use coloured noise.
    """

    horizon: int = static(15)  # T, environment steps
    num_samples: int = static(128)  # N, candidates of one iteration
    iterations: int = static(3)  # the published algorithm has one, and replans as fast as it can
    num_best: int = static(8)  # k, sequences kept in the plan
    init_std: Number = 0.3  # share of the half range
    noise_beta: Number = 0.0  # exponent of the noise's spectrum; 0 is white
    parameterization: Parameterization = static(Knots(5, "linear"))
    proposals: tuple[Proposal, ...] = static(())

    num_keep = 1  # the nominal plan is the best sequence so far

    def propose(self, state: Search, spec: ActionSpec) -> Float[Array, "N T A"]:
        """Return the nominal plan, the proposals, and draws around it; clipped to the bounds."""
        mean = self.expand(state.mean, spec)[None]
        nominal = known_or(state.best.sequences[:1], state.best.known[:1], mean)
        samples = self.draws(state, spec, state.draw_key(), self.num_samples - 1)
        return self.within(jnp.concatenate([nominal, self.with_proposals(state, spec, samples)]), spec)

    def update(self, state: Search, candidates: Float[Array, "N T A"], evaluation: Evaluation) -> Search:
        """Search around the best candidate from now on; without any finite cost, the search is unchanged."""
        order = evaluation.order()
        return self.learned(
            state,
            candidates,
            evaluation,
            order,
            mean=self.fit(candidates[order[0]]),
            std=state.std,
            weights=jnp.isfinite(evaluation.cost[order[:1]]).astype(jnp.float32),
            again=1,
        )
