"""Pictures of a fixed camera, corrected for what its surroundings change: light, a knock against it, and grain.

The mean picture of the training data is the reference, and most of a picture shows what it shows. So the change of
light is the median ratio to it, the shift is the one that fits it best, and what differs from it by no more than the
usual difference is grain. Nothing of this is learned: on pictures like those of the training data it changes nothing.
"""

from __future__ import annotations

from itertools import product

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

STRIDE = 5  # of the pixels that light and grain are measured on, along each axis
DARK = 24.0  # grey levels below which a pixel says nothing about the light
LIGHT = (0.3, 3.0)  # range of the light that is corrected, relative to the training data
REACH = 3  # pixels of the largest shift, along each axis
CLIPPED = 24.0  # grey levels: a body that is not in the mean picture counts no more than this in the fit
BETTER = 0.85  # of the misfit where the camera should be: a shift has to fit better than that
GRAIN = 2.5  # standard deviations of the grain, below which a difference is taken for it
FINEST, COARSEST = 2.0, 20.0  # grey levels, range of the standard deviation of grain: what is coarser is no grain


@jax.jit
def steadied(pictures: Float[Array, "B H W C"], mean: Float[Array, "H W C"]) -> Float[Array, "B H W C"]:
    """Correct pictures for the light, a shift of the camera, and grain, one after another.

    Args:
      pictures: in grey levels, 0 to 255.
      mean: picture of the training data.
    """
    return without_grain(in_place(in_the_light_of(pictures, mean), mean), mean)


def in_the_light_of(pictures: Float[Array, "B H W C"], mean: Float[Array, "H W C"]) -> Float[Array, "B H W C"]:
    """Divide each channel by how much brighter it is than in the mean picture, at the median of the bright pixels."""
    some, usual = pictures[:, ::STRIDE, ::STRIDE], mean[None, ::STRIDE, ::STRIDE]
    ratios = jnp.where(usual > DARK, some / jnp.maximum(usual, DARK), jnp.nan)
    light = jnp.nanmedian(ratios.reshape(len(pictures), -1, pictures.shape[-1]), axis=1)
    light = jnp.where(jnp.isfinite(light), jnp.clip(light, *LIGHT), 1.0)
    return pictures / light[:, None, None]


def in_place(pictures: Float[Array, "B H W C"], mean: Float[Array, "H W C"]) -> Float[Array, "B H W C"]:
    """Shift each picture by the whole pixels with which it fits the mean picture best, if that is clearly better."""
    height, width = mean.shape[:2]
    grey = jnp.mean(pictures, axis=-1)
    usual = jnp.mean(mean, axis=-1)[None, REACH : height - REACH : 2, REACH : width - REACH : 2]
    shifts = list(product(range(-REACH, REACH + 1), repeat=2))
    misfits = []
    for down, across in shifts:
        some = grey[:, REACH + down : height - REACH + down : 2, REACH + across : width - REACH + across : 2]
        misfits.append(jnp.mean(jnp.minimum(jnp.abs(some - usual), CLIPPED), axis=(1, 2)))
    misfit, unmoved = jnp.stack(misfits), misfits[shifts.index((0, 0))]
    best = jnp.argmin(misfit, axis=0)
    clearly = jnp.min(misfit, axis=0) < BETTER * unmoved
    moved = jnp.where(clearly[:, None], jnp.asarray(shifts, jnp.int32)[best], 0)
    padded = jnp.pad(pictures, ((0, 0), (REACH, REACH), (REACH, REACH), (0, 0)), mode="edge")

    def cut(picture: Array, by: Array) -> Array:
        return jax.lax.dynamic_slice(picture, (REACH + by[0], REACH + by[1], 0), mean.shape)

    return jax.vmap(cut)(padded, moved)


def without_grain(pictures: Float[Array, "B H W C"], mean: Float[Array, "H W C"]) -> Float[Array, "B H W C"]:
    """Take the mean picture's pixel where no channel differs from it by more than grain does.

    The grain is that of the picture: its standard deviation follows from the median difference.
    """
    apart = jnp.abs(pictures - mean[None])
    some = apart[:, 1::STRIDE, 1::STRIDE].reshape(len(pictures), -1)
    deviation = jnp.median(some, axis=1) / 0.6745  # of a normal distribution with this median difference
    deviation = jnp.where(deviation < FINEST, 0.0, jnp.minimum(deviation, COARSEST))
    kept = jnp.max(apart, axis=-1, keepdims=True) >= GRAIN * deviation[:, None, None, None]
    return jnp.where(kept, pictures, mean[None])
