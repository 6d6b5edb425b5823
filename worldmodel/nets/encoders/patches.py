"""Encoder of pictures by one matrix product for each patch, which keeps apart what happens at different places.

XLA's convolutions on a processor run many times slower inside `lax.scan` than outside of it; products do not.
"""

from __future__ import annotations

import jax
from flax import nnx
from jaxtyping import Array, Float, UInt8

from ..products import product
from .picture import PIXEL_SCALE, PictureEncoder, patches

PATCH = 8  # height and width of a patch
PER_PATCH = 16  # numbers of a patch, unless `features` says otherwise


class PatchEncoder(PictureEncoder):
    """A learned linear projection of each patch; `PatchStack` makes features of the patches of several moments.

    Args:
      shape: height, width and channels.
      features: F, the numbers of all patches.
      rngs: of the initial weights.
      steady: see `PictureEncoder`.

    Raises:
      ValueError: patches do not tile the picture, or do not get the same number of features each.
    """

    def __init__(self, shape: tuple[int, int, int], features: int, rngs: nnx.Rngs, steady: bool = False):
        super().__init__(shape, PATCH, f"cut into patches of {PATCH} x {PATCH}", steady)
        inputs, outputs = PATCH * PATCH * shape[-1], per_patch(shape, features)
        self.basis = self._basis(inputs, outputs, rngs)

    def _basis(self, inputs: int, outputs: int, rngs: nnx.Rngs) -> nnx.Variable:
        return nnx.Param(jax.nn.initializers.lecun_normal()(rngs.params(), (inputs, outputs)))

    def of_batch(self, pictures: UInt8[Array, "B H W C"]) -> Float[Array, "B F"]:
        """Features of a batch of pictures."""
        return product(patches(self.apart(pictures), PATCH) * PIXEL_SCALE, self.basis[...]).reshape((len(pictures), -1))


def patch_count(shape: tuple[int, int, int]) -> int:
    """N, the number of patches in a picture of this height, width and channels."""
    return (shape[0] // PATCH) * (shape[1] // PATCH)


def per_patch(shape: tuple[int, int, int], features: int) -> int:
    """I, the numbers of one patch.

    Raises:
      ValueError: `features` is no multiple of the number of patches, or more than a patch has pixels.
    """
    count, most = patch_count(shape), PATCH * PATCH * shape[2]
    if features % count or not 0 < features // count <= most:
        raise ValueError(
            f"a picture of {shape[0]} x {shape[1]} has {count} patches, and observation.features must be a multiple "
            f"of it, {most} a patch at most; got {features}: {count * PER_PATCH} is the default"
        )
    return features // count
