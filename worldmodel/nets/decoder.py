"""Decoder from a latent to what the sensors read at its newest moment, for the reconstruction baseline alone.

A picture is decoded to its patches, by the patch encoder's layers in reverse order. The target is what the encoder
sees of the picture: the difference from the mean picture, patch by patch, or its fitted components where the encoder
works on those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ..observation import ObservationSpec
from .encoders.components import ComponentEncoder
from .encoders.history import vector_size
from .encoders.patches import PATCH, patch_count
from .encoders.picture import PIXEL_SCALE, patches
from .layers import MLP
from .products import linear


class PictureDecoder(nnx.Module):
    """Patches of a picture: `[..., D] -> [..., N, I]`, by matrix products alone.

    Args:
      latent_size: D.
      count: patches of a picture, N.
      numbers: of a patch, I.
      width: of the hidden layers over the whole picture.
      depth: number of these.
      rngs: of the initial weights.
      narrow: numbers of a patch after these.
      patch_width: of the hidden layer over a patch.
    """

    def __init__(
        self,
        latent_size: int,
        count: int,
        numbers: int,
        width: int,
        depth: int,
        rngs: nnx.Rngs,
        narrow: int = 32,
        patch_width: int = 96,
    ):
        self.whole = MLP(latent_size, count * narrow, width, depth, rngs)
        self.narrow_norm = nnx.RMSNorm(count * narrow, rngs=rngs)
        self.hidden = nnx.Linear(narrow, patch_width, rngs=rngs)
        self.norm = nnx.RMSNorm(patch_width, rngs=rngs)
        self.output = nnx.Linear(patch_width, numbers, rngs=rngs)
        self.count = count

    def __call__(self, latent: Float[Array, "... D"]) -> Float[Array, "... N I"]:
        """Return the patches, as `visible` gives them."""
        batch = latent.shape[:-1]
        spread = jax.nn.silu(self.narrow_norm(self.whole(latent.reshape((-1, latent.shape[-1])))))
        hidden = linear(self.hidden, spread.reshape((len(spread), self.count, -1)))
        return linear(self.output, jax.nn.silu(self.norm(hidden))).reshape((*batch, self.count, -1))


class Decoder(nnx.Module):
    """Decoder of all sensors: the features of vectors together, and each picture by itself.

    Args:
      spec: the sensors.
      encoders: of the pictures, by name; None where there is none.
      latent_size: D.
      width: of the hidden layers.
      depth: number of hidden layers.
      rngs: of the initial weights.
    """

    def __init__(
        self,
        spec: ObservationSpec,
        encoders: Mapping[str, Any] | None,
        latent_size: int,
        width: int,
        depth: int,
        rngs: nnx.Rngs,
    ):
        features = vector_size(spec)
        self.mlp = MLP(latent_size, features, width, depth, rngs) if features else None
        decoders = {}
        for sensor in spec.pictures:
            assert encoders is not None
            encoder, (height, wide, channels) = encoders[sensor.name], sensor.shape
            is_fitted = isinstance(encoder, ComponentEncoder)
            numbers = encoder.basis.shape[-1] if is_fitted else PATCH * PATCH * channels
            count = patch_count((height, wide, channels))
            decoders[sensor.name] = PictureDecoder(latent_size, count, numbers, width, depth, rngs)
        self.pictures = nnx.Dict(decoders) if decoders else None

    def vectors(self, latent: Float[Array, "... D"]) -> Float[Array, "... F"]:
        """Return the features of vectors, with mean 0 and standard deviation 1."""
        assert self.mlp is not None
        return self.mlp(latent)


def visible(encoder: Any, pictures: Array) -> Float[Array, "... N I"]:
    """What an encoder sees of pictures `[..., H, W, C]`, patch by patch: nothing in it learns.

    Args:
      encoder: of the pictures.
      pictures: uint8, or components `[..., F]` as `ComponentEncoder.project` returns them.
    """
    if isinstance(encoder, ComponentEncoder):
        seen = encoder(pictures)
        return seen.reshape((*seen.shape[:-1], -1, encoder.basis.shape[-1]))
    flat = pictures.reshape((-1, *pictures.shape[-3:]))
    mean: Array = encoder.mean[...]
    seen = (patches(flat, PATCH).astype(jnp.float32) - patches(mean[None], PATCH)) * PIXEL_SCALE
    return seen.reshape((*pictures.shape[:-3], *seen.shape[1:]))
