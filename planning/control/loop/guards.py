"""Checks of the observations that come into the loop. They never raise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy import ndarray

from ...observation import ObservationSpec
from ..engine.pictures import ChannelOrder
from ..engine.readings import Fault, Kind, Range, Reading, read
from .frozen import FrozenPictures
from .status import Reason

_NO_ACTION = np.zeros(0, np.float32)


@final
class ObservationGuard:
    """Decides whether the model may see an observation. Of two faults it reports the more serious one.

    Like a sensor, it ignores episodes and clocks: equal readings from before a reset still
    count.

    Args:
      spec: the sensors.
      plausible: lowest and highest embedding [E]; None: any.
      stuck_after: this many equal observations in a row are a stuck sensor; None where a sensor may well stand still.
      frozen: finds pictures that repeat while the scene moves; None: they may.
      means: mean picture of the training data by sensor, to judge the order of channels.
    """

    def __init__(
        self,
        spec: ObservationSpec,
        plausible: Range | None = None,
        stuck_after: int | None = None,
        frozen: FrozenPictures | None = None,
        means: Mapping[str, ndarray] | None = None,
    ):
        self._spec, self._plausible, self._stuck_after = spec, plausible, stuck_after
        self._frozen, self._order = frozen, ChannelOrder(means or {})
        self._last: tuple[bytes, ...] | None = None
        self._equal = 0
        self.sentence = ""  # of the last fault: what came, what was expected, and the fix

    def check(
        self, observation: Any, stamp: float = 0.0, action: ndarray = _NO_ACTION
    ) -> tuple[Reading | None, Reason]:
        """Return the observation and `OK`; or None and its fault.

        Args:
          observation: as it came.
          stamp: its time, seconds.
          action: [A] that was commanded last.
        """
        found = read(observation, self._spec, self._plausible)
        if isinstance(found, Fault):
            return self._refuse(found)
        if found.others and (fault := self._order.fault(found.others)) is not None:
            return self._refuse(fault)
        if self._stuck_after is not None:
            key = (found.row.tobytes(), *(each.tobytes() for each in found.others.values()))
            self._equal = self._equal + 1 if key == self._last else 1
            self._last = key
            if self._equal >= self._stuck_after:
                self.sentence = f"all sensors repeat one reading, {self._equal} times in a row: restart them"
                return None, Reason.STUCK_OBSERVATION
        if self._frozen is not None and found.others:
            sentence = self._frozen.check(found.others, found.row, stamp, action)
            if sentence is not None:
                self.sentence = sentence
                return None, Reason.STUCK_OBSERVATION
        return found, Reason.OK

    def _refuse(self, fault: Fault) -> tuple[None, Reason]:
        self.sentence = fault.sentence
        return None, _REASONS[fault.kind]


_REASONS = {
    Kind.MALFORMED: Reason.MALFORMED_OBSERVATION,
    Kind.NONFINITE: Reason.NONFINITE_OBSERVATION,
    Kind.IMPLAUSIBLE: Reason.OUT_OF_RANGE_OBSERVATION,
}
