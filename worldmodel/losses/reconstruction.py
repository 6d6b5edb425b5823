"""Decoding observations from representations: a baseline; the default objective does not use it."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..models.goal_model import WorldModel
from ..nets.decoder import visible
from ..nets.encoders.history import vector_size
from ..observation import PRESENT
from ..types import Windows

_SMALLEST = 1e-6  # mean square of pictures that differ from the mean picture


def reconstruction_loss(
    model: WorldModel, windows: Windows, latents: Float[Array, "B S D"], predicted: Float[Array, "B H D"]
) -> Float[Array, ""]:
    """Mean squared error of the observations decoded from encoded and from predicted latents, the sum of both.

    Vectors are normalised. Errors of a picture are relative to its mean squared difference from the mean picture: 1 for
    the mean picture itself, 0 for the very picture. It is the plain error of pixels (or of fitted components, which are
    a rotation of them) divided by one number, so a small body weighs as much as it changes. Several sensors are summed.

    Args:
      model: with the decoder.
      windows: the observations.
      latents: encoded from them.
      predicted: latents predicted from the first one of each window.

    Raises:
      ValueError: the model has no decoder.
    """
    decoder = model.decoder
    if decoder is None:
        raise ValueError("objective.reconstruction needs a decoder: add model.decoder=true, or set it to 0")
    newest = {name: values[:, :, -1] for name, values in windows.observations.items()}
    together, encoded = jnp.concatenate([latents, predicted], axis=1), latents.shape[1]
    total = jnp.zeros((), latents.dtype)
    if decoder.mlp is not None:
        target = _vectors(model, newest)
        total = total + _of_both(jnp.square(decoder.vectors(together) - _with_later(target)), encoded)
    pictures = {} if decoder.pictures is None else dict(decoder.pictures.items())
    for name, picture in pictures.items():
        target = visible(model.pictures[name], newest[name])
        error, square = jnp.square(picture(together) - _with_later(target)), jnp.square(target)
        if name in model.encoder.spec.flags:
            present = newest[name + PRESENT].astype(jnp.float32)[..., None]
            error, square = error * _with_later(present), square * present
        total = total + _of_both(error, encoded) / jnp.maximum(jnp.mean(square), _SMALLEST)
    return total


def _vectors(model: WorldModel, newest: dict[str, Array]) -> Float[Array, "B S F"]:
    """Features of the vectors; those of pictures are not computed."""
    spec = model.encoder.spec
    batch = next(iter(newest.values())).shape[:2]
    blank = {sensor.name: jnp.zeros((*batch, sensor.features), jnp.float32) for sensor in spec.pictures}
    return model.encoder.features(spec.row({**newest, **blank}))[..., : vector_size(spec)]


def _with_later(target: Array) -> Array:
    """Targets of all encoded latents `[B, S, ...]`, then those of the predicted ones: of every moment but the first."""
    return jnp.concatenate([target, target[:, 1:]], axis=1)


def _of_both(errors: Array, encoded: int) -> Float[Array, ""]:
    """Mean error of the encoded latents plus that of the predicted ones."""
    return jnp.mean(errors[:, :encoded]) + jnp.mean(errors[:, encoded:])
