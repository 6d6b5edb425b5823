"""Patch encoder whose first layer is fitted before training: the principal components of the data's patches."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float16, UInt8
from numpy import ndarray

from ..normalization import Statistic
from .patches import PIXEL_SCALE, PatchEncoder, patches

COMPONENTS = 24  # of a patch
_SAMPLED = 100_000  # patches from which components are measured


class ComponentEncoder(PatchEncoder):
    """`PatchEncoder` on principal components of patches, which need no gradient: half of the operations.

    Args:
      shape: height, width and channels.
      features: F.
      rngs: of the initial weights.
      count: number of components of a patch.

    Raises:
      ValueError: patches do not tile the picture.
    """

    def __init__(self, shape: tuple[int, int, int], features: int, rngs: nnx.Rngs, count: int = COMPONENTS):
        super().__init__(shape, features, rngs, inputs=count)
        size = self.patch * self.patch * shape[-1]
        self.basis = Statistic(jnp.eye(size, count, dtype=jnp.float32))

    def fit(self, pictures: UInt8[ndarray, "M H W C"]) -> None:
        """Set the mean picture and the components from a sample of the data."""
        super().fit(pictures)
        cut = np.asarray(patches(jnp.asarray(pictures), self.patch), np.float32)
        apart = (cut - np.asarray(patches(self.mean[...][None], self.patch))).reshape(-1, cut.shape[-1])
        some = apart[:: max(1, len(apart) // _SAMPLED)].astype(np.float64)
        _, directions = np.linalg.eigh(some.T @ some)  # ascending
        count = self.basis.shape[1]
        chosen = directions[:, ::-1][:, :count]
        # A direction's sign is arbitrary, and differs between libraries.
        chosen *= np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(chosen.shape[1])])
        self.basis[...] = jnp.asarray(chosen, jnp.float32)

    def __call__(self, pictures: UInt8[Array, "... H W C"] | Float16[Array, "... N I"]) -> Float[Array, "... F"]:
        """Features of each picture, or of its components, as `project` returns them."""
        if pictures.dtype == jnp.uint8:
            return super().__call__(pictures)
        seen = pictures.reshape((-1, *pictures.shape[-2:])).astype(jnp.float32)
        return self.of_patches(seen).reshape((*pictures.shape[:-2], -1))

    def project(self, pictures: UInt8[Array, "B H W C"]) -> Float16[Array, "B N I"]:
        """Components of pictures, a quarter of their size: nothing in them learns, so training computes them once."""
        return self.patch_features(pictures).astype(jnp.float16)

    def patch_features(self, pictures: UInt8[Array, "B H W C"]) -> Float[Array, "B N I"]:
        """Components of each patch of the difference from the mean picture."""
        cut = patches(pictures, self.patch).astype(jnp.float32)
        middle = patches(self.mean[...][None], self.patch) @ self.basis[...]
        return (cut @ self.basis[...] - middle) * PIXEL_SCALE
