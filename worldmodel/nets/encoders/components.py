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

    def fit(self, pictures: UInt8[ndarray, "M H W C"]) -> None:
        """Set the mean picture and the components from a sample of the data."""
        super().fit(pictures)
        cut = np.asarray(patches(jnp.asarray(pictures), PATCH), np.float32)
        apart = (cut - np.asarray(patches(self.mean[...][None], PATCH))).reshape(-1, cut.shape[-1])
        some = apart[:: max(1, len(apart) // _SAMPLED)].astype(np.float64)
        _, directions = np.linalg.eigh(some.T @ some)  # ascending
        chosen = directions[:, ::-1][:, : self.basis.shape[1]]
        # A direction's sign is arbitrary, and differs between libraries.
        chosen *= np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(chosen.shape[1])])
        self.basis[...] = jnp.asarray(chosen, jnp.float32)

    def __call__(self, pictures: UInt8[Array, "... H W C"] | Float16[Array, "... F"]) -> Float[Array, "... F"]:
        """Features of each picture; those of `project` are returned in full precision."""
        if pictures.dtype == jnp.uint8:
            return super().__call__(pictures)
        return pictures.astype(jnp.float32)

    def project(self, pictures: UInt8[Array, "B H W C"]) -> Float16[Array, "B F"]:
        """Features in half precision, a sixth of a picture's size."""
        return self.of_batch(pictures).astype(jnp.float16)
