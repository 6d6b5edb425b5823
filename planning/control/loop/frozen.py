"""A camera that repeats one picture while the scene moves.

The noise of a real sensor changes some bits of every picture, so equal bits are a strong sign; but a simulated or
idealised camera repeats itself whenever nothing moves. Time counts only while something says that the scene moves:
vectors that were read with both pictures, where there are any with a known range, and otherwise the commands.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import final

import numpy as np
from numpy import ndarray

from ..engine.contract import Contract
from ..engine.readings import Fault, Kind

MOVED = 0.05  # of a vector component's range in the training data, since the picture last changed
DRIVEN = 0.25  # of the way from the rest action to a bound, by at least one actuator


class _Repeated:
    """The last picture of one camera, and how long it has been repeated while the scene moved."""

    def __init__(self, picture: bytes, row: ndarray):
        self.picture, self.row, self.moving = picture, row, 0.0


@final
class FrozenPictures:
    """Finds cameras that repeat one picture, bit for bit, while the scene moves.

    A camera that was found stays frozen until it gives another picture, whatever moves then: the brake that answers
    the fault would otherwise end it.

    Args:
      contract: of the planner: ranges of vectors, bounds and rest action.
      seconds: of motion, after which a repeated picture is a fault.
    """

    def __init__(self, contract: Contract, seconds: float):
        self._spec, self._seconds, self._period = contract.observation, seconds, contract.control_period
        self._rest = contract.rest_action
        self._reach = np.maximum(contract.high - self._rest, self._rest - contract.low)
        spec = self._spec
        span = spec.high.astype(np.float64) - spec.low.astype(np.float64)
        vectors = np.zeros(spec.size, bool)
        for sensor in spec.sensors:
            vectors[spec.slices[sensor.name]] = sensor.is_vector
        self._judged = vectors & np.isfinite(span) & (span > 0)
        self._span = np.where(self._judged, span, 1.0)
        self._last: dict[str, _Repeated] = {}
        self._stamp = math.nan

    def check(self, pictures: Mapping[str, ndarray], row: ndarray, stamp: float, action: ndarray) -> dict[str, Fault]:
        """Return the frozen cameras by name, each with its fault.

        Args:
          pictures: of this moment, by sensor.
          row: [E] of the vectors and flags, zeros in place of pictures.
          stamp: seconds.
          action: [A] that was commanded since the last observation.
        """
        elapsed = stamp - self._stamp
        elapsed = min(elapsed, 3 * self._period) if elapsed > 0 else 0.0  # a gap in the data is no long motion
        if math.isfinite(stamp):
            self._stamp = stamp
        found = dict[str, Fault]()
        for name, picture in pictures.items():
            content, last = picture.tobytes(), self._last.get(name)
            if last is None or content != last.picture:
                self._last[name] = _Repeated(content, row.copy())
                continue
            moves, why = self._moves(last.row, row, action)
            last.moving += elapsed if moves else 0.0
            if last.moving >= self._seconds - 1e-9:
                found[name] = Fault(
                    Kind.REPEATED,
                    f"the sensor {name} repeats one picture, bit for bit, for {last.moving:.2f} s in which {why}: "
                    "restart the camera or its driver; Loop(frozen_after=None) where the scene may stand still then",
                )
        return found

    def _moves(self, before: ndarray, now: ndarray, action: ndarray) -> tuple[bool, str]:
        """Return whether the scene should move, and what says so."""
        judged = self._judged.copy()
        for name, flag in self._spec.flags.items():
            if not (before[flag] > 0 and now[flag] > 0):
                judged[self._spec.slices[name]] = False
        if judged.any():
            change = np.abs(self._spec.difference(now, before)) / self._span
            return bool((change[judged] > MOVED).any()), "other sensors have changed"
        driven = np.abs(action - self._rest) >= DRIVEN * self._reach
        return bool((driven & (self._reach > 0)).any()), "the robot is driven"
