"""Predictions in representation space have to come true, over as many blocks as the planner will imagine."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Predict = Callable[[Array, Array], Array]


def rollout(predict: Predict, root: Float[Array, "B D"], blocks: Float[Array, "B H K A"]) -> Float[Array, "B H D"]:
    """The latents after each action block, every one predicted from the one before: nothing is looked up on the way."""

    def step(latent: Array, block: Array) -> tuple[Array, Array]:
        later = predict(latent, block)
        return later, later

    _, latents = jax.lax.scan(step, root, jnp.swapaxes(blocks, 0, 1))
    return jnp.swapaxes(latents, 0, 1)


def prediction_loss(predicted: Float[Array, "B H D"], encoded: Float[Array, "B H D"]) -> Float[Array, ""]:
    """Mean squared error over batch, steps and features; the gradient flows into both sides, as in LeWorldModel."""
    return jnp.mean(jnp.square(predicted - encoded))
