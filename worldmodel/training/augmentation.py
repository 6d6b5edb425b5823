"""Changes of training batches: pictures moved by some pixels, and sensors left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ..observation import ObservationSpec
from ..types import Windows

_SEEN = 0.5  # share of the patches that are left in a masked picture


def shifted(windows: Windows, spec: ObservationSpec, key: PRNGKeyArray, most: int) -> Windows:
    """Move the pictures of each window by up to `most` pixels along both axes, at random.

    All pictures of a window, and those of its goal, move by the same amount, so that motion stays what it is. The
    border's pixels fill what comes in (Yarats et al., "DrQ-v2", arXiv 2107.09645).

    Args:
      windows: of observations.
      spec: the sensors.
      key: consumed.
      most: pixels; 0: nothing moves.
    """
    if not most or not spec.pictures:
        return windows
    offsets = jax.random.randint(key, (len(windows.actions), 2), 0, 2 * most + 1)

    def moved(readings: Mapping[str, Array]) -> dict[str, Array]:
        return {
            **readings,
            **{each.name: _moved(readings[each.name], offsets, most) for each in spec.pictures},
        }

    return replace(windows, observations=moved(windows.observations), goals=moved(windows.goals))


def shifted_pictures(pictures: Mapping[str, Array], key: PRNGKeyArray, most: int) -> dict[str, Array]:
    """Move the pictures `[B, ..., H, W, C]` of each row by up to `most` pixels, all by the same amount.

    Args:
      pictures: by sensor.
      key: consumed.
      most: pixels; 0: nothing moves.
    """
    if not most or not pictures:
        return dict(pictures)
    offsets = jax.random.randint(key, (len(next(iter(pictures.values()))), 2), 0, 2 * most + 1)
    return {name: _moved(values, offsets, most) for name, values in pictures.items()}


def _moved(pictures: Array, offsets: Array, most: int) -> Array:
    """Pictures `[B, ..., H, W, C]`, each row of the batch cut from its padded pictures at its own offset."""
    height, width, channels = pictures.shape[-3:]
    flat = pictures.reshape(len(pictures), -1, height, width, channels)
    padded = jnp.pad(flat, ((0, 0), (0, 0), (most, most), (most, most), (0, 0)), mode="edge")

    def cut(one: Array, offset: Array) -> Array:
        zero = jnp.zeros((), offset.dtype)
        return jax.lax.dynamic_slice(one, (zero, offset[0], offset[1], zero), (flat.shape[1], height, width, channels))

    return jax.vmap(cut)(padded, offsets[: len(padded)]).reshape(pictures.shape)


def kept_sensors(spec: ObservationSpec, batch: int, key: PRNGKeyArray, share: float) -> Bool[Array, "B E"]:
    """Draw which numbers of an embedding are kept: each optional sensor is left out in a `share` of the rows.

    Where all would be left out, all are kept.

    Args:
      spec: the sensors; those that are not optional are always kept.
      batch: rows.
      key: consumed.
      share: of the rows, for each sensor.
    """
    drawn = jax.random.bernoulli(key, 1.0 - share, (batch, len(spec.sensors)))
    always = jnp.asarray([not sensor.optional for sensor in spec.sensors])
    kept = drawn | always[None]
    kept = kept | ~jnp.any(kept, axis=-1, keepdims=True)
    widths = [sensor.width + sensor.optional for sensor in spec.sensors]
    return jnp.repeat(kept, jnp.asarray(widths), axis=-1, total_repeat_length=spec.size)


def without(embeddings: Float[Array, "B P E"], kept: Bool[Array, "B E"]) -> Float[Array, "B P E"]:
    """Embeddings of moments at which some sensors were not read: their numbers and flags are zero."""
    return jnp.where(kept[:, None], embeddings, 0.0)


def kept_parts(
    spec: ObservationSpec, patches: Mapping[str, int], batch: int, key: PRNGKeyArray, masked: float, dropout: float
) -> Bool[Array, "B E"] | None:
    """Draw which numbers of an embedding are kept; None where nothing is ever left out.

    In a share of the rows half of a picture's patches are left out, and each optional sensor in another share, where
    there are pictures besides: what they would show is predicted from the rest.

    Args:
      spec: the sensors.
      patches: number of patches of each picture whose embedding is that of its patches.
      batch: rows.
      key: consumed.
      masked: share of the rows in which patches are left out.
      dropout: share of the rows in which a sensor is left out.
    """
    sensor_key, row_key, patch_key = jax.random.split(key, 3)
    drops_sensors, masks = bool(spec.pictures and spec.flags and dropout), bool(patches and masked)
    if not (drops_sensors or masks):
        return None
    kept = jnp.ones((batch, spec.size), bool)
    if drops_sensors:
        kept = kept_sensors(spec, batch, sensor_key, dropout)
    rows = jax.random.bernoulli(row_key, masked, (batch, 1))
    for number, (name, count) in enumerate(patches.items() if masks else ()):
        place = spec.slices[name]
        seen = jax.random.bernoulli(jax.random.fold_in(patch_key, number), _SEEN, (batch, count)) | ~rows
        kept = kept.at[:, place].set(kept[:, place] & jnp.repeat(seen, (place.stop - place.start) // count, axis=1))
    return kept
