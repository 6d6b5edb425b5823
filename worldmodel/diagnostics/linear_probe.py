"""Linear probe of the representation: ridge regression, evaluated on held-out episodes.

A representation that a planner can use contains positions and velocities; encoders of single moments lose the latter
(arXiv 2610.04585), and no loss shows it.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from ..moments import Moments

RIDGE = 1e-3  # of standardised features, as a share of the number of samples


def linear_probe(
    latents: Float[ndarray, "M D"], targets: Float[ndarray, "M Q"], episodes: Int[ndarray, "M"]
) -> Float[ndarray, "Q"]:
    """Return the held-out R² of each target: fitted on every other episode, evaluated on those between.

    1 is perfect, 0 no better than the mean, below 0 worse. A target that does not move gives NaN: it has no
    variance.

    Raises:
      ValueError: fewer than two episodes.
    """
    order = np.unique(episodes)
    if len(order) < 2:
        raise ValueError(f"a linear probe needs at least two episodes, to fit and to evaluate; got {len(order)}")
    training = np.isin(episodes, order[::2])
    latents, targets = latents.astype(np.float64), targets.astype(np.float64)
    seen = Moments.of(latents[training])
    features = (latents - seen.mean) / np.where(seen.still, 1.0, seen.std)
    known, offset = features[training], targets[training].mean(axis=0)
    gram = known.T @ known + RIDGE * len(known) * np.eye(known.shape[1])
    weights = np.linalg.solve(gram, known.T @ (targets[training] - offset))
    held = targets[~training]
    missed = np.square(features[~training] @ weights + offset - held).sum(axis=0)
    there = Moments.of(held)
    return np.where(there.still, np.nan, 1.0 - missed / np.where(there.still, 1.0, there.squares))
