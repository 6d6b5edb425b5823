"""Leak: how much of a representation is about what does not matter."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray


def leak(one: Float[ndarray, "M D"], other: Float[ndarray, "M D"]) -> float:
    """Return `E |z(s, d1) - z(s, d2)|² / (2 Var z)` for two draws of a distractor with the same states.

    0 where the distractor leaves no trace; 1 where nothing else is seen, for independent draws; NaN for representations
    that are all the same. `Var z` is the variance of both draws together, summed over dimensions.

    Args:
      one: latents of the states with the first draw.
      other: latents of the same states with the second draw.
    """
    one, other = one.astype(np.float64), other.astype(np.float64)
    spread = np.concatenate([one, other]).var(axis=0).sum()
    apart = np.square(one - other).sum(axis=1).mean()
    return float(apart / (2 * spread)) if spread > 0 else float("nan")
