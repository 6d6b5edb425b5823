"""A controller's observations on their way to a moment: checked, embedded, completed and remembered."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy import ndarray

from ..arrays import Float
from .engine.filling import NO_FILLING, Filled, Filler, checked_trust, filler_of
from .engine.goal import checked_goal, checked_observation, episode_goal
from .engine.interface import Engine
from .engine.pictures import Eye
from .engine.readings import Fault

NO_MOMENTS = np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Sensed:
    """An observation that is not refused."""

    row: Float[ndarray, "E"]  # zeros where a sensor is missing
    missing: Mapping[str, Fault]  # by sensor, why there is no usable reading


@final
class Senses:
    """Turns observations and goals into rows.

    Args:
      low: [O] or one number, the lowest plausible reading and goal; None: the contract's, if it has one.
      high: likewise the highest.
      least_trust: limit of trust in an imagined reading.

    Raises:
      ValueError: a limit that is none.
    """

    def __init__(self, low: Any, high: Any, least_trust: float):
        self._own_range, self._least = (low, high), checked_trust(least_trust)
        self._filler: Filler | None = None
        self.recent: deque[ndarray] = deque(maxlen=0)  # rows of this episode before the current one
        self._moment, self._filled = 0, Filled(np.zeros(0, np.float32))

    def follow(self, engine: Engine) -> None:
        """Use this engine from here on; the episode goes on. Raises ValueError where range and sensors do not fit."""
        self._contract = engine.contract
        self._plausible = self._contract.range_with(*self._own_range)
        self._eye = Eye(engine)
        if self._filler is None:
            self._filler = filler_of(engine)
        else:
            self._filler.engine = engine

    def begin(self) -> None:
        """Start an episode."""
        self.recent = deque(maxlen=self._contract.history - 1)
        self._moment, self._filled = 0, Filled(np.zeros(0, np.float32))
        if self._filler is not None:
            self._filler.forget()

    def sensed(self, observation: Any, begins: bool = False) -> Sensed:
        """Return an observation after its checks; it changes nothing.

        Args:
          observation: as `Controller.act` takes it.
          begins: whether it is to be the first one of an episode.

        Raises:
          ValueError: it is refused, or a sensor is missing that cannot be imagined.
        """
        reading = checked_observation(observation, self._contract, self._plausible, self._filler is not None)
        row = self._eye.moment(reading)
        if self._filler is not None:
            for name in self._filler.unknown(reading.missing, NO_MOMENTS if begins else None):
                raise ValueError(reading.missing[name].sentence)
        return Sensed(row, reading.missing)

    def moment(self, sensed: Sensed, sent: ndarray) -> Float[ndarray, "E"]:
        """Take in an observation, after the action `sent` [A]. Return its row [E], with what is imagined."""
        row = sensed.row
        if self._filler is not None:
            filled = self._filler.complete(row, sensed.missing, float(self._moment), sent)
            assert filled is not None  # `sensed` refuses it
            self._filled, row = filled, filled.row
        self._moment += 1
        return row

    def goal(self, goal: Any) -> ndarray:
        """Return a goal's row [E]; errors are those of `checked_goal`."""
        return checked_goal(goal, self._contract, self._plausible, self._eye.goal)

    def episode_goal(self, goal: Any, last: ndarray | None) -> ndarray:
        """Return the row [E] of an episode's goal, as `episode_goal` does."""
        return episode_goal(goal, last, self._contract, self._plausible, self._eye.goal)

    @property
    def filled(self) -> Mapping[str, float]:
        """Trust in each sensor that is imagined at the newest moment."""
        return self._filled.trust

    @property
    def untrusted(self) -> bool:
        """Whether an imagined reading is not trusted any more."""
        return self._filled.least_trust < self._least

    def expected(self, name: str) -> tuple[ndarray, ndarray]:
        """Return what a sensor would read, and its standard deviation; errors are those of `Filler.expected`."""
        if self._filler is None:
            raise ValueError(NO_FILLING)
        return self._filler.expected(name)
