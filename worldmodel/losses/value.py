"""Cross-entropy of a distribution over bins: a regression whose scale is free (Hafner et al., arXiv 2301.04104)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..nets.bins import two_hot


def two_hot_loss(logits: Float[Array, "... K"], values: Float[Array, "..."], limit: float) -> Float[Array, "..."]:
    """Cross-entropy between the two-hot weights of `values` and a distribution over bins."""
    target = two_hot(values, logits.shape[-1], limit)
    return -jnp.sum(target * jax.nn.log_softmax(logits, axis=-1), axis=-1)
