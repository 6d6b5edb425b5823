"""The cross-entropy method: fit a Gaussian over action sequences to the best of its own samples, again and again.

Rubinstein & Kroese (2004), "The Cross-Entropy Method"; for planning with a learned model, Chua et al. (2018), "PETS".
Coloured noise, kept elites and momentum are those of iCEM (Pinneri et al., 2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .noise import coloured_noise
from .sampling import SamplingPlanner, Search
from .types import ActionSpec, Evaluation, Number


@final
@partial(
    jax.tree_util.register_dataclass,
    data_fields=["init_std", "min_std", "momentum", "noise_beta"],
    meta_fields=["horizon", "num_samples", "num_elites", "iterations", "num_keep", "num_best"],
)
@dataclass(frozen=True)
class CEM(SamplingPlanner):
    """Cross-entropy method over `[T, A]` action sequences.

    One iteration evaluates `num_samples` candidates: the mean, the `num_keep` best sequences so far (after a warm
    start, those of the previous plan, shifted), and draws around the mean. All are clipped to the bounds before they
    are evaluated, and the Gaussian is fitted to what was evaluated.
    """

    horizon: int = 15  # T, environment steps
    num_samples: int = 128  # N, all candidates of one iteration
    num_elites: int = 16
    iterations: int = 3
    num_keep: int = 4  # of the best sequences, those proposed again
    num_best: int = 8  # k, sequences kept in the plan
    init_std: Number = 0.7  # share of the half range, at the start of each plan
    min_std: Number = 0.05  # share of the half range, below which no draw is made
    momentum: Number = 0.1  # weight of the old mean and deviation
    noise_beta: Number = 1.0  # exponent of the noise's spectrum; 0 is white

    def validate(self, spec: ActionSpec) -> None:
        """Raise ValueError, in one sentence, on a configuration that cannot plan for `spec`."""
        for name in ("horizon", "num_samples", "num_elites", "iterations", "num_best"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        if self.num_elites > self.num_samples:
            raise ValueError(f"num_elites ({self.num_elites}) cannot exceed num_samples ({self.num_samples})")
        if self.num_best > self.num_samples:
            raise ValueError(f"num_best ({self.num_best}) cannot exceed num_samples ({self.num_samples})")
        if not 0 <= self.num_keep <= self.num_best:
            raise ValueError(f"num_keep must lie between 0 and num_best ({self.num_best}); got {self.num_keep}")
        if self.num_samples < self.num_keep + 2:
            raise ValueError(
                f"num_samples ({self.num_samples}) leaves no draw beside the mean and num_keep ({self.num_keep}) "
                f"kept sequences; take at least {self.num_keep + 2}"
            )
        check_number("init_std", self.init_std, 0.0, math.inf, low_open=True)
        check_number("min_std", self.min_std, 0.0, math.inf)
        check_number("momentum", self.momentum, 0.0, 1.0)
        check_number("noise_beta", self.noise_beta, 0.0, math.inf)

    def propose(self, state: Search, spec: ActionSpec) -> Float[Array, "N T A"]:
        """The mean, the kept sequences, and draws; clipped to the bounds."""
        std = jnp.maximum(state.std, (self.min_std * spec.half_range)[None])
        noise = coloured_noise(state.draw_key(), self.num_samples - 1, self.horizon, spec.size, self.noise_beta)
        samples = state.mean[None] + std[None] * noise
        # At the very start nothing is known to be worth another look: draws stand in for the kept sequences.
        known = state.best.known[: self.num_keep, None, None]
        kept = jnp.where(known, state.best.sequences[: self.num_keep], samples[: self.num_keep])
        candidates = jnp.concatenate([state.mean[None], kept, samples[self.num_keep :]])
        return jnp.clip(candidates, spec.low[None, None], spec.high[None, None])

    def update(self, state: Search, candidates: Float[Array, "N T A"], evaluation: Evaluation) -> Search:
        """Fit the Gaussian to the elites; without one finite cost it stays as it is."""
        order = evaluation.order()
        finite = jnp.isfinite(evaluation.cost)
        elites = candidates[order[: self.num_elites]]
        valid = finite[order[: self.num_elites]].astype(
            jnp.float32
        )  # fewer finite candidates than elites: fit to those
        share = valid / jnp.maximum(jnp.sum(valid), 1.0)
        mean = jnp.einsum("n,nta->ta", share, elites)
        std = jnp.sqrt(jnp.einsum("n,nta->ta", share, (elites - mean[None]) ** 2))
        momentum = jnp.where(jnp.any(finite), self.momentum, 1.0)
        return self.learned(
            state,
            candidates,
            evaluation,
            order,
            mean=momentum * state.mean + (1.0 - momentum) * mean,
            std=momentum * state.std + (1.0 - momentum) * std,
            weights=share,
            again=self.num_keep,
        )


def check_number(name: str, value: Number, low: float, high: float, low_open: bool = False) -> None:
    """Raise ValueError unless `low <= value < high` (`low < value` if open). A traced value cannot be looked at."""
    if isinstance(value, jax.core.Tracer):
        return
    inside = (low < value if low_open else low <= value) and value < high
    if not inside:
        raise ValueError(f"{name} must lie in {'(' if low_open else '['}{low:g}, {high:g}); got {float(value):g}")
