"""Checks of the observations that come into the loop. They never raise."""

from __future__ import annotations

from typing import Any, final

from ...observation import ObservationSpec
from ..engine.readings import Fault, Kind, Range, Reading, read
from .status import Reason


@final
class ObservationGuard:
    """Decides whether the model may see an observation. Of two faults it reports the more serious one.

    Like a sensor, it ignores episodes and clocks: equal readings from before a reset still
    count.

    Args:
      spec: the sensors.
      plausible: lowest and highest embedding [E]; None: any.
      stuck_after: this many equal observations in a row are a stuck sensor; None where a sensor may well stand still.
    """

    def __init__(self, spec: ObservationSpec, plausible: Range | None = None, stuck_after: int | None = None):
        self._spec, self._plausible, self._stuck_after = spec, plausible, stuck_after
        self._last: tuple[bytes, ...] | None = None
        self._equal = 0

    def check(self, observation: Any) -> tuple[Reading | None, Reason]:
        """Return the observation and `OK`; or None and its fault."""
        found = read(observation, self._spec, self._plausible)
        if isinstance(found, Fault):
            return None, _REASONS[found.kind]
        if self._stuck_after is not None:
            key = (found.row.tobytes(), *(each.tobytes() for each in found.others.values()))
            self._equal = self._equal + 1 if key == self._last else 1
            self._last = key
            if self._equal >= self._stuck_after:
                return None, Reason.STUCK_OBSERVATION
        return found, Reason.OK


_REASONS = {
    Kind.MALFORMED: Reason.MALFORMED_OBSERVATION,
    Kind.NONFINITE: Reason.NONFINITE_OBSERVATION,
    Kind.IMPLAUSIBLE: Reason.OUT_OF_RANGE_OBSERVATION,
}
