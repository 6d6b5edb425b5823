"""Model predictive path integral control: the mean moves to an average of all candidates, weighted by cost.

`MPPI`: Williams et al. (2017), "Information Theoretic MPC for Model-Based Reinforcement Learning", with a temperature
in units of the spread of the costs, as in DIAL-MPC (Xue et al., 2024). `EliteMPPI`: Hansen et al. (2022, 2024), TD-MPC
and TD-MPC2: only the best candidates count, and the width follows them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Float, Int
from .parameterization import Parameterization, Steps
from .proposals import Proposal
from .pytree import static
from .sampling import SamplingPlanner, check_number, fitted_gaussian
from .search import Search
from .types import ActionSpec, Evaluation, Number

_NORMAL = math.sqrt(math.pi / 2)  # standard deviation of a normal variable over its mean distance from its median


@register_dataclass
@dataclass(frozen=True)
class MPPI(SamplingPlanner):
    """Moves the mean to the candidates' average with weights exp(-(cost - least cost) / (temperature · spread)).

    The spread is that of the better half of the iteration's costs (`relative_cost`), so neither the scale of a cost nor
    a constant in it changes anything, nor do the costs of bad candidates: one rollout that costs 1e30
    does not make all others look equal. Each iteration is narrower than the last by `std_decay` (1: the published
    algorithm). No control cost is added to the importance weights: a cost of effort belongs in the objective.
    """

    horizon: int = static(15)  # T, environment steps
    num_samples: int = static(128)  # N, candidates of one iteration
    iterations: int = static(3)
    num_keep: int = static(1)  # of the best sequences, those proposed again
    num_best: int = static(8)  # k, sequences kept in the plan
    init_std: Number = 0.7  # share of the half range, at the start of each plan
    std_decay: Number = 0.7  # factor of the width in each iteration
    temperature: Number = 0.1  # share of the costs' spread
    noise_beta: Number = 1.0  # exponent of the noise's spectrum; 0 is white
    parameterization: Parameterization = static(Steps())
    proposals: tuple[Proposal, ...] = static(())

    def validate(self, spec: ActionSpec) -> None:
        """Raise ValueError, in one sentence, on a configuration that cannot plan for `spec`."""
        super().validate(spec)
        check_number("temperature", self.temperature, 0.0, math.inf, low_open=True)
        check_number("std_decay", self.std_decay, 0.0, 1.0 + 1e-6, low_open=True)

    def update(self, state: Search, candidates: Float[Array, "N T A"], evaluation: Evaluation) -> Search:
        """Average the candidates; without any finite cost the mean is unchanged."""
        order = evaluation.order()
        cost = feasible_cost(evaluation)
        above, spread = relative_cost(cost, cost[order])
        weights = softmin(above, 1.0 / (self.temperature * spread))
        return self.learned(
            state,
            candidates,
            evaluation,
            order,
            mean=jnp.einsum("m,mna->na", weights, self.fit(candidates)),
            std=self.std_decay * state.std,
            weights=weights,
            again=self.num_keep,
        )


@register_dataclass
@dataclass(frozen=True)
class EliteMPPI(SamplingPlanner):
    """TD-MPC2's planner: mean and width of the best candidates, weighted by exp(-temperature · (cost - least cost)).

    Here, as published, `temperature` multiplies: it is an inverse temperature in units of 1 / cost, so it has to suit
    the scale of the objective. With `proposals=(Given(24),)` it uses 24 rollouts of a policy, as published. One detail
    differs: the best evaluated sequence is executed, where TD-MPC2 draws one of the elites by weight.
    """

    horizon: int = static(15)  # T, environment steps
    num_samples: int = static(512)  # N, candidates of one iteration, those of a policy among them
    num_elites: int = static(64)
    iterations: int = static(6)
    num_keep: int = static(0)  # of the best sequences, those proposed again
    num_best: int = static(8)  # k, sequences kept in the plan
    init_std: Number = 2.0  # share of the half range, at the start of each plan
    min_std: Number = 0.05  # share of the half range
    max_std: Number = 2.0  # share of the half range
    temperature: Number = 0.5  # 1 / cost
    noise_beta: Number = 0.0  # exponent of the noise's spectrum; 0 is white
    parameterization: Parameterization = static(Steps())
    proposals: tuple[Proposal, ...] = static(())

    def validate(self, spec: ActionSpec) -> None:
        """Raise ValueError, in one sentence, on a configuration that cannot plan for `spec`."""
        super().validate(spec)
        if not 1 <= self.num_elites <= self.num_samples:
            raise ValueError(
                f"num_elites must lie between 1 and num_samples ({self.num_samples}); got {self.num_elites}"
            )
        check_number("temperature", self.temperature, 0.0, math.inf)
        check_number("min_std", self.min_std, 0.0, math.inf)
        check_number("max_std", self.max_std, 0.0, math.inf)
        numbers = (self.init_std, self.min_std, self.max_std)
        if not any(isinstance(number, jax.core.Tracer) for number in numbers) and float(self.max_std) < float(
            self.min_std
        ):
            raise ValueError(f"max_std ({float(self.max_std):g}) cannot be below min_std ({float(self.min_std):g})")

    def width(self, state: Search, spec: ActionSpec) -> Float[Array, "n A"]:
        """Width of the Gaussian, between `min_std` and `max_std`."""
        half = spec.half_range[None]
        return jnp.clip(state.std, self.min_std * half, self.max_std * half)

    def update(self, state: Search, candidates: Float[Array, "N T A"], evaluation: Evaluation) -> Search:
        """Fit the Gaussian to the weighted elites; without any finite cost it is unchanged."""
        order = evaluation.order()
        elites = order[: self.num_elites]
        weights = softmin(feasible_cost(evaluation)[elites], self.temperature)
        mean, std = fitted_gaussian(weights, self.fit(candidates[elites]))
        return self.learned(
            state,
            candidates,
            evaluation,
            order,
            mean=mean,
            std=std,
            weights=weights,
            again=self.num_keep,
        )


def feasible_cost(evaluation: Evaluation) -> Float[Array, "N"]:
    """Return the cost of feasible candidates, +inf for the rest; if none is feasible, the violation in its place.

    So an average also ranks by feasibility first, as `Evaluation.order` does.
    """
    cost = evaluation.finite_cost()
    if not evaluation.margins:
        return cost
    violation = jnp.where(jnp.isfinite(cost), evaluation.violation(), jnp.inf)
    feasible = jnp.where(violation <= 0, cost, jnp.inf)
    fallback = jnp.where(jnp.any(jnp.isfinite(violation)), violation, cost)
    return jnp.where(jnp.any(violation <= 0), feasible, fallback)


def relative_cost(cost: Float[Array, "N"], ranked: Float[Array, "N"]) -> tuple[Float[Array, "N"], Float[Array, ""]]:
    """Return costs above the least, and the spread of the better half, in a unit that keeps both within float32.

    The unit is the distance from the least cost to the worst of the better half. In units of the largest cost of all,
    one of 1e30 would round away the differences between good candidates. Where the better half is all equal, any cost
    above it is infinitely far.

    Args:
      cost: +inf for candidates without weight.
      ranked: the same costs in ascending order.

    Returns:
      The relative costs, and their spread: the mean distance of the better half from its worst, scaled such that it is
      the standard deviation where costs are normally distributed; 1 where that is 0.
    """
    half = better_half(ranked)
    # Halved before they are subtracted, because the difference of two finite numbers may be infinite.
    least, worst = ranked[0] / 2, ranked[half - 1] / 2
    unit = jnp.where(jnp.isfinite(worst), worst - least, 0.0)

    def above(values: Float[Array, "N"]) -> Float[Array, "N"]:
        distance = jnp.where(jnp.isfinite(values), values / 2 - least, jnp.inf)
        return jnp.where(distance > 0, distance / unit, 0.0)

    distances = jnp.where(jnp.arange(ranked.shape[0]) < half, 1.0 - above(ranked), 0.0)
    spread = _NORMAL * jnp.sum(distances) / half.astype(jnp.float32)
    return above(cost), jnp.where(unit > 0, spread, 1.0)


def better_half(ranked: Float[Array, "N"]) -> Int[Array, ""]:
    """Return how many of the best candidates define the spread, given the costs in ascending order, +inf last.

    Half of all N, finite or not, so that it does not matter which of the bad ones diverge. Where more than a few
    diverge: the finite ones but a tenth of N, and at least half of them. Never fewer than two, where two are finite.
    """
    num = ranked.shape[0]
    finite = jnp.maximum(jnp.sum(jnp.isfinite(ranked), dtype=jnp.int32), 1)
    half = jnp.minimum(num // 2, jnp.maximum(finite - num // 10, (finite + 1) // 2))
    return jnp.clip(half, jnp.minimum(2, finite), finite)


def softmin(cost: Float[Array, "N"], sharpness: Number) -> Float[Array, "N"]:
    """Return weights exp(-sharpness · (cost - least cost)) with sum 1: 0 for infinite costs; all 0 if all are."""
    finite = jnp.isfinite(cost)
    # Of two finite numbers far enough apart the difference is infinite, and infinity times a sharpness of 0 is NaN.
    above = jnp.where(finite, jnp.minimum(cost - jnp.min(cost), jnp.finfo(jnp.float32).max), 0.0)
    weights = jnp.where(finite, jnp.exp(-sharpness * above), 0.0)
    return weights / jnp.maximum(jnp.sum(weights), 1.0)  # the least cost alone weighs 1
