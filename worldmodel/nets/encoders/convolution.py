"""Convolutional encoder of pictures, for accelerators."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, UInt8
from numpy import ndarray

from ..normalization import Statistic
from .patches import PIXEL_SCALE

CHANNELS = (16, 32, 64, 64)


class ConvolutionEncoder(nnx.Module):
    """Features of a picture: `[..., H, W, C]` uint8 `-> [..., F]`, by four convolutions of stride 2.

    The mean picture of the data is subtracted. The output is linear.

    Args:
      shape: height, width and channels.
      features: F.
      rngs: of the initial weights.

    Raises:
      ValueError: height or width is no multiple of 16.
    """

    def __init__(self, shape: tuple[int, int, int], features: int, rngs: nnx.Rngs):
        height, width, channels = shape
        if height % 16 or width % 16:
            raise ValueError(f"a picture of {height} x {width} cannot be halved four times: take multiples of 16")
        self.mean = Statistic(jnp.zeros(shape, jnp.float32))
        sizes = (channels, *CHANNELS)
        self.layers = nnx.List(
            [
                nnx.Conv(into, out, kernel_size=(4, 4), strides=2, padding="SAME", rngs=rngs)
                for into, out in zip(sizes[:-1], sizes[1:], strict=True)
            ]
        )
        self.norms = nnx.List([nnx.RMSNorm(size, rngs=rngs) for size in CHANNELS])
        self.join = nnx.Linear(height // 16 * (width // 16) * CHANNELS[-1], features, rngs=rngs)

    def fit(self, pictures: UInt8[ndarray, "M H W C"]) -> None:
        """Set the mean picture from a sample of the data."""
        self.mean[...] = jnp.asarray(pictures.mean(axis=0, dtype=np.float64), jnp.float32)

    def __call__(self, pictures: UInt8[Array, "... H W C"]) -> Float[Array, "... F"]:
        """Features of each picture."""
        flat = pictures.reshape((-1, *pictures.shape[-3:])).astype(jnp.float32)
        hidden = (flat - self.mean[...][None]) * PIXEL_SCALE
        for layer, norm in zip(self.layers, self.norms, strict=True):
            hidden = jax.nn.silu(norm(layer(hidden)))
        return self.join(hidden.reshape((len(hidden), -1))).reshape((*pictures.shape[:-3], -1))
