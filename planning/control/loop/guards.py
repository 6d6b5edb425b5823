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
      tolerant: whether a sensor without a usable reading is noted as missing, and the others pass.
    """

    def __init__(
        self,
        spec: ObservationSpec,
        plausible: Range | None = None,
        stuck_after: int | None = None,
        frozen: FrozenPictures | None = None,
        means: Mapping[str, ndarray] | None = None,
        tolerant: bool = False,
    ):
        self._spec, self._plausible, self._stuck_after = spec, plausible, stuck_after
        self._tolerant = tolerant
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
        found = read(observation, self._spec, self._plausible, tolerant=self._tolerant)
        if isinstance(found, Fault):
            return self._refuse(found)
        if found.others and (fault := self._order.fault(found.others)) is not None:
            return self._refuse(fault)
        if self._stuck_after is not None and not found.missing:
            key = (found.row.tobytes(), *(each.tobytes() for each in found.others.values()))
            self._equal = self._equal + 1 if key == self._last else 1
            self._last = key
            if self._equal >= self._stuck_after:
                self.sentence = f"all sensors repeat one reading, {self._equal} times in a row: restart them"
                return None, Reason.STUCK_OBSERVATION
        if self._frozen is not None and found.others:
            still = self._frozen.check(found.others, found.row, stamp, action)
            if still and not self._tolerant:
                return self._refuse(next(reversed(still.values())))
            found = found.without(still, self._spec)
        return found, Reason.OK

    def _refuse(self, fault: Fault) -> tuple[None, Reason]:
        self.sentence = fault.sentence
        return None, REASONS[fault.kind]


def late_sensors(
    reading: Reading, stamp: float, now: float, oldest: float, stamps: Mapping[str, float]
) -> dict[str, Fault]:
    """Return the sensors that were read too long ago, each with its fault: pictures, and those with own stamps.

    Args:
      reading: an observation.
      stamp: its time, seconds on the loop's clock.
      now: likewise.
      oldest: the age that is allowed, seconds.
      stamps: of sensors that were read earlier than `stamp`, by name.
    """
    late = dict[str, Fault]()
    for name in {**reading.others, **stamps}:
        age = now - stamps.get(name, stamp)
        if not age <= oldest:  # NaN is no age
            late[name] = Fault(
                Kind.LATE,
                f"the reading of the sensor {name} is {age:.3f} s old, and at most {oldest:g} s is allowed: "
                "send it sooner, or raise Loop(max_observation_age=...)",
            )
    return late


REASONS = {
    Kind.MALFORMED: Reason.MALFORMED_OBSERVATION,
    Kind.NONFINITE: Reason.NONFINITE_OBSERVATION,
    Kind.IMPLAUSIBLE: Reason.OUT_OF_RANGE_OBSERVATION,
    Kind.ABSENT: Reason.MALFORMED_OBSERVATION,
    Kind.REPEATED: Reason.STUCK_OBSERVATION,
    Kind.LATE: Reason.STALE_OBSERVATION,
}
