"""Gradient descent on the actions: Adam through the model, from several starts, projected to the bounds.

Needs a traced objective that is differentiable, so it has no ask and tell: only `plan` and `refine`. Adam: Kingma & Ba
(2015); in planning with a learned model, e.g. Henaff et al. (2017), "Model-based planning with discrete and continuous
actions". Local, so the starts matter: the previous plan, and coloured draws around it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Bool, Float, Int, PRNGKeyArray
from .best import Best
from .noise import coloured_noise
from .parameterization import Parameterization, Steps
from .pytree import static
from .sampling import check_number
from .types import ActionSpec, Evaluation, Leaf, Number, Objective, Plan


@register_dataclass
@dataclass(frozen=True)
class Moments:
    """Adam's moments of the gradient, with its published constants.

    The powers in the bias correction are products from step to step: a power function (optax has one) rounds
    differently in a batch and alone, and a plan must not depend on the other plans of its batch.
    """

    first: Leaf  # [S, n, A]
    second: Leaf  # [S, n, A]
    forgotten: Leaf  # [2] remaining share of the initial zeros in either

    @classmethod
    def none(cls, params: Float[Array, "S n A"]) -> Moments:
        """Return the moments before any gradient."""
        return cls(jnp.zeros_like(params), jnp.zeros_like(params), jnp.ones(2))

    def after(self, slope: Float[Array, "S n A"]) -> tuple[Float[Array, "S n A"], Moments]:
        """Return the step along a gradient, of about unit size, and the updated moments."""
        first = 0.9 * self.first + 0.1 * slope
        second = 0.999 * self.second + 0.001 * slope**2
        forgotten = self.forgotten * jnp.array([0.9, 0.999])
        mean, square = first / (1.0 - forgotten[0]), second / (1.0 - forgotten[1])
        return mean / (jnp.sqrt(square) + 1e-8), Moments(first, second, forgotten)


@register_dataclass
@dataclass(frozen=True)
class Descent:
    """State of the gradient planner: its starts on their descent, and the best that each has found."""

    key: Leaf  # []
    call: Leaf  # [] int32
    iteration: Leaf  # [] int32
    params: Leaf  # [S, n, A] in half ranges from the middle
    moments: Moments
    best: Best  # one sequence a start
    finite: Leaf  # [] sum over the iterations of the share of starts with a finite cost
    progress: Leaf  # [iterations] best cost after each


@register_dataclass
@dataclass(frozen=True)
class Gradient:
    """Adam on `num_starts` action sequences in parallel; the plan is the best of all that were evaluated.

    Constraints enter the gradient as `penalty` times their violation; the choice is feasible first, as everywhere. A
    start whose gradient is not finite stays where it is for that iteration.
    """

    horizon: int = static(15)  # T, environment steps
    num_starts: int = static(8)  # S, and the number of sequences kept in the plan
    iterations: int = static(12)
    learning_rate: Number = 0.1  # share of the half range a step
    init_std: Number = 0.7  # share of the half range, of the starts around the previous plan
    noise_beta: Number = 1.0  # exponent of the spectrum of the starts; 0 is white
    penalty: Number = 10.0  # weight of a violation, in units of the cost
    parameterization: Parameterization = static(Steps())

    def validate(self, spec: ActionSpec) -> None:
        """Raise ValueError, in one sentence, on a configuration that cannot plan for `spec`."""
        for name in ("horizon", "num_starts", "iterations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        check_number("learning_rate", self.learning_rate, 0.0, math.inf, low_open=True)
        check_number("init_std", self.init_std, 0.0, math.inf)
        check_number("noise_beta", self.noise_beta, 0.0, math.inf)
        check_number("penalty", self.penalty, 0.0, math.inf)
        self.parameterization.validate(self.horizon)

    def init(self, spec: ActionSpec, key: PRNGKeyArray) -> Descent:
        """Start around the middle of the bounds. `key` belongs to the state from here on.

        Raises:
          ValueError: the configuration cannot plan for `spec`.
        """
        self.validate(spec)
        rest = jnp.broadcast_to(spec.middle[None], (self.horizon, spec.size))
        best = Best.unknown(rest, self.num_starts)
        zero = jnp.zeros((), jnp.int32)
        params = self._starts(key, zero, best, spec)
        progress = jnp.full(self.iterations, jnp.inf, jnp.float32)
        return Descent(key, zero, zero, params, Moments.none(params), best, jnp.zeros(()), progress)

    def prepare(self, state: Descent, evaluation: Any) -> Descent:
        """Make room for the names of the evaluation's terms and margins; only the names are read."""
        return replace(state, best=state.best.named(evaluation))

    def warm_start(self, state: Descent, spec: ActionSpec, steps: Int[Array, ""] | int) -> Descent:
        """Start from the previous plan, `steps` environment steps later, and from draws around it; forget its costs."""
        best = _sorted(state.best).shifted(jnp.asarray(steps, jnp.int32))
        call = state.call + 1
        params = self._starts(state.key, call, best, spec)
        return Descent(
            key=state.key,
            call=call,
            iteration=jnp.zeros_like(state.iteration),
            params=params,
            moments=Moments.none(params),
            best=best,
            finite=jnp.zeros_like(state.finite),
            progress=jnp.full_like(state.progress, jnp.inf),
        )

    def refine(self, objective: Objective, state: Descent, spec: ActionSpec) -> Descent:
        """Evaluate every start and move it down its gradient, on a state from `prepare`."""

        def total(params: Array) -> tuple[Array, tuple[Array, Evaluation]]:
            sequences = self._expand(params, spec)
            evaluation = objective(sequences)
            penalised = evaluation.cost + self.penalty * evaluation.violation()
            return jnp.sum(penalised), (sequences, evaluation)

        slope, (sequences, evaluation) = jax.grad(total, has_aux=True)(state.params)
        usable = jnp.all(jnp.isfinite(slope), axis=(1, 2), keepdims=True)
        step, moments = state.moments.after(jnp.where(usable, slope, 0.0))
        params = jnp.clip(state.params - self.learning_rate * jnp.where(usable, step, 0.0), -1.0, 1.0)
        best = _better_of_each(state.best, sequences, evaluation)
        last = jnp.minimum(state.iteration, self.iterations - 1)
        return replace(
            state,
            iteration=state.iteration + 1,
            params=params,
            moments=moments,
            best=best,
            finite=state.finite + jnp.mean(jnp.isfinite(evaluation.cost).astype(jnp.float32)),
            progress=state.progress.at[last].set(_sorted(best).evaluation.finite_cost()[0]),
        )

    def plan(self, objective: Objective, state: Descent, spec: ActionSpec) -> tuple[Plan, Descent]:
        """Run all iterations against a traced objective. Call `warm_start` between two plans."""
        state = self.prepare(state, jax.eval_shape(objective, self._expand(state.params, spec)))
        state, _ = jax.lax.scan(
            lambda state, _: (self.refine(objective, state, spec), None), state, length=self.iterations
        )
        return self.result(state, spec), state

    def result(self, state: Descent, spec: ActionSpec) -> Plan:
        """Return the current plan. Before any finite cost it is FAILED, and holds the previous plan or the middle."""
        iterations = jnp.maximum(state.iteration, 1).astype(jnp.float32)
        spread = jnp.mean(jnp.std(state.params, axis=0))
        alone = jnp.ones(())  # no average
        return _sorted(state.best).plan(state.finite / iterations, spread, alone, state.progress)

    def _starts(self, key: PRNGKeyArray, call: Int[Array, ""], best: Best, spec: ActionSpec) -> Float[Array, "S n A"]:
        half = jnp.where(spec.half_range > 0, spec.half_range, 1.0)
        middle = spec.middle
        plan = (self.parameterization.fit(best.sequences[0]) - middle[None]) / half[None]
        num = self.parameterization.num(self.horizon)
        noise = coloured_noise(jax.random.fold_in(key, call), self.num_starts, num, spec.size, self.noise_beta)
        others = (jnp.arange(self.num_starts) > 0).astype(jnp.float32)[:, None, None]
        return jnp.clip(plan[None] + self.init_std * others * noise, -1.0, 1.0)

    def _expand(self, params: Float[Array, "S n A"], spec: ActionSpec) -> Float[Array, "S T A"]:
        actions = spec.middle[None, None] + spec.half_range[None, None] * params
        sequences = self.parameterization.expand(actions, self.horizon)
        return jnp.clip(sequences, spec.low[None, None], spec.high[None, None])


def _better_of_each(best: Best, sequences: Float[Array, "S T A"], evaluation: Evaluation) -> Best:
    """Return the better of each start's best and its present sequence: finite, then feasible, then cheaper."""
    old, new = best.evaluation, jax.tree.map(lambda leaf: leaf.astype(jnp.float32), evaluation)
    better = _precedes(new.finite_cost(), new.violation(), old.finite_cost(), old.violation())

    def choose(new: Array, old: Array) -> Array:
        return jnp.where(better.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)

    found = Best(sequences, new, jnp.ones_like(best.known))
    return jax.tree.map(choose, found, best.named(evaluation))


def _precedes(cost: Array, violation: Array, than_cost: Array, than_violation: Array) -> Bool[Array, "S"]:
    cheaper = (violation < than_violation) | ((violation == than_violation) & (cost < than_cost))
    return jnp.isfinite(cost) & (jnp.isinf(than_cost) | cheaper)


def _sorted(best: Best) -> Best:
    """Sort the starts, best first; known ones before unknown ones where costs are equal."""
    order = best.evaluation.order()
    order = order[jnp.argsort(~best.known[order])]
    return jax.tree.map(lambda leaf: leaf[order], best)
