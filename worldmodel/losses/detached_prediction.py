"""Prediction on representations that it does not shape: what teaches the predictor where other losses make them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..models.goal_model import WorldModel
from .prediction import prediction_loss, rollout


def detached_prediction_loss(
    model: WorldModel, root: Float[Array, "B D"], latents: Float[Array, "B S D"], actions: Float[Array, "B H K A"]
) -> Float[Array, ""]:
    """Mean squared error of predicted against encoded latents; the gradient reaches the predictor alone.

    Args:
      model: with the predictor.
      root: latents that predictions start from.
      latents: encoded, of the first moment and of those after each block.
      actions: of each block.
    """
    root, latents = jax.lax.stop_gradient((root, latents))
    return prediction_loss(rollout(model.predict, root, actions), latents[:, 1:], jnp.ones(len(root), root.dtype))
