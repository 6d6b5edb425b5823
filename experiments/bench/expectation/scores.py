"""Scores of surprise on quadruplets: pairwise accuracy, AUROC of single clips, accuracy at a conformal threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from envs.physics.quadruplet import PAIRS
from planning.control.worker.surprise import threshold

REDUCE = ("max", "mean")


@dataclass(frozen=True)
class Scores:
    """Scores of one case."""

    pairs: int
    accuracy: float  # share of pairs whose impossible clip surprises more; a tie is half
    auroc: float  # of single clips
    threshold_accuracy: float  # of single clips, at the threshold


def clip_scores(surprise: Float[ndarray, "C T"], reduce: str) -> Float[ndarray, "C"]:
    """One number a clip: the largest or the mean surprise.

    Raises:
      ValueError: another reduction.
    """
    if reduce not in REDUCE:
        raise ValueError(f"a surprise cannot be reduced by {reduce!r}: choose from {', '.join(REDUCE)}")
    return surprise.max(axis=1) if reduce == "max" else surprise.mean(axis=1)


def scores(
    pairs: Float[ndarray, "Q 4"],
    singles: Float[ndarray, "Q 4"],
    possible: Float[ndarray, "M"],
    false_alarm_rate: float,
) -> Scores:
    """Scores of quadruplets.

    Args:
      pairs: one number for each clip of a quadruplet, compared within pairs.
      singles: likewise, compared with all others and the threshold.
      possible: of other possible clips of the same case, which the threshold is fixed on.
      false_alarm_rate: share of possible clips above the threshold.
    """
    right = np.concatenate([_above(pairs[:, impossible], pairs[:, fine]) for fine, impossible in PAIRS])
    fine, impossible = singles[:, :2].ravel(), singles[:, 2:].ravel()
    limit = threshold(possible, false_alarm_rate)
    at_limit = (np.mean(fine <= limit) + np.mean(impossible > limit)) / 2
    auroc = float(_above(impossible[:, None], fine[None]).mean())
    return Scores(len(right), float(right.mean()), auroc, float(at_limit))


def _above(one: ndarray, other: ndarray) -> ndarray:
    """1 where the first is larger, one half where they are equal."""
    return (one > other) + 0.5 * (one == other)
