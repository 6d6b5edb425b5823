"""Small vision transformer, for accelerators (Dosovitskiy et al., arXiv 2010.11929, with all patches read out)."""

from __future__ import annotations

import jax
from flax import nnx
from jaxtyping import Array, Float, UInt8

from .picture import PIXEL_SCALE, PictureEncoder, patches


class Block(nnx.Module):
    """Attention among patches, then an MLP on each, both residual.

    Args:
      width: of a patch's vector.
      heads: of the attention.
      rngs: of the initial weights.
    """

    def __init__(self, width: int, heads: int, rngs: nnx.Rngs):
        self.norms = nnx.List([nnx.RMSNorm(width, rngs=rngs) for _ in range(2)])
        self.joint = nnx.Linear(width, 3 * width, use_bias=False, rngs=rngs)
        self.out = nnx.Linear(width, width, rngs=rngs)
        self.expand = nnx.Linear(width, 2 * width, rngs=rngs)
        self.contract = nnx.Linear(2 * width, width, rngs=rngs)
        self.heads = heads

    def __call__(self, tokens: Float[Array, "B N W"]) -> Float[Array, "B N W"]:
        """Update every patch's vector."""
        count, places, width = tokens.shape
        parts = self.joint(self.norms[0](tokens)).reshape(count, places, 3, self.heads, width // self.heads)
        query, key, value = parts[:, :, 0], parts[:, :, 1], parts[:, :, 2]
        attended = jax.nn.dot_product_attention(query, key, value)
        tokens = tokens + self.out(attended.reshape(count, places, width))
        return tokens + self.contract(jax.nn.silu(self.expand(self.norms[1](tokens))))


class TransformerEncoder(PictureEncoder):
    """Attention among the patches of a picture, all of which are read out, so that places are kept.

    Args:
      shape: height, width and channels.
      features: F.
      rngs: of the initial weights.
      steady: see `PictureEncoder`.
      width: of a patch's vector.
      depth: number of blocks.
      heads: of the attention.
      patch: height and width of a patch.

    Raises:
      ValueError: patches do not tile the picture.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        features: int,
        rngs: nnx.Rngs,
        steady: bool = False,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        patch: int = 8,
    ):
        super().__init__(shape, patch, f"cut into patches of {patch} x {patch}", steady)
        self.patch, count = patch, (shape[0] // patch) * (shape[1] // patch)
        self.first = nnx.Linear(patch * patch * shape[2], width, rngs=rngs)
        self.places = nnx.Param(0.02 * jax.random.normal(rngs.params(), (count, width)))
        self.blocks = nnx.List([Block(width, heads, rngs) for _ in range(depth)])
        self.norm = nnx.RMSNorm(width, rngs=rngs)
        self.narrow = nnx.Linear(width, 32, rngs=rngs)
        self.join = nnx.Linear(count * 32, features, rngs=rngs)

    def of_batch(self, pictures: UInt8[Array, "B H W C"]) -> Float[Array, "B F"]:
        """Features of a batch of pictures."""
        cut = patches(self.apart(pictures), self.patch)
        tokens = self.first(cut * PIXEL_SCALE) + self.places[...][None]
        for block in self.blocks:
            tokens = block(tokens)
        hidden = jax.nn.silu(self.narrow(self.norm(tokens)))
        return self.join(hidden.reshape((len(pictures), -1)))
