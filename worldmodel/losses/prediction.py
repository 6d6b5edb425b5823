"""Prediction loss in representation space, over the planner's horizon."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..nets.predictors import EnsemblePredictor
from ..types import Prediction

Predict = Callable[[Array, Array], Prediction]


def rollout(
    predict: Predict, root: Float[Array, "*E B D"], blocks: Float[Array, "B H K A"]
) -> Float[Array, "*E B H D"]:
    """Return the latents after each action block, each predicted from the previous one without any observation.

    For an ensemble, latents have a leading axis of members, and each member continues from its own.
    """

    def step(latent: Array, block: Array) -> tuple[Array, Array]:
        later = predict(latent, block).latent
        return later, later

    _, latents = jax.lax.scan(step, root, jnp.swapaxes(blocks, 0, 1))
    return jnp.moveaxis(latents, 0, -2)


def prediction_loss(
    predicted: Float[Array, "B H D"], encoded: Float[Array, "B H D"], weights: Float[Array, "B"]
) -> Float[Array, ""]:
    """Mean squared error over all axes; the gradient flows into both sides, as in LeWorldModel.

    `weights` select which windows count.
    """
    errors = jnp.mean(jnp.square(predicted - encoded), axis=(1, 2))
    return jnp.sum(weights * errors) / jnp.sum(weights).clip(1.0)


def rows_of_members(rows: int, members: int) -> dict[int, slice]:
    """Rows of a batch that each further member of the ensemble learns from: equal parts, for the cost of one member.

    The first member learns together with the encoder; without any other, all rows are its own.
    """
    further = [*range(1, members)] or [0]
    ends = [rows * part // len(further) for part in range(len(further) + 1)]
    return {member: slice(*ends[part : part + 2]) for part, member in enumerate(further)}


def rollout_of_members(
    predictor: EnsemblePredictor, root: Float[Array, "B D"], blocks: Float[Array, "B H K A"]
) -> Float[Array, "B H D"]:
    """Return the latents after each action block, predicted for each row by the member that learns from it."""
    rows = rows_of_members(len(root), len(predictor.members))
    parts = [
        rollout(lambda latent, block, m=member: Prediction(predictor.by(m, latent, block)), root[part], blocks[part])
        for member, part in rows.items()
    ]
    return jnp.concatenate(parts)


def bootstrap_weights(episodes: Int[Array, "B"], members: int, share: float) -> Float[Array, "{members} B"]:
    """Return 1 where a member learns from an episode: the first from all, each other one from its own `share`.

    A function of the episode, so that a member never sees the episodes outside its share.
    """

    def of_episode(episode: Array) -> Array:
        key = jax.random.fold_in(jax.random.key(0), episode)
        return jax.random.bernoulli(key, share, (members,)).at[0].set(True)

    return jax.vmap(of_episode, out_axes=1)(episodes).astype(jnp.float32)
