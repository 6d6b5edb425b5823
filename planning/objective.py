"""The objective of planning in representation space: imagine each candidate, and sum its costs.

Everything that may change between two plans (root, goal, weights, limits, parameters) is a leaf of `LatentObjective`,
so one compiled plan serves them all. Only here are environment steps folded into the model's action blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Float, Int
from .constraints import Constraint
from .imagined import Cost, Imagined
from .model import LatentModel, Prediction, PredictionLike
from .pytree import static
from .risk import Mean, Risk, require_ensemble
from .types import ActionSpec, Evaluation, Leaf, Number

PRECISIONS = ("float32", "bfloat16")


def imagine(
    model: LatentModel,
    root: Float[Array, "D"],
    actions: Float[Array, "N T A"],
    precision: str = "float32",
    members: int | None = None,
) -> Prediction:
    """Predict `N` action sequences from one root: latents, rewards and continuations after each action block.

    Args:
      model: predicts.
      root: the latent to start from.
      actions: the sequences.
      precision: of the prediction: weights, latents and actions are cast to it, and the result back to float32.
      members: how many of an ensemble's first members predict, by default all.

    Returns:
      Latents `[N, H, D]`; rewards and continuations `[N, H]`, or None where the model predicts none. With more than
      one member each has a leading axis `E`.

    Raises:
      ValueError: `T` is not a multiple of the model's action block, `A` is not its action size, or the precision is
        neither float32 nor bfloat16.
      TypeError: the model's `predict` returns no `Prediction`.
    """
    num, horizon, size = actions.shape
    block = model.action_block
    if horizon % block:
        raise ValueError(
            f"the horizon is {horizon} environment steps, which the model's action block of {block} does not divide; "
            f"take {max(1, horizon // block) * block}"
        )
    if size != model.action_size:
        raise ValueError(f"actions have {size} dimensions, and the model was trained with {model.action_size}")
    if precision not in PRECISIONS:
        raise ValueError(
            f"precision must be {' or '.join(PRECISIONS)} when planning starts; got {precision!r}: for auto, use the "
            "agent that planning.fastest_precision returns"
        )
    dtype = jnp.dtype(precision)
    params = jax.tree.map(
        lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, model.params
    )
    blocks = actions.astype(dtype).reshape(num, horizon // block, block, size).transpose(1, 0, 2, 3)
    count = members_of(model, members)
    axis = (count,) if count > 1 else ()

    def step(latent: Array, block: Array) -> tuple[Array, Prediction]:
        foreseen = model.predict(params, latent, block)
        if not isinstance(foreseen, PredictionLike):
            raise TypeError(
                f"the model's predict must return a planning.Prediction(latent, reward, continuation); got "
                f"{type(foreseen).__name__}: return Prediction(latent) where it foresees a latent alone"
            )
        return foreseen.latent, Prediction(foreseen.latent, foreseen.reward, foreseen.continuation)

    start = jnp.broadcast_to(root.astype(dtype), (*axis, num, *root.shape))
    _, steps = jax.lax.scan(step, start, blocks)

    def stacked(numbers: Array | None, place: int) -> Array | None:
        return None if numbers is None else jnp.moveaxis(numbers, 0, place).astype(jnp.float32)

    latents = jnp.moveaxis(steps.latent, 0, -2).astype(jnp.float32)
    return Prediction(latents, stacked(steps.reward, -1), stacked(steps.continuation, -1))


def members_of(model: LatentModel, members: int | None) -> int:
    """Return how many members of a model predict, where None stands for all.

    Raises:
      ValueError: the model has fewer.
    """
    size = model.ensemble
    if members is not None and not 1 <= members <= size:
        raise ValueError(f"members must lie between 1 and the {size} that the model has; got {members}")
    return size if members is None else members


def score(
    model: LatentModel,
    costs: Mapping[str, Cost],
    weights: Mapping[str, Number],
    imagined: Imagined,
    spec: ActionSpec,
    constraints: Mapping[str, Constraint] | None = None,
    risk: Risk | None = None,
) -> Evaluation:
    """Return the weighted costs of an imagined future, each under its name, their sum in float32, and the margins.

    Of an ensemble, a margin is that of the worst member.

    Args:
      model: the model.
      costs: by name.
      weights: of the costs, under the same names.
      imagined: where the candidates lead; of an ensemble, by each member.
      spec: of the actions.
      constraints: by name; None: none.
      risk: makes one cost of the members' total costs; None: their mean.

    Raises:
      ValueError: `costs` is empty, or does not have the same names as `weights`; or one of them did not give one number
        for each candidate.
    """
    if not costs:
        raise ValueError("there is nothing to minimise: costs is empty, give at least one")
    if costs.keys() != weights.keys():
        raise ValueError(f"costs are {sorted(costs)} and weights are {sorted(weights)}: give one weight for each cost")
    shared = {name for name, cost in costs.items() if getattr(cost, "over_members", False)}
    num = imagined.actions.shape[0]

    def weighted(name: str, imagined: Imagined) -> Array:
        return weights[name] * _one_each(costs[name](model, imagined, spec), num, f"the cost {name}")

    def of_member(foreseen: Prediction) -> tuple[dict[str, Array], dict[str, Array]]:
        latents, rewards, continuations = foreseen
        member = replace(imagined, latents=latents, rewards=rewards, continuations=continuations)
        terms = {name: weighted(name, member) for name in costs if name not in shared}
        margins = {
            name: _one_each(constraint(model, member, spec), num, f"the constraint {name}")
            for name, constraint in (constraints or {}).items()
        }
        return terms, margins

    foreseen = Prediction(imagined.latents, imagined.rewards, imagined.continuations)
    if imagined.latents.ndim == 3:
        terms, margins = of_member(foreseen)
    else:
        terms, margins = jax.vmap(of_member)(foreseen)
        total = sum(terms.values(), start=jnp.zeros(imagined.latents.shape[:2], jnp.float32))
        share = (risk or Mean())(total)
        terms = {name: jnp.sum(share * term, axis=0) for name, term in terms.items()}
        margins = {name: jnp.max(margin, axis=0) for name, margin in margins.items()}
    terms = {name: terms[name] if name in terms else weighted(name, imagined) for name in costs}
    return Evaluation(cost=sum(terms.values(), start=jnp.zeros(num, jnp.float32)), margins=margins, terms=terms)


@register_dataclass
@dataclass(frozen=True)
class LatentObjective:
    """Distance of the imagined futures from `root` to `goal` in representation space, and their other costs."""

    model: LatentModel
    costs: dict[str, Cost]
    weights: dict[str, Number]  # each []
    root: Leaf  # [D]
    goal: Leaf  # [D]
    spec: ActionSpec
    constraints: dict[str, Constraint] = field(default_factory=dict)
    risk: Risk = Mean()
    previous: Leaf | None = None  # [A] the action that led to the root, where known
    precision: str = static("float32")  # of the imagination; costs are summed in float32
    committed: Leaf | None = None  # [T, A] actions that are fixed
    frozen: Leaf | None = None  # [] int32, how many of them; each candidate begins with those
    members: int | None = static(None)  # members of an ensemble that predict; None: all
    earlier: Leaf | None = None  # [2, A] the actions before `previous`, newest last, where known

    @property
    def imagining(self) -> int:
        """Number of members that predict."""
        return members_of(self.model, self.members)

    def __call__(self, actions: Float[Array, "N T A"]) -> Evaluation:
        """Imagine and score.

        Raises:
          ValueError: the model, the costs, the constraints, the risk and the actions do not fit one another.
        """
        self.risk.validate(self.imagining)
        for name, cost in self.costs.items():
            if self.imagining == 1 and getattr(cost, "over_members", False):
                require_ensemble(f"the cost {name}", self.imagining)
        if self.committed is not None and self.frozen is not None:
            actions = with_prefix(actions, self.committed, self.frozen)
        foreseen = imagine(self.model, self.root, actions, self.precision, self.members)
        situation = (self.goal, actions, self.previous, self.earlier)
        imagined = Imagined(self.root, foreseen.latent, *situation, foreseen.reward, foreseen.continuation)
        evaluation = score(self.model, self.costs, self.weights, imagined, self.spec, self.constraints, self.risk)
        latents = foreseen.latent
        return replace(evaluation, latents=jnp.mean(latents, axis=0) if latents.ndim == 4 else latents)


def with_prefix(
    actions: Float[Array, "*N T A"], committed: Float[Array, "T A"], frozen: Int[Array, ""]
) -> Float[Array, "*N T A"]:
    """Return the sequences with their first `frozen` actions replaced by those of `committed`; with 0, unchanged."""
    first = jnp.arange(committed.shape[0]) < frozen
    lead = (1,) * (actions.ndim - 2)
    return jnp.where(first.reshape(*lead, -1, 1), committed.reshape(*lead, *committed.shape), actions)


def _one_each(values: Any, num: int, name: str) -> Float[Array, "N"]:
    """Return `values` in float32, one for each of `num` candidates."""
    if jnp.shape(values) != (num,):
        raise ValueError(f"{name} must give one number for each of {num} candidates; got shape {jnp.shape(values)}")
    return jnp.asarray(values).astype(jnp.float32)
