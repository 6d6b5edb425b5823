"""Mean, deviation and largest magnitude of columns, in float64 and a chunk at a time.

NumPy sums a float32 column in float32: over a million rows of 300 ± 0.01 the deviation comes out forty times too large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

_CHUNK = 65_536  # rows converted to float64 at a time
_EPS = float(np.finfo(np.float32).eps)
_TINY = float(np.finfo(np.float32).tiny)
_FINE = 0.01  # of the deviation: float32 steps below this share of it lose nothing


@dataclass(frozen=True)
class Moments:
    """Moments of the columns of a table."""

    count: int
    mean: Float[ndarray, "F"]  # float64
    squares: Float[ndarray, "F"]  # float64, sum of the squared deviations from the mean
    largest: Float[ndarray, "F"]  # float64, largest magnitude

    @classmethod
    def of(cls, values: Float[ndarray, "M F"]) -> Moments:
        """Return the moments of `values`, in any precision; zeros if there are no rows."""
        total = cls.none(values.shape[1])
        for begin in range(0, len(values), _CHUNK):
            chunk = np.asarray(values[begin : begin + _CHUNK], np.float64)
            mean = chunk.mean(axis=0)
            squares = np.square(chunk - mean).sum(axis=0)
            total = total.merged(cls(len(chunk), mean, squares, np.abs(chunk).max(axis=0)))
        return total

    @classmethod
    def of_columns(cls, columns: Sequence[Float[ndarray, "..."]]) -> Moments:
        """Return the moments of columns that differ in length; `count` is the longest one's."""
        each = [cls.of(column[:, None]) for column in columns]
        most = max(one.count for one in each)
        # As if every column continued with values of the same deviation.
        squares = [one.squares * (most / max(one.count, 1)) for one in each]
        return cls(
            most,
            np.concatenate([one.mean for one in each]),
            np.concatenate(squares),
            np.concatenate([one.largest for one in each]),
        )

    @classmethod
    def none(cls, size: int) -> Moments:
        """Return the moments of `size` columns without rows."""
        zero = np.zeros(size)
        return cls(0, zero, zero, zero)

    def merged(self, other: Moments) -> Moments:
        """Return the moments of both tables concatenated (Chan, Golub & LeVeque, 1983)."""
        count = self.count + other.count
        share = other.count / max(count, 1)
        apart = other.mean - self.mean
        squares = self.squares + other.squares + apart**2 * (self.count * share)
        return Moments(count, self.mean + share * apart, squares, np.maximum(self.largest, other.largest))

    @property
    def std(self) -> Float[ndarray, "F"]:
        """Standard deviations, float64."""
        return np.sqrt(self.squares / max(self.count, 1))

    @property
    def still(self) -> Bool[ndarray, "F"]:
        """Mask of constant columns: they deviate by no more than a float32 rounding error of their magnitude.

        Relative, because a sensor may have any unit: a reading of 1e-5 may vary just as one of 1 does.
        """
        return self.std <= np.maximum(_EPS * self.largest, _TINY)

    @property
    def step(self) -> Float[ndarray, "F"]:
        """Distance between two float32 numbers at each column's largest magnitude, float64."""
        return np.spacing(np.minimum(self.largest, np.finfo(np.float32).max).astype(np.float32)).astype(np.float64)

    @property
    def coarse(self) -> Bool[ndarray, "F"]:
        """Mask of columns that vary so little relative to their magnitude that float32 loses their information."""
        return (self.squares > 0) & (self.step > _FINE * self.std)
