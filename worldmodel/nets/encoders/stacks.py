"""Features of the pictures of several moments, from the embedding of each: where velocity is seen.

Each stack has a `size`, the number of its features.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ..products import linear
from .patches import patch_count, per_patch

CHANGE_SCALE = 4.0  # of the changes of features: a step's change is about a quarter of their spread


class PatchStack(nnx.Module):
    """An MLP over each patch at all moments, then a layer over all patches: `[..., P, N · I] -> [..., J]`.

    A motion is seen where it happens. Behind a layer over all patches of one picture, which way a link turns would
    be a small difference of large numbers, to be read differently in each pose: the second joint of `reacher` was not
    learned so.

    Args:
      shape: height, width and channels of the pictures.
      features: numbers in an embedding, N · I.
      history: moments, P.
      rngs: of the initial weights.
      width: of the first layer over a patch.
      narrow: of the second one, whose outputs for all patches are joined.
      joined: J.
      together: whether all patches are normalised together. A patch that shows little then stays small; by itself, it
        would weigh as much as one that shows the body.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        features: int,
        history: int,
        rngs: nnx.Rngs,
        width: int = 64,
        narrow: int = 16,
        joined: int = 128,
        together: bool = False,
    ):
        self.count, self.size = patch_count(shape), joined
        self.first = nnx.Linear(history * per_patch(shape, features), width, rngs=rngs)
        self.norm = nnx.RMSNorm(width, reduction_axes=(-2, -1) if together else -1, rngs=rngs)
        self.second = nnx.Linear(width, narrow, rngs=rngs)
        self.join_norm = nnx.RMSNorm(self.count * narrow, rngs=rngs)
        self.join = nnx.Linear(self.count * narrow, joined, rngs=rngs)

    def __call__(self, embeddings: Float[Array, "... P E"]) -> Float[Array, "... J"]:
        """Features of P moments, the newest last."""
        *batch, moments, _ = embeddings.shape
        apart = embeddings.reshape((-1, moments, self.count, embeddings.shape[-1] // self.count))
        seen = apart.transpose(0, 2, 1, 3).reshape((len(apart), self.count, -1))
        hidden = jax.nn.silu(self.norm(linear(self.first, seen)))
        hidden = linear(self.second, hidden).reshape((len(apart), -1))
        joined = jax.nn.silu(linear(self.join, jax.nn.silu(self.join_norm(hidden))))
        return joined.reshape((*batch, self.size))


class ChangeStack(nnx.Module):
    """The features of all moments, and their changes from one to the next: `[..., P, E] -> [..., (2 P − 1) E]`.

    For encoders that look at a picture as a whole.

    Args:
      features: numbers in an embedding, E.
      history: moments, P.
    """

    def __init__(self, features: int, history: int):
        self.size = (2 * history - 1) * features

    def __call__(self, embeddings: Float[Array, "... P E"]) -> Float[Array, "... J"]:
        """Features of P moments, the newest last."""
        changes = CHANGE_SCALE * jnp.diff(embeddings, axis=-2)
        return jnp.concatenate([embeddings, changes], axis=-2).reshape((*embeddings.shape[:-2], self.size))
