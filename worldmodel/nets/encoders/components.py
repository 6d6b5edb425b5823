"""Encoder of patches whose projection is fitted before training: the principal components of the data's patches."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float16, UInt8
from numpy import ndarray

from ..normalization import Statistic
from .patches import PATCH, PatchEncoder
from .picture import patches

_SAMPLED = 100_000  # patches from which components are measured


class ComponentEncoder(PatchEncoder):
    """`PatchEncoder` with principal components: nothing in it learns, so training projects every picture once.

    It takes pictures, or what `project` made of them.
    """

    def _basis(self, inputs: int, outputs: int, rngs: nnx.Rngs) -> nnx.Variable:
        return Statistic(jnp.eye(inputs, outputs, dtype=jnp.float32))

    def fit(self, pictures: UInt8[ndarray, "M H W C"], later: UInt8[ndarray, "M H W C"]) -> None:
        """Set the mean picture and the components from a sample of the data.

        Args:
          pictures: the sample.
          later: what the same cameras show `APART` environment steps later.
        """
        super().fit(pictures, later)
        apart, after = (np.asarray(patches(self.apart(jnp.asarray(each)), PATCH)) for each in (pictures, later))
        found = self._directions(apart, after - apart)[:, : self.basis.shape[1]]
        # A direction's sign is arbitrary, and differs between libraries.
        found *= np.sign(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])])
        self.basis[...] = jnp.asarray(found, jnp.float32)

    def _directions(self, apart: Float[ndarray, "M N I"], changes: Float[ndarray, "M N I"]) -> Float[ndarray, "I I"]:
        """Directions of patches, the most important first: here those of the largest variance.

        Args:
          apart: differences of patches from the mean picture.
          changes: of the same patches.
        """
        return np.linalg.eigh(second_moment(apart))[1][:, ::-1]

    def __call__(self, pictures: UInt8[Array, "... H W C"] | Float16[Array, "... F"]) -> Float[Array, "... F"]:
        """Features of each picture; those of `project` are returned in full precision."""
        if pictures.dtype == jnp.uint8:
            return super().__call__(pictures)
        return pictures.astype(jnp.float32)

    def project(self, pictures: UInt8[Array, "B H W C"]) -> Float16[Array, "B F"]:
        """Features in half precision, a sixth of a picture's size."""
        return self.of_batch(pictures).astype(jnp.float16)


def second_moment(of_patches: Float[ndarray, "M N I"]) -> Float[ndarray, "I I"]:
    """Mean outer product of the patches of some pictures."""
    rows = of_patches.reshape(-1, of_patches.shape[-1])
    some = rows[:: max(1, len(rows) // _SAMPLED)].astype(np.float64)
    return some.T @ some / len(some)
