"""Older moments in a representation: what is hidden now was seen then.

A moment is looked at alone and by one small layer, the same for every age, and the results are joined by age. In a
picture this finds where things were, for a matrix product as cheap as a tenth of the encoder's own.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ..products import linear

MOST_MOMENTS = 16  # older moments of one representation
MOST_STRIDE = 100  # environment steps between two of them: a controller keeps every moment in between


class Memory(nnx.Module):
    """A layer over each older moment: `[..., M, F] -> [..., M · W]`.

    Args:
      features: numbers that describe one moment, F.
      lags: environment steps from each moment of a stack back to it, counted from the newest, oldest moment first.
      moments: older moments among them, M: the first ones.
      rngs: of the initial weights.
      width: W.
    """

    def __init__(self, features: int, lags: tuple[int, ...], moments: int, rngs: nnx.Rngs, width: int = 32):
        self.lags, self.moments, self.size = lags, moments, moments * width
        self.layer = nnx.Linear(features, width, rngs=rngs)
        self.norm = nnx.RMSNorm(width, rngs=rngs)

    def __call__(self, moments: Float[Array, "... M F"]) -> Float[Array, "... J"]:
        """Features of the older moments, the oldest first."""
        hidden = jax.nn.silu(self.norm(linear(self.layer, moments)))
        return hidden.reshape((*hidden.shape[:-2], self.size))

    def parts(self, embeddings: Float[Array, "... R E"]) -> tuple[Float[Array, "... M E"], Float[Array, "... P E"]]:
        """Older moments, and the last ones.

        Args:
          embeddings: of consecutive moments, as many as the oldest one is back, or of the moments at `lags` alone.

        Raises:
          ValueError: another number of moments.
        """
        reach, count = self.lags[0] + 1, embeddings.shape[-2]
        if count == reach != len(self.lags):
            embeddings = embeddings[..., jnp.asarray([reach - 1 - lag for lag in self.lags], jnp.int32), :]
        elif count != len(self.lags):
            raise ValueError(
                f"a representation needs {reach} consecutive moments, or the {len(self.lags)} among them that it is "
                f"made of; got {count}"
            )
        return embeddings[..., : self.moments, :], embeddings[..., self.moments :, :]


def memory_of(features: int, history: int, memory: int, stride: int, rngs: nnx.Rngs) -> Memory | None:
    """Layer over `memory` older moments; None for none.

    Args:
      features: numbers that describe one moment.
      history: P, the last moments, which the layer does not see.
      memory: M.
      stride: environment steps between two of them.
      rngs: of the initial weights.
    """
    return Memory(features, lags(history, memory, stride), memory, rngs) if memory else None


def lags(history: int, memory: int, stride: int) -> tuple[int, ...]:
    """Environment steps from the newest moment of a representation back to each one, the oldest first.

    Args:
      history: P, the last moments.
      memory: M, older ones.
      stride: environment steps between two older ones, and from the newest of these to the last P.
    """
    older = range(history - 1 + stride * memory, history - 1, -stride)
    return (*older, *range(history - 1, -1, -1))
