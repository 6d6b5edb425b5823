"""Moments at which sensors are missing, completed by what the model expects them to read."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy import ndarray

from .interface import Engine

LEAST_TRUST = 0.5  # default limit, below which an imagined reading is not acted on
NO_FILLING = "this model does not answer what a sensor would read: train it with model.filling=true"


@dataclass(frozen=True)
class Question:
    """What the model is asked at one moment: everything that its answer depends on."""

    window: ndarray  # [n, E] the moments before, newest last, at most P of them
    action: ndarray  # [A] between the last of them and this one
    row: ndarray  # [E] of this moment; zeros where a sensor is missing
    known: ndarray  # [S] 1 for each sensor that was read
    ages: ndarray  # [S] control periods since each sensor was read, at least 1


@dataclass(frozen=True)
class Filled:
    """A moment, with what missing sensors would read in place of their readings."""

    row: ndarray  # [E]
    trust: dict[str, float] = field(default_factory=dict)  # by imagined sensor, 0 to 1; empty: none is imagined
    question: Question | None = None  # what was asked; None: nothing

    @property
    def least_trust(self) -> float:
        """Trust in the worst of the imagined readings; 1 where there is none."""
        return min(self.trust.values(), default=1.0)


@final
class Filler:
    """Goes on without some sensors: what they would read follows from the moments before, the action and the others.

    It imagines no sensor that was not read since the last `forget`. An imagined reading enters the next moments like
    one that was read.

    Args:
      engine: of a model that fills in sensors, as its contract says.
    """

    def __init__(self, engine: Engine):
        self.engine = engine
        self._spec, self._rows = engine.contract.observation, engine.contract.history
        self._names = [sensor.name for sensor in self._spec.sensors]
        self._blank: Any = None
        self.forget()

    def forget(self) -> None:
        """Forget the episode."""
        self._read_at: dict[str, float] = {}  # by sensor, in control periods
        self._memory: deque[ndarray] = deque(maxlen=self._rows)
        self._asked: Question | None = None

    def complete(
        self,
        row: ndarray,
        missing: Collection[str],
        moment: float,
        action: ndarray,
        window: ndarray | None = None,
    ) -> Filled | None:
        """Return a moment with imagined readings; None where a sensor that the model needs cannot be imagined.

        Args:
          row: [E] of the moment; zeros where a sensor is missing.
          missing: names of the sensors without a usable reading.
          moment: its time, in control periods.
          action: [A] taken since the moment before.
          window: [n, E] the moments before, one control period apart, none at an episode's start; None: those of the
            last calls.
        """
        if self.unknown(missing, window):
            return None
        known_before = list(self._memory) if window is None else window
        before = np.stack(list(known_before)) if len(known_before) else None
        imagined = [name for name in missing if name in self._read_at and before is not None]
        known = np.asarray([name not in missing for name in self._names], np.float32)
        ages = [max(moment - self._read_at.get(name, moment), 1.0) for name in self._names]
        self._asked = None
        if before is not None:
            self._asked = Question(before, action, row, known, np.asarray(ages, np.float32))
        for name in set(self._names) - set(missing):
            self._read_at[name] = moment
        filled = Filled(row)
        if imagined and self._asked is not None:
            filled = self.completed(self._asked, imagined)
        self._memory.append(filled.row)
        return filled

    def unknown(self, missing: Collection[str], window: ndarray | None = None) -> list[str]:
        """Return the sensors that the model needs and that are missing without anything to imagine them from.

        Args:
          missing: names of the sensors without a usable reading.
          window: as for `complete`; one without moments also stands for a new episode.
        """
        remembered = len(self._memory if window is None else window) > 0
        needed = [sensor.name for sensor in self._spec.sensors if not sensor.optional]
        return [name for name in needed if name in missing and not (remembered and name in self._read_at)]

    def expected(self, name: str) -> tuple[ndarray, ndarray]:
        """Return what a sensor would read at the newest moment if it were missing, and its standard deviation.

        In the sensor's units; features for a picture.

        Raises:
          ValueError: there is no such sensor.
          RuntimeError: fewer than two moments were observed.
        """
        if name not in self._names:
            raise ValueError(f"there is no sensor {name!r:.40}: choose from {', '.join(self._names)}")
        asked = self._asked
        if asked is None:
            raise RuntimeError("what a sensor would read is known from the second observation of an episode on")
        known = asked.known.copy()
        known[self._names.index(name)] = 0.0
        question = Question(asked.window, asked.action, asked.row, known, asked.ages)
        reading, deviation, _ = self.answer(question)
        place = self._spec.slices[name]
        return reading[place], deviation[place]

    def answer(self, question: Question) -> tuple[ndarray, ndarray, ndarray]:
        """Return what every sensor would read, [E], its standard deviation [E] and the trust in it, [S]."""
        if self._blank is None:
            self._blank = self.engine.begin(np.zeros(self._spec.size, np.float32), 0, 0)
        state = self._blank
        for row in question.window[-self._rows :]:
            state = self.engine.observe(state, row)
        latent, previous = self.engine.root(state), question.window[-1]
        return self.engine.fill(latent, previous, question.action, question.row, question.known, question.ages)

    def completed(self, question: Question, imagined: Collection[str]) -> Filled:
        """Return the moment that the answer to a question makes, with some of the missing sensors imagined."""
        reading, _, trust = self.answer(question)
        return Filled(self._with(question.row, reading, imagined), self._by_name(trust, imagined), question)

    def _with(self, row: ndarray, reading: ndarray, names: Collection[str]) -> ndarray:
        found = row.copy()
        for name in names:
            place = self._spec.slices[name]
            found[place] = reading[place]
            if name in self._spec.flags:
                found[self._spec.flags[name]] = 1.0
        return found

    def _by_name(self, values: ndarray, names: Collection[str]) -> dict[str, float]:
        return {name: float(values[self._names.index(name)]) for name in names}


def filler_of(engine: Engine) -> Filler | None:
    """Return a filler for the engine; None where its model does not fill in sensors."""
    return Filler(engine) if engine.contract.fills else None


def checked_trust(value: Any) -> float:
    """Return a limit of trust. Raise ValueError unless it is a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"least_trust must be a number from 0 to 1, where 0 trusts any reading; got {value!r}")
    return float(value)
