"""Checks of the observations that come into the loop. They never raise."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy import ndarray

from ..engine.readings import numbers_of
from .status import Reason


@final
class ObservationGuard:
    """Whether an observation is one that the model may see. Of two faults it reports the more serious one.

    Episodes and clocks mean nothing to it, as they mean nothing to a sensor: what was counted before a reset still
    counts.

    Args:
      size: O.
      low: [O] or one number, the lowest reading; None where there is none.
      high: [O] or one number, the highest.
      stuck_after: so many equal observations in a row are a stuck sensor; None where a sensor may well stand still.
    """

    def __init__(self, size: int, low: Any = None, high: Any = None, stuck_after: int | None = None):
        self._size = size
        self._low = None if low is None else np.broadcast_to(np.asarray(low, np.float32), (size,))
        self._high = None if high is None else np.broadcast_to(np.asarray(high, np.float32), (size,))
        self._stuck_after = stuck_after
        self._last: bytes | None = None
        self._equal = 0

    def check(self, observation: Any) -> tuple[ndarray | None, Reason]:
        """The observation [O] in float32 and `OK`; or what is wrong with it."""
        values = numbers_of(observation)
        if values is None or values.shape != (self._size,):
            return None, Reason.MALFORMED_OBSERVATION
        if not np.isfinite(values).all():
            return None, Reason.NONFINITE_OBSERVATION
        if (self._low is not None and (values < self._low).any()) or (
            self._high is not None and (values > self._high).any()
        ):
            return None, Reason.OUT_OF_RANGE_OBSERVATION
        if self._stuck_after is not None:
            key = values.tobytes()
            self._equal = self._equal + 1 if key == self._last else 1
            self._last = key
            if self._equal >= self._stuck_after:
                return None, Reason.STUCK_OBSERVATION
        return values, Reason.OK
