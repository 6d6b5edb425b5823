"""Decoding observations from representations: a baseline; the default objective does not use it."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..models.goal_model import WorldModel
from ..types import Windows


def reconstruction_loss(
    model: WorldModel, windows: Windows, latents: Float[Array, "B S D"], predicted: Float[Array, "B H D"]
) -> Float[Array, ""]:
    """Mean squared error of the normalised observations decoded from encoded and from predicted latents.

    Args:
      model: with the decoder.
      windows: the observations.
      latents: encoded from them.
      predicted: latents predicted from the first one of each window.

    Raises:
      ValueError: the model has no decoder.
    """
    if model.decoder is None:
        raise ValueError("objective.reconstruction needs a decoder: add model.decoder=true, or set it to 0")
    newest = {name: values[:, :, -1] for name, values in windows.observations.items()}
    target = model.encoder.features(model.embed(newest))
    encoded_error = jnp.mean(jnp.square(model.decoder(latents) - target))
    return encoded_error + jnp.mean(jnp.square(model.decoder(predicted) - target[:, 1:]))
