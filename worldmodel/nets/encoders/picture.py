"""What every encoder of pictures does: it sees differences from the mean picture of the data."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, UInt8
from numpy import ndarray

from ..normalization import Statistic
from .steady import steadied

APART = 3  # environment steps between the two pictures of a change
FITTED = 2_000  # pictures from which encoders measure what they need
PIXEL_SCALE = 3.0 / 64.0  # of differences from the mean picture: most are small, and a body's are about 100


class PictureEncoder(nnx.Module):
    """Base of encoders `[..., H, W, C]` uint8 `-> [..., F]`, of each picture alone.

    The mean picture of the data is subtracted, so that what never changes is zero. The output is linear.

    Args:
      shape: height, width and channels.
      multiple: height and width must be multiples of it.
      why: the reason, for the error: what the encoder does with a picture.
      steady: whether pictures are corrected for light, shifts of the camera and noise; see `steady`.

    Raises:
      ValueError: another height or width.
    """

    def __init__(self, shape: tuple[int, int, int], multiple: int, why: str, steady: bool = False):
        height, width, _ = shape
        if height % multiple or width % multiple:
            raise ValueError(f"a picture of {height} x {width} cannot be {why}: take multiples of {multiple}")
        self.mean, self.steady = Statistic(jnp.zeros(shape, jnp.float32)), steady

    def fit(self, pictures: UInt8[ndarray, "M H W C"], later: UInt8[ndarray, "M H W C"]) -> None:
        """Set the mean picture from a sample of the data.

        Args:
          pictures: the sample.
          later: what the same cameras show `APART` environment steps later, for encoders that look at changes.
        """
        self.mean[...] = jnp.asarray(pictures.mean(axis=0, dtype=np.float64), jnp.float32)

    def __call__(self, pictures: UInt8[Array, "... H W C"]) -> Float[Array, "... F"]:
        """Features of each picture."""
        flat = pictures.reshape((-1, *pictures.shape[-3:]))
        return self.of_batch(flat).reshape((*pictures.shape[:-3], -1))

    def apart(self, pictures: UInt8[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Differences of a batch of pictures from the mean picture, in grey levels."""
        seen, mean = pictures.astype(jnp.float32), self.mean[...]
        return (steadied(seen, mean) if self.steady else seen) - mean[None]

    def of_batch(self, pictures: UInt8[Array, "B H W C"]) -> Float[Array, "B F"]:
        """Features of a batch of pictures."""
        raise NotImplementedError


def patches(pictures: Array, size: int) -> Array:
    """Cut pictures `[B, H, W, C]` into patches `[B, N, size · size · C]`, row by row."""
    count, height, width, channels = pictures.shape
    cut = pictures.reshape(count, height // size, size, width // size, size, channels)
    return cut.transpose(0, 1, 3, 2, 4, 5).reshape(count, -1, size * size * channels)


def pairs(last: Int[ndarray, "M"]) -> tuple[Int[ndarray, "S"], Int[ndarray, "S"]]:
    """Rows of a sample of pictures for `PictureEncoder.fit`, and those `APART` steps later, of the same episodes.

    Args:
      last: row of the last moment of each one's episode, whose own picture is taken where the episode ends before.
    """
    some = np.arange(0, len(last), max(1, len(last) // FITTED))
    return some, np.minimum(some + APART, last[some])
