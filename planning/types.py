"""The contracts of planning: an objective, a planner, and a plan.

Letters in shapes: `N` candidates, `T` environment steps of a plan, `K` environment steps in one action block,
`H = T / K` model steps, `P` observation history, `O` observation, `A` action, `D` latent, `k` kept sequences.
Arrays may have further leading dimensions where `...` stands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_dataclass

from .arrays import Array, Float, Int, PRNGKeyArray
from .pytree import static

if TYPE_CHECKING:
    Leaf = Array
    Number = float | Array
else:  # a tree map may put shapes, tracers or None where a pytree's field held an array: such fields are not checked
    Leaf = Number = Any

State = TypeVar("State")


@register_dataclass
@dataclass(frozen=True)
class ActionSpec:
    """Bounds and rest of one action, in the units that the actuator takes, and seconds between two actions.

    The rest action is sent when nothing better is available: zero, or the bound nearest to it,
    unless `rest` declares another one. Without a declaration it is not a leaf, so programs have no argument for it.
    """

    low: Leaf  # [A]
    high: Leaf  # [A]
    control_period: float = static()
    rest: Leaf | None = None  # [A]; None: zero, or the bound nearest to it

    @property
    def size(self) -> int:
        """Number A of action dimensions."""
        return int(self.low.shape[-1])

    @property
    def rest_action(self) -> Float[Array, "A"]:
        """Rest action: declared, or zero clipped to the bounds."""
        return jnp.clip(jnp.zeros_like(self.low), self.low, self.high) if self.rest is None else self.rest

    @property
    def middle(self) -> Float[Array, "A"]:
        """Middle between the bounds: where a search starts. It is not the rest action."""
        return (self.low + self.high) / 2

    @property
    def half_range(self) -> Float[Array, "A"]:
        """Half of the distance between the bounds."""
        return (self.high - self.low) / 2

    @classmethod
    def of(cls, low: Any, high: Any, control_period: float, rest: Any = None) -> ActionSpec:
        """Check the bounds and build the specification.

        Args:
          low: [A] lower bounds, in the units of the actuator.
          high: [A] upper bounds.
          control_period: seconds between two actions.
          rest: [A] the rest action; None: zero, or the bound nearest to it.

        Raises:
          ValueError: bounds that are not two finite vectors of one length, reversed, a period that is not positive, or
            a rest action that is not one number within the bounds for each actuator.
        """
        low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
        if low.ndim != 1 or low.shape != high.shape or low.size == 0:
            raise ValueError(
                f"action bounds must be two vectors of one length; got shapes {low.shape} and {high.shape}"
            )
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise ValueError("action bounds must be finite: a sampling planner cannot search an unbounded actuator")
        if (low > high).any():
            raise ValueError(f"action bounds are reversed in dimension {int(np.argmax(low > high))}: {low} > {high}")
        if not 0 < control_period < math.inf:
            raise ValueError(f"control_period must be positive seconds; got {control_period}")
        if rest is not None:
            rest = np.asarray(rest, np.float32)
            if rest.shape != low.shape or not ((low <= rest) & (rest <= high)).all():
                raise ValueError(f"rest must be {low.size} numbers within the action bounds; got {rest.tolist()}")
            rest = jnp.asarray(rest)
        return cls(jnp.asarray(low), jnp.asarray(high), float(control_period), rest)


@register_dataclass
@dataclass(frozen=True)
class Evaluation:
    """Evaluation of `N` candidates by an objective. Lower cost is better; a margin at or below 0 is safe."""

    cost: Leaf  # [N]
    margins: dict[str, Leaf] = field(default_factory=dict)  # each [N]
    terms: dict[str, Leaf] = field(default_factory=dict)  # each [N]: the weighted parts of the cost
    latents: Leaf | None = None  # [N, H, D] predicted latents, where a model predicted

    def check(self, num: int) -> None:
        """Raise ValueError unless every part has one number (the latents one future) for each of `num` candidates."""
        for name, part in {"cost": self.cost, **self.margins, **self.terms}.items():
            if np.shape(part) != (num,):
                raise ValueError(
                    f"the objective must return one number for each of {num} candidates; got shape {np.shape(part)} "
                    f"for {name}"
                )

    def violation(self) -> Float[Array, "N"]:
        """Sum of the positive parts of the margins; a NaN margin counts as an infinite violation."""
        total = jnp.zeros_like(self.cost)
        for margin in self.margins.values():
            total = total + jnp.where(jnp.isnan(margin), jnp.inf, jnp.maximum(margin, 0.0))
        return total

    def finite_cost(self) -> Float[Array, "N"]:
        """Cost, +inf wherever it is not finite: a rollout that diverged can never become the best."""
        return jnp.where(jnp.isfinite(self.cost), self.cost, jnp.inf)

    def order(self) -> Int[Array, "N"]:
        """Indices from best to worst: by violation, then by cost; ties keep their order.

        A cost that is not finite comes after every finite one, whatever its violation: the margins of a rollout that
        diverged mean nothing either.
        """
        cost = self.finite_cost()
        if not self.margins:
            return jnp.argsort(cost)
        return jnp.lexsort((cost, self.violation(), jnp.isinf(cost)))


@runtime_checkable
class Objective(Protocol):
    """Scores action sequences. It knows the situation (root, goal, model); the planner knows only its scores.

    A traced objective is a pytree, so that a new root, goal, model or weight is a new argument and never a recompile.
    """

    def __call__(self, actions: Float[Array, "N T A"]) -> Evaluation:
        """Return one cost, and the margins and terms, of each candidate."""
        ...


class Status(IntEnum):
    """Outcome of a planning call. `FAILED`: no candidate had a finite cost, and the plan holds the previous one."""

    OK = 0
    INFEASIBLE = 1
    FAILED = 2


@register_dataclass
@dataclass(frozen=True)
class Plan:
    """Result of planning. `actions` were themselves evaluated: `cost` is theirs, not an average's."""

    actions: Leaf  # [T, A]
    cost: Leaf  # []
    terms: dict[str, Leaf]  # each []
    margins: dict[str, Leaf]  # each []
    sequences: Leaf  # [k, T, A] the best evaluated sequences, best first
    costs: Leaf  # [k]
    status: Leaf  # [] a Status, int32
    finite_fraction: Leaf  # [] share of the candidates whose cost was finite
    spread: Leaf  # [] mean standard deviation of the search distribution, as a share of the half range
    effective_samples: Leaf  # [] 1 / sum of squared weights of the candidates in the last update
    progress: Leaf  # [iterations] the best cost after each iteration, +inf without any; the last holds the latest
    latents: Leaf | None = None  # [H, D] predicted latents of `actions`, from the root of this plan


@runtime_checkable
class Planner(Protocol[State]):
    """A planner is its configuration; its state is explicit and every method is pure."""

    @property
    def horizon(self) -> int:
        """Horizon T: environment steps in a plan."""
        ...

    @property
    def iterations(self) -> int:
        """Number of iterations of `plan`."""
        ...

    def validate(self, spec: ActionSpec) -> None:
        """Raise ValueError, in one sentence, on a configuration that cannot plan for `spec`."""
        ...

    def init(self, spec: ActionSpec, key: PRNGKeyArray) -> State:
        """Validate, and return the initial state. `key` belongs to the state from here on."""
        ...

    def prepare(self, state: State, evaluation: Any) -> State:
        """Make room for the evaluation's terms, margins and latents: the structure of the state is final afterwards.

        Only names and shapes are read, so the result of `jax.eval_shape` suffices; `plan` does this itself.
        """
        ...

    def warm_start(self, state: State, spec: ActionSpec, steps: Int[Array, ""]) -> State:
        """Start from the previous plan, `steps` environment steps later."""
        ...

    def refine(self, objective: Objective, state: State, spec: ActionSpec) -> State:
        """Run one iteration against a traced objective, on a state from `prepare`."""
        ...

    def result(self, state: State, spec: ActionSpec) -> Plan:
        """Return the current plan: usable after any number of iterations."""
        ...

    def plan(self, objective: Objective, state: State, spec: ActionSpec) -> tuple[Plan, State]:
        """Run all iterations against a traced objective. Between two plans the caller calls `warm_start`."""
        ...


@runtime_checkable
class AskTell(Planner[State], Protocol[State]):
    """A planner that only needs the costs of its candidates from an objective: it can also plan in a simulator.

    `propose` and `update` are the two halves of an iteration: `plan` scans them for a traced objective, and a host loop
    drives the same halves.
    """

    def sizes(self) -> tuple[int, ...]:
        """Number of candidates that each iteration evaluates."""
        ...

    def propose(self, state: State, spec: ActionSpec) -> Float[Array, "N T A"]:
        """Return the candidates of one iteration, within the bounds."""
        ...

    def update(self, state: State, candidates: Float[Array, "N T A"], evaluation: Evaluation) -> State:
        """Learn from their costs."""
        ...
