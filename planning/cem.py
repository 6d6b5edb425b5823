"""The cross-entropy method: fit a Gaussian over action sequences to the best of its own samples, repeatedly.

Rubinstein & Kroese (2004), "The Cross-Entropy Method"; for planning with a learned model, Chua et al. (2018), "PETS".
Coloured noise, kept elites and momentum are as in iCEM (Pinneri et al., 2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Float
from .parameterization import Parameterization, Steps
from .proposals import Proposal
from .pytree import static
from .sampling import SamplingPlanner, check_number, equal_share, fitted_gaussian
from .search import Search
from .types import ActionSpec, Evaluation, Number


@register_dataclass
@dataclass(frozen=True)
class CEM(SamplingPlanner):
    """Cross-entropy method over action sequences.

    One iteration evaluates `num_samples` candidates: the mean, the `num_keep` best sequences so far (after a warm
    start, those of the previous plan, shifted), and draws around the mean. All are clipped to the bounds before they
    are evaluated, and the Gaussian is fitted to the evaluated sequences.
    """

    horizon: int = static(15)  # T, environment steps
    num_samples: int = static(64)  # N, all candidates of one iteration
    num_elites: int = static(6)
    iterations: int = static(3)
    num_keep: int = static(4)  # of the best sequences, those proposed again
    num_best: int = static(8)  # k, sequences kept in the plan
    init_std: Number = 0.7  # share of the half range, at the start of each plan
    min_std: Number = 0.05  # share of the half range, lower limit of the width of the draws
    momentum: Number = 0.1  # weight of the old mean and deviation
    noise_beta: Number = 1.0  # exponent of the noise's spectrum; 0 is white
    parameterization: Parameterization = static(Steps())
    proposals: tuple[Proposal, ...] = static(())

    def validate(self, spec: ActionSpec) -> None:
        """Raise ValueError, in one sentence, on a configuration that cannot plan for `spec`."""
        if not 1 <= self.num_elites <= self.num_samples:
            raise ValueError(
                f"num_elites must be at least 1; got {self.num_elites}"
                if self.num_elites < 1
                else f"num_elites ({self.num_elites}) cannot exceed num_samples ({self.num_samples})"
            )
        super().validate(spec)
        check_number("min_std", self.min_std, 0.0, math.inf)
        check_number("momentum", self.momentum, 0.0, 1.0)

    def width(self, state: Search, spec: ActionSpec) -> Float[Array, "n A"]:
        """Width of the Gaussian, but never below `min_std`."""
        return jnp.maximum(state.std, (self.min_std * spec.half_range)[None])

    def update(self, state: Search, candidates: Float[Array, "N T A"], evaluation: Evaluation) -> Search:
        """Fit the Gaussian to the elites; without any finite cost it is unchanged."""
        order = evaluation.order()
        finite = jnp.isfinite(evaluation.cost)
        elites = order[: self.num_elites]
        share = equal_share(finite[elites])  # fewer finite candidates than elites: fit to those
        mean, std = fitted_gaussian(share, self.fit(candidates[elites]))
        return self.learned(
            state,
            candidates,
            evaluation,
            order,
            mean=self.momentum * state.mean + (1.0 - self.momentum) * mean,
            std=self.momentum * state.std + (1.0 - self.momentum) * std,
            weights=share,
            again=self.num_keep,
        )
