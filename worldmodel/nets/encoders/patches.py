"""Encoder of pictures by matrix products alone: an MLP over each patch, and a linear layer over all patches.

XLA's convolutions on a processor run many times slower inside `lax.scan` than outside of it; products do not.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, UInt8
from numpy import ndarray

from ..normalization import Statistic
from ..products import linear

PIXEL_SCALE = 3.0 / 64.0  # of differences from the mean picture: most are small, and a body's are about 100


class PatchEncoder(nnx.Module):
    """Features of a picture: `[..., H, W, C]` uint8 `-> [..., F]`.

    The mean picture of the data is subtracted, so that what never changes is zero. The output is linear.

    Args:
      shape: height, width and channels.
      features: F.
      rngs: of the initial weights.
      width: of the first layer over a patch.
      narrow: of the second one, whose outputs for all patches are joined.
      patch: height and width of a patch.
      inputs: numbers of a patch that the first layer sees; 0: all pixels.

    Raises:
      ValueError: patches do not tile the picture.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        features: int,
        rngs: nnx.Rngs,
        width: int = 96,
        narrow: int = 32,
        patch: int = 8,
        inputs: int = 0,
    ):
        height, wide, channels = shape
        if height % patch or wide % patch:
            raise ValueError(f"a picture of {height} x {wide} cannot be cut into patches of {patch} x {patch}")
        self.patch = patch
        self.mean = Statistic(jnp.zeros(shape, jnp.float32))
        self.first = nnx.Linear(inputs or patch * patch * channels, width, rngs=rngs)
        self.norm = nnx.RMSNorm(width, rngs=rngs)
        self.second = nnx.Linear(width, narrow, rngs=rngs)
        self.joined = (height // patch) * (wide // patch) * narrow
        self.join_norm = nnx.RMSNorm(self.joined, rngs=rngs)
        self.join = nnx.Linear(self.joined, features, rngs=rngs)

    def fit(self, pictures: UInt8[ndarray, "M H W C"]) -> None:
        """Set the mean picture from a sample of the data."""
        self.mean[...] = jnp.asarray(pictures.mean(axis=0, dtype=np.float64), jnp.float32)

    def __call__(self, pictures: UInt8[Array, "... H W C"]) -> Float[Array, "... F"]:
        """Features of each picture."""
        batch = pictures.shape[:-3]
        return self.of_patches(self.patch_features(pictures.reshape((-1, *pictures.shape[-3:])))).reshape((*batch, -1))

    def of_patches(self, seen: Float[Array, "B N I"]) -> Float[Array, "B F"]:
        """Features of pictures from those of their patches."""
        hidden = jax.nn.silu(self.norm(linear(self.first, seen)))
        hidden = linear(self.second, hidden).reshape((len(seen), -1))
        return linear(self.join, jax.nn.silu(self.join_norm(hidden)))

    def patch_features(self, pictures: UInt8[Array, "B H W C"]) -> Float[Array, "B N I"]:
        """Differences from the mean picture, patch by patch; bytes are moved before they become floats."""
        cut = patches(pictures, self.patch).astype(jnp.float32)
        return (cut - patches(self.mean[...][None], self.patch)) * PIXEL_SCALE


def patches(pictures: Array, size: int) -> Array:
    """Cut pictures `[B, H, W, C]` into patches `[B, N, size · size · C]`, row by row."""
    count, height, width, channels = pictures.shape
    cut = pictures.reshape(count, height // size, size, width // size, size, channels)
    return cut.transpose(0, 1, 3, 2, 4, 5).reshape(count, -1, size * size * channels)
