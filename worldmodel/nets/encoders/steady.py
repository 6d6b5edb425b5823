"""Pictures of a fixed camera, corrected for a change of light, a shifted camera, and noise.

The mean picture of the training data is the reference, and most of a picture shows what it shows. So the gain of a
channel is the median ratio to it, the shift is the one that fits it best, and what differs from it by no more than
usual is noise. Nothing of this is learned: pictures like those of the training data do not change.
"""

from __future__ import annotations

from itertools import product

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

STRIDE = 5  # of the pixels that gain and noise are measured on, along each axis
DARK = 24.0  # grey levels below which a pixel says nothing about the light
GAIN = (0.3, 3.0)  # range of the gain that is corrected, relative to the training data
MAX_SHIFT = 3  # pixels, along each axis
CLIPPED = 24.0  # grey levels: a body that is not in the mean picture counts no more than this in the fit
BETTER = 0.85  # of the misfit without a shift: what a shift has to fit better than
THRESHOLD = 2.5  # standard deviations of the noise, below which a difference is noise
LOWEST, HIGHEST = 2.0, 20.0  # grey levels, of the standard deviation of noise: less is none, and more is no noise


@jax.jit
def steadied(pictures: Float[Array, "B H W C"], mean: Float[Array, "H W C"]) -> Float[Array, "B H W C"]:
    """Correct pictures for the gain of each channel, a shift, and noise, in this order.

    Args:
      pictures: in grey levels, 0 to 255.
      mean: picture of the training data.
    """
    return denoise(register(correct_gain(pictures, mean), mean), mean)


def correct_gain(pictures: Float[Array, "B H W C"], mean: Float[Array, "H W C"]) -> Float[Array, "B H W C"]:
    """Divide each channel by its gain: the median ratio to the mean picture, over the pixels that are bright there."""
    some, usual = pictures[:, ::STRIDE, ::STRIDE], mean[None, ::STRIDE, ::STRIDE]
    ratios = jnp.where(usual > DARK, some / jnp.maximum(usual, DARK), jnp.nan)
    gain = jnp.nanmedian(ratios.reshape(len(pictures), -1, pictures.shape[-1]), axis=1)
    gain = jnp.where(jnp.isfinite(gain), jnp.clip(gain, *GAIN), 1.0)
    return pictures / gain[:, None, None]


def register(pictures: Float[Array, "B H W C"], mean: Float[Array, "H W C"]) -> Float[Array, "B H W C"]:
    """Shift each picture by the whole pixels with which it fits the mean picture best, if that is clearly better."""
    height, width = mean.shape[:2]
    grey = jnp.mean(pictures, axis=-1)
    usual = jnp.mean(mean, axis=-1)[None, MAX_SHIFT : height - MAX_SHIFT : 2, MAX_SHIFT : width - MAX_SHIFT : 2]
    shifts = list(product(range(-MAX_SHIFT, MAX_SHIFT + 1), repeat=2))
    misfits = []
    for down, across in shifts:
        some = grey[
            :, MAX_SHIFT + down : height - MAX_SHIFT + down : 2, MAX_SHIFT + across : width - MAX_SHIFT + across : 2
        ]
        misfits.append(jnp.mean(jnp.minimum(jnp.abs(some - usual), CLIPPED), axis=(1, 2)))
    misfit, unmoved = jnp.stack(misfits), misfits[shifts.index((0, 0))]
    best = jnp.argmin(misfit, axis=0)
    clearly = jnp.min(misfit, axis=0) < BETTER * unmoved
    moved = jnp.where(clearly[:, None], jnp.asarray(shifts, jnp.int32)[best], 0)
    padded = jnp.pad(pictures, ((0, 0), (MAX_SHIFT, MAX_SHIFT), (MAX_SHIFT, MAX_SHIFT), (0, 0)), mode="edge")

    def cut(picture: Array, by: Array) -> Array:
        return jax.lax.dynamic_slice(picture, (MAX_SHIFT + by[0], MAX_SHIFT + by[1], 0), mean.shape)

    return jax.vmap(cut)(padded, moved)


def denoise(pictures: Float[Array, "B H W C"], mean: Float[Array, "H W C"]) -> Float[Array, "B H W C"]:
    """Take the pixel of the mean picture where no channel differs from it by more than noise does.

    The standard deviation of the noise is that of each picture, from the median difference.
    """
    apart = jnp.abs(pictures - mean[None])
    some = apart[:, 1::STRIDE, 1::STRIDE].reshape(len(pictures), -1)
    deviation = jnp.median(some, axis=1) / 0.6745  # of a normal distribution with this median difference
    deviation = jnp.where(deviation < LOWEST, 0.0, jnp.minimum(deviation, HIGHEST))
    kept = jnp.max(apart, axis=-1, keepdims=True) >= THRESHOLD * deviation[:, None, None, None]
    return jnp.where(kept, pictures, mean[None])
