"""Convolutional encoder of pictures, for accelerators."""

from __future__ import annotations

import jax
from flax import nnx
from jaxtyping import Array, Float, UInt8

from .picture import PIXEL_SCALE, PictureEncoder

CHANNELS = (16, 32, 64, 64)


class ConvolutionEncoder(PictureEncoder):
    """Four convolutions of stride 2, and a layer over what is left of the picture.

    Args:
      shape: height, width and channels.
      features: F.
      rngs: of the initial weights.
      steady: see `PictureEncoder`.

    Raises:
      ValueError: height or width is no multiple of 16.
    """

    def __init__(self, shape: tuple[int, int, int], features: int, rngs: nnx.Rngs, steady: bool = False):
        height, width, channels = shape
        super().__init__(shape, 2 ** len(CHANNELS), "halved four times", steady)
        sizes = (channels, *CHANNELS)
        self.layers = nnx.List(
            [
                nnx.Conv(into, out, kernel_size=(4, 4), strides=2, padding="SAME", rngs=rngs)
                for into, out in zip(sizes[:-1], sizes[1:], strict=True)
            ]
        )
        self.norms = nnx.List([nnx.RMSNorm(size, rngs=rngs) for size in CHANNELS])
        self.join = nnx.Linear(height // 16 * (width // 16) * CHANNELS[-1], features, rngs=rngs)

    def of_batch(self, pictures: UInt8[Array, "B H W C"]) -> Float[Array, "B F"]:
        """Features of a batch of pictures."""
        hidden = self.apart(pictures) * PIXEL_SCALE
        for layer, norm in zip(self.layers, self.norms, strict=True):
            hidden = jax.nn.silu(norm(layer(hidden)))
        return self.join(hidden.reshape((len(hidden), -1)))
