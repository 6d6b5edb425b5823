"""From a world model and costs to an objective over action sequences.

Everything that changes between two plans (weights, root, goal, parameters) is a leaf of `LatentObjective`, so one
compiled plan serves them all. Here alone environment steps are folded into the model's action blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .costs import Cost, Imagined
from .types import ActionSpec, Evaluation, LatentModel, Leaf, Number


def imagine(model: LatentModel, root: Float[Array, "D"], actions: Float[Array, "N T A"]) -> Float[Array, "N H D"]:
    """Latents after each action block, for `N` action sequences from one root.

    Raises:
      ValueError: `T` is not a multiple of the model's action block, or `A` is not its action size.
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
    blocks = actions.reshape(num, horizon // block, block, size).transpose(1, 0, 2, 3)

    def step(latent: Array, block: Array) -> tuple[Array, Array]:
        latent = model.predict(model.params, latent, block)
        return latent, latent

    _, latents = jax.lax.scan(step, jnp.broadcast_to(root[None], (num, *root.shape)), blocks)
    return latents.transpose(1, 0, 2)


def score(
    model: LatentModel,
    costs: Mapping[str, Cost],
    weights: Mapping[str, Number],
    imagined: Imagined,
    spec: ActionSpec,
) -> Evaluation:
    """The weighted costs of an imagined future, each under its name, and their sum in float32.

    Raises:
      ValueError: `costs` is empty, or does not have the same names as `weights`.
    """
    if not costs:
        raise ValueError("there is nothing to minimise: costs is empty, give at least one")
    if costs.keys() != weights.keys():
        raise ValueError(f"costs are {sorted(costs)} and weights are {sorted(weights)}: give one weight for each cost")
    terms = {name: weights[name] * cost(model, imagined, spec).astype(jnp.float32) for name, cost in costs.items()}
    return Evaluation(cost=sum(terms.values(), start=jnp.zeros(imagined.actions.shape[0], jnp.float32)), terms=terms)


_OBJECTIVE_FIELDS = ["model", "costs", "weights", "root", "goal", "spec"]


@partial(jax.tree_util.register_dataclass, data_fields=_OBJECTIVE_FIELDS, meta_fields=[])
@dataclass(frozen=True)
class LatentObjective:
    """How far, in representation space, the imagined futures from `root` are from `goal`."""

    model: LatentModel
    costs: dict[str, Cost]
    weights: dict[str, Number]  # each []
    root: Leaf  # [D]
    goal: Leaf  # [D]
    spec: ActionSpec

    def __call__(self, actions: Float[Array, "N T A"]) -> Evaluation:
        """Imagine and score."""
        latents = imagine(self.model, self.root, actions)
        imagined = Imagined(root=self.root, latents=latents, goal=self.goal, actions=actions)
        return score(self.model, self.costs, self.weights, imagined, self.spec)
