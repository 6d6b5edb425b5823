"""Recent observations and commands by time stamp: the loop's short memory, from which situations are built.

Sensors, control and actuators each have their own times. The model expects observations and actions one control period
apart; here they are brought to that grid.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import final

import numpy as np
from numpy import ndarray

from ...observation import ObservationSpec

KEPT = 64  # observations, and commands
OFTEN = 4  # observations of a control period that are kept, of a model that looks further back
NO_FRAME = -1  # number of pictures that are not stored


@final
class Observed:
    """The last observations of one episode.

    Args:
      period: control period, in seconds.
      spec: the sensors.
      rows: of the longest window.
    """

    def __init__(self, period: float, spec: ObservationSpec, rows: int = 1):
        self._period, self._spec = period, spec
        kept = max(KEPT, OFTEN * rows)
        self._stamps: deque[float] = deque(maxlen=kept)
        self._values: deque[ndarray] = deque(maxlen=kept)
        self._frames: deque[int] = deque(maxlen=kept)
        self._first = 0.0

    def __len__(self) -> int:
        return len(self._stamps)

    @property
    def stamp(self) -> float:
        """Time stamp of the newest observation."""
        return self._stamps[-1]

    @property
    def newest(self) -> ndarray:
        """Embedding [E] of the newest observation."""
        return self._values[-1]

    @property
    def frame(self) -> int | None:
        """Number of the newest observation's pictures, where they are stored."""
        return None if not self._frames or self._frames[-1] == NO_FRAME else self._frames[-1]

    def clear(self) -> None:
        """Forget everything: another episode."""
        self._stamps.clear()
        self._values.clear()
        self._frames.clear()

    def add(self, stamp: float, values: ndarray, frame: int | None = None) -> None:
        """Add an observation, later than those before, and the number of its pictures where they are stored."""
        if not self._stamps:
            self._first = stamp
        self._stamps.append(stamp)
        self._values.append(values)
        self._frames.append(NO_FRAME if frame is None else frame)

    def window(self, rows: int, end: float | None = None) -> tuple[ndarray, int]:
        """Return [rows, E] one control period apart, and how many are not a repeated first one.

        The last is the newest, or that of the time `end` in seconds.

        Values are interpolated between two observations, so a dropped one does not look like a jump: angles the shorter
        way round. What cannot be interpolated, or was not read at both moments, is that of the nearer one.
        """
        known = min(rows, int((self.stamp - self._first) / self._period + 1.25))
        if len(self) == 1:
            return np.repeat(self._values[0][None], rows, axis=0), 1
        before, after, share = self._places(rows, end)
        first = before[0]
        values = np.stack(tuple(islice(self._values, int(first), None)))
        share = share.astype(np.float32)[:, None]
        earlier, later = values[before - first], values[after - first]
        blend = np.where(share >= 1, later, earlier + share * self._spec.difference(later, earlier))
        return np.where(self._blends(earlier, later), blend, np.where(share >= 0.5, later, earlier)), known

    def frames(self, rows: int) -> ndarray:
        """Return the numbers [rows] of the pictures in a window, `NO_FRAME` where they are not stored."""
        if max(self._frames) == NO_FRAME or len(self) == 1:
            return np.full(rows, self._frames[-1])
        before, after, share = self._places(rows)
        return np.asarray(self._frames)[np.where(share >= 0.5, after, before)]

    def _places(self, rows: int, end: float | None = None) -> tuple[ndarray, ndarray, ndarray]:
        """Return the observations [rows] before and after each moment of a window, and how near it is to the later."""
        stamps = np.asarray(self._stamps)
        grid = (stamps[-1] if end is None else end) - self._period * np.arange(rows - 1, -1, -1)
        after = np.searchsorted(stamps, grid).clip(1, len(stamps) - 1)
        before = after - 1
        share = ((grid - stamps[before]) / (stamps[after] - stamps[before])).clip(0.0, 1.0)
        close = 0.1 * self._period  # a jitter that small is not worth a blend of two observations
        share[np.abs(grid - stamps[before]) < close] = 0.0
        share[np.abs(grid - stamps[after]) < close] = 1.0
        return before, after, share

    def _blends(self, earlier: ndarray, later: ndarray) -> ndarray:
        """Mask [rows, E] of the numbers that may be interpolated between two moments."""
        found = np.broadcast_to(self._spec.interpolates, earlier.shape).copy()
        for name, flag in self._spec.flags.items():
            read = (earlier[:, flag] > 0) & (later[:, flag] > 0)
            found[:, self._spec.slices[name]] &= read[:, None]
        return found


@final
class Commanded:
    """The last actions that went out, each in force from its moment until the next one's."""

    def __init__(self, start: ndarray):
        self._moments: deque[float] = deque(maxlen=4 * KEPT)
        self._actions: deque[ndarray] = deque(maxlen=4 * KEPT)
        self._start = start

    def restart(self, start: ndarray) -> None:
        """Restart from what the actuators do now, `start` [A], whatever was sent before."""
        self._start = start
        self._moments.clear()
        self._actions.clear()

    @property
    def moment(self) -> float:
        """Time at which the newest went out; minus infinity before the first."""
        return self._moments[-1] if self._moments else -np.inf

    def clear(self) -> None:
        """Restart with the clock: only the action in force is kept, without its time."""
        if self._actions:
            self._start = self._actions[-1]
        self._moments.clear()
        self._actions.clear()

    def add(self, moment: float, action: ndarray) -> None:
        """Add an action from the moment it goes out."""
        self._moments.append(moment)
        self._actions.append(action)

    def at(self, moments: ndarray) -> ndarray:
        """Return the actions [n, A] in force at some moments [n]."""
        if not self._actions:
            return np.repeat(self._start[None], len(moments), axis=0)
        index = np.searchsorted(np.asarray(self._moments), moments, side="right")
        return np.stack([self._start, *self._actions])[index]
