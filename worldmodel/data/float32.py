"""Conversion of a log to float32, with a warning for columns that lose their information by rounding."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..moments import Moments

logger = logging.getLogger(__name__)


def as_float32(values: ndarray) -> Float[ndarray, "..."]:
    """Return `values` as float32; values beyond its range become infinite, which later checks catch."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float32)


class Float32Columns:
    """Casts the tables of a dataset, file by file, and tracks the rounding of their columns.

    Args:
      noun: the noun for a column, such as "sensor".
      names: of the columns, or empty.
    """

    def __init__(self, noun: str, names: Sequence[str] = ()):
        self._noun, self._names = noun, tuple(names)
        self._moments: Moments | None = None
        self._where: list[str] = []  # for each column, the file with its largest magnitude

    def cast(self, values: ndarray, where: str) -> Float[ndarray, "T F"]:
        """Cast `values` as `as_float32` does. `where` names their file or episode."""
        cast = as_float32(values)
        if values.ndim == 2 and len(values) and np.isfinite(cast).all():
            self._record(Moments.of(values), where)
        return cast

    def warn(self, source: object) -> None:
        """Log one warning for each column that loses too much to float32 rounding."""
        moments = self._moments
        if moments is None:
            return
        for index in np.flatnonzero(moments.coarse).tolist():
            name = f"{index} ({self._names[index]})" if index < len(self._names) else str(index)
            logger.warning(
                "%s %s in %s of %s reads about %.10g and deviates by %.2g, but float32 has steps of %.2g there, so "
                "its information is rounded away: subtract %.10g from it in the log, and on the robot",
                self._noun,
                name,
                self._where[index],
                source,
                moments.mean[index],
                moments.std[index],
                moments.step[index],
                np.round(moments.mean[index]),
            )

    def _record(self, moments: Moments, where: str) -> None:
        known = self._moments
        if known is None:
            self._moments, self._where = moments, [where] * len(moments.mean)
        elif len(known.mean) == len(moments.mean):  # a different number of columns is refused elsewhere
            self._where = [
                where if larger else before
                for larger, before in zip(moments.largest > known.largest, self._where, strict=True)
            ]
            self._moments = known.merged(moments)
