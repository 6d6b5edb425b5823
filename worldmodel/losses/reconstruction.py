"""Decoding observations from representations: what this project does without, built to be compared with."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..models.goal_model import WorldModel
from ..types import Windows


def reconstruction_loss(
    model: WorldModel, windows: Windows, latents: Float[Array, "B S D"], predicted: Float[Array, "B H D"]
) -> Float[Array, ""]:
    """Mean squared error of the normalised observations decoded from encoded and from predicted latents.

    Raises:
      ValueError: the model has no decoder.
    """
    if model.decoder is None:
        raise ValueError("objective.reconstruction needs a decoder: add model.decoder=true, or set it to 0")
    newest = {name: values[:, :, -1] for name, values in windows.observations.items()}
    wanted = model.encoder.features(model.embed(newest))
    encoded_error = jnp.mean(jnp.square(model.decoder(latents) - wanted))
    return encoded_error + jnp.mean(jnp.square(model.decoder(predicted) - wanted[:, 1:]))
