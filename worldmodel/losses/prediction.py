"""Prediction loss in representation space, over the planner's horizon."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

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
    predicted: Float[Array, "E B H D"], encoded: Float[Array, "B H D"], weights: Float[Array, "E B"]
) -> Float[Array, ""]:
    """Mean squared error over all axes; the gradient flows into both sides, as in LeWorldModel.

    `weights` select which windows a member learns from.
    """
    errors = jnp.mean(jnp.square(predicted - encoded[None]), axis=(2, 3))
    return jnp.mean(jnp.sum(weights * errors, axis=1) / jnp.sum(weights, axis=1).clip(1.0))


def bootstrap_weights(episodes: Int[Array, "B"], members: int, share: float) -> Float[Array, "{members} B"]:
    """Return 1 where a member learns from an episode: the first from all, each other one from its own `share`.

    A function of the episode, so that a member never sees the episodes outside its share.
    """

    def of_episode(episode: Array) -> Array:
        key = jax.random.fold_in(jax.random.key(0), episode)
        return jax.random.bernoulli(key, share, (members,)).at[0].set(True)

    return jax.vmap(of_episode, out_axes=1)(episodes).astype(jnp.float32)
