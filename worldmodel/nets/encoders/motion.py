"""Encoder of patches that keeps what moves and filters out what is merely there, fitted before training."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .components import ComponentEncoder, second_moment

FLOOR = 5.0  # grey levels of a pixel that count as noise: without it, what nearly never varies would be magnified


class MotionEncoder(ComponentEncoder):
    """`ComponentEncoder` with the principal components of what moves, estimated from what is seen.

    With the covariance C of the changes of patches over a few steps and S that of the patches themselves, the best
    linear estimate of what moves in a patch x is `C (S + floor²)⁻¹ x`, up to a factor (a Wiener filter); the features
    are the principal components of that estimate, as in reduced-rank regression. A background that varies a lot, but
    slowly or smoothly over a patch, is filtered out, where principal components would keep nothing else. Over a plain
    background C is nearly proportional to S, and the features are nearly those of `ComponentEncoder`; where nothing
    moves, they are the same.

    Sources: Izenman, Reduced-rank regression for the multivariate linear model, Journal of Multivariate Analysis 5,
    1975. Whitened directions of change, which slow feature analysis (Wiskott and Sejnowski, 2002) orders the other way
    round, separate the same two, but give fine and faint patterns the weight of the body.
    """

    filtered = 1  # times that the filter is applied

    def _directions(self, apart: Float[ndarray, "M N I"], changes: Float[ndarray, "M N I"]) -> Float[ndarray, "I I"]:
        seen, moved = second_moment(apart), second_moment(changes)
        if not moved.any():
            return super()._directions(apart, changes)
        once = np.linalg.solve(seen + FLOOR**2 * np.eye(len(seen)), moved)  # x ↦ onceᵀ x
        estimator = np.linalg.matrix_power(once, self.filtered)
        _, axes = np.linalg.eigh(estimator.T @ seen @ estimator)  # ascending
        directions = estimator @ axes[:, ::-1]
        return directions / np.linalg.norm(directions, axis=0).max()


class TwiceFilteredEncoder(MotionEncoder):
    """`MotionEncoder` with its filter applied twice: what drifts slowly is suppressed by the square.

    Where a body itself moves slowly, a single filter leaves enough of a drifting texture for a representation to be
    filled with it.
    """

    filtered = 2
