"""Encoder of patches in which what moves stands out from what is merely there, fitted before training."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .components import ComponentEncoder, second_moment
from .picture import PIXEL_SCALE

FLOOR = 5.0  # grey levels of a pixel that count as noise: without it, what nearly never varies would be magnified


class MotionEncoder(ComponentEncoder):
    """`ComponentEncoder` with the directions in which a patch changes most for how much it varies at all.

    They maximise `v·C·v / v·(S + floor²)·v`, where C is the covariance of the changes of patches over a few steps and S
    that of the patches themselves, and give each a variance of about 1. A background that varies a lot, but slowly or
    smoothly over a patch, nearly vanishes in them, and a body that covers a few patches is many standard deviations
    away from it. Principal components keep what varies most, which is such a background.

    Slow feature analysis (Wiskott and Sejnowski, Neural Computation 14, 2002) solves the same problem and keeps the
    opposite end.
    """

    def _directions(self, apart: Float[ndarray, "M N I"], changes: Float[ndarray, "M N I"]) -> Float[ndarray, "I I"]:
        whiten = _inverse_root(second_moment(apart) + FLOOR**2 * np.eye(apart.shape[-1]))
        _, turned = np.linalg.eigh(whiten @ second_moment(changes) @ whiten)  # ascending
        return whiten @ turned[:, ::-1] / PIXEL_SCALE


def _inverse_root(matrix: Float[ndarray, "I I"]) -> Float[ndarray, "I I"]:
    """Symmetric inverse square root of a positive matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors / np.sqrt(values)) @ vectors.T
