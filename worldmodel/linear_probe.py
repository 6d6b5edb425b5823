"""What can be read from the representation by a linear map: ridge regression, judged on episodes it has not seen.

A representation that a planner can use holds positions and velocities; encoders of single moments lose the latter
(arXiv 2610.04585), and no loss tells.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

RIDGE = 1e-3  # of standardised features, as a share of the number of samples
STILL = 1e-6  # a target, or a feature, whose deviation is below this does not move


def linear_probe(
    latents: Float[ndarray, "M D"], targets: Float[ndarray, "M Q"], episodes: Int[ndarray, "M"]
) -> Float[ndarray, "Q"]:
    """Held-out R² of each target: fitted on every other episode, judged on those between.

    1 is perfect, 0 no better than the mean, below 0 worse. A target that does not move gives NaN: there is nothing to
    read.

    Raises:
      ValueError: fewer than two episodes.
    """
    order = np.unique(episodes)
    if len(order) < 2:
        raise ValueError(f"a linear probe needs at least two episodes, to learn and to be judged; got {len(order)}")
    training = np.isin(episodes, order[::2])
    latents, targets = latents.astype(np.float64), targets.astype(np.float64)
    mean, std = latents[training].mean(axis=0), latents[training].std(axis=0)
    features = (latents - mean) / np.where(std > STILL, std, 1.0)
    known, offset = features[training], targets[training].mean(axis=0)
    gram = known.T @ known + RIDGE * len(known) * np.eye(known.shape[1])
    weights = np.linalg.solve(gram, known.T @ (targets[training] - offset))
    held = targets[~training]
    missed = np.square(features[~training] @ weights + offset - held).sum(axis=0)
    there = np.square(held - held.mean(axis=0)).sum(axis=0)
    moves = there > len(held) * STILL**2
    return np.where(moves, 1.0 - missed / np.where(moves, there, 1.0), np.nan)
