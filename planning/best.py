"""The best action sequences that a planner has evaluated, with their evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Float, Int
from .types import Evaluation, Leaf, Plan, Status


@register_dataclass
@dataclass(frozen=True)
class Best:
    """`k` action sequences, best first.

    `known` marks those that once had a finite cost; the rest is padding. A known one whose cost is infinite is out of
    date: it was found from an earlier root.
    """

    sequences: Leaf  # [k, T, A]
    evaluation: Evaluation  # of the k sequences
    known: Leaf  # [k] bool

    @classmethod
    def unknown(cls, sequence: Float[Array, "T A"], num_best: int) -> Best:
        """Return `num_best` times `sequence`, unevaluated: a plan holds it until something better is known."""
        sequences = jnp.broadcast_to(sequence[None], (num_best, *sequence.shape))
        return cls(sequences, Evaluation(jnp.full(num_best, jnp.inf, jnp.float32)), jnp.zeros(num_best, bool))

    def named(self, evaluation: Any) -> Best:
        """Return the same with the terms, margins and latents of `evaluation`; unknown values are infinite."""
        fill = jnp.full_like(self.evaluation.cost, jnp.inf)
        terms = {name: self.evaluation.terms.get(name, fill) for name in evaluation.terms}
        margins = {name: self.evaluation.margins.get(name, fill) for name in evaluation.margins}
        latents = self.evaluation.latents
        if evaluation.latents is not None and latents is None:
            latents = jnp.full((len(fill), *evaluation.latents.shape[1:]), jnp.inf, jnp.float32)
        return Best(self.sequences, Evaluation(self.evaluation.cost, margins, terms, latents), self.known)

    def merged(
        self, candidates: Float[Array, "N T A"], evaluation: Evaluation, order: Int[Array, "N"], again: int
    ) -> Best:
        """Take the best of the kept sequences and of the new candidates.

        The first `again` kept sequences were proposed again, so they count with their new cost, and only once. Where no
        candidate had a finite cost, everything stays as it was.

        Args:
          candidates: new sequences.
          evaluation: of the candidates.
          order: their indices, the cheapest first.
          again: number of kept sequences that are among the candidates.
        """
        num_best = self.known.shape[0]
        top = order[:num_best]
        found = jax.tree.map(lambda leaf: leaf[top].astype(jnp.float32), evaluation)
        kept = self.named(evaluation)
        pool = jax.tree.map(lambda a, b: jnp.concatenate([a[again:], b]), kept.evaluation, found)
        sequences = jnp.concatenate([kept.sequences[again:], candidates[top]])
        known = jnp.concatenate([kept.known[again:], jnp.isfinite(found.cost)])
        choice = pool.order()[:num_best]
        merged = jax.tree.map(lambda leaf: leaf[choice], Best(sequences, pool, known))
        any_finite = jnp.isfinite(found.cost[0])
        return jax.tree.map(lambda new, old: jnp.where(any_finite, new, old), merged, kept)

    def shifted(self, steps: Int[Array, ""]) -> Best:
        """Return the sequences `steps` environment steps later. Their evaluation is out of date, and dropped."""
        forgotten = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.inf), self.evaluation)
        return Best(shift(self.sequences, steps), forgotten, self.known)

    def plan(
        self,
        finite_fraction: Float[Array, ""],
        spread: Float[Array, ""],
        effective_samples: Float[Array, ""],
        progress: Float[Array, "I"],
    ) -> Plan:
        """Return the plan that executes the best sequence.

        Args:
          finite_fraction: share of the candidates with a finite cost.
          spread: mean standard deviation of the search distribution, as a share of the half range.
          effective_samples: 1 / sum of squared weights of the candidates in the last update.
          progress: best cost after each iteration.
        """
        first = jax.tree.map(lambda leaf: leaf[0], self.evaluation)
        failed = ~jnp.isfinite(first.cost)
        safe = self.evaluation.violation()[0] <= 0
        return Plan(
            actions=self.sequences[0],
            cost=first.cost,
            terms=first.terms,
            margins=first.margins,
            sequences=self.sequences,
            costs=self.evaluation.cost,
            status=jnp.where(failed, Status.FAILED, jnp.where(safe, Status.OK, Status.INFEASIBLE)).astype(jnp.int32),
            finite_fraction=finite_fraction,
            spread=spread,
            effective_samples=effective_samples,
            progress=progress,
            latents=first.latents,
        )


def shift(sequences: Float[Array, "*k T A"], steps: Int[Array, ""]) -> Float[Array, "*k T A"]:
    """Drop the first `steps` actions and hold the last one in their place.

    Holding, not resting: a plan whose goal lies beyond the horizon keeps moving, coloured noise around it stays
    smooth, and later plans have the most time to change the tail.
    """
    horizon = sequences.shape[-2]
    later = jnp.minimum(jnp.arange(horizon) + steps, horizon - 1)
    return jnp.take(sequences, later, axis=-2)
