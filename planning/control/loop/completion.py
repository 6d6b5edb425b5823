"""The loop's observations with missing sensors, completed at their own times."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np
from numpy import ndarray

from ..engine.contract import Contract
from ..engine.filling import Filled, Filler, Question
from ..engine.readings import Fault, Kind
from ..log.journal import Journal
from ..worker.fill_log import fill_line
from .guards import REASONS
from .settings import Loop
from .status import Reason
from .window import Commanded, Observed

LONGEST = 16  # control periods without any observation that are bridged in one piece


@final
class Completion:
    """Imagines what missing sensors would read at the time of an observation, from the loop's short memory.

    Observations are brought to control periods: the moments before end one period earlier, and where observations were
    dropped, those between are imagined as a whole.

    Args:
      filler: of the model.
      contract: of the planner.
      loop: declaration of the robot's side.
      journal: takes log lines.
      log: takes a line for each moment with an imagined reading, from which `replay` recomputes it; None: none.
    """

    def __init__(
        self,
        filler: Filler,
        contract: Contract,
        loop: Loop,
        journal: Journal,
        log: Callable[[dict[str, Any]], None] | None = None,
    ):
        self._filler, self._contract, self._journal, self._log = filler, contract, journal, log
        self._period, self._delay, self._least = contract.control_period, loop.actuation_delay, loop.least_trust
        self.trust: Mapping[str, float] = {}  # in each sensor that is imagined at the newest moment
        self.expected = filler.expected

    def warmup(self) -> None:
        """Compile what an answer needs."""
        contract = self._contract
        moment, sensors = np.zeros(contract.embedding_size, np.float32), len(contract.observation.sensors)
        every = np.ones(sensors, np.float32)
        self._filler.answer(Question(moment[None], contract.rest_action, moment, 0 * every, every))

    def forget(self) -> None:
        """Forget the episode."""
        self._filler.forget()
        self._name({})

    def complete(
        self, row: ndarray, missing: Mapping[str, Fault], stamp: float, observed: Observed, commanded: Commanded
    ) -> tuple[ndarray | None, Reason, str]:
        """Return the completed row [E], or None where it cannot be completed; the reason, and the fault in a sentence.

        A row that is not trusted is returned, too: the loop goes on to follow what it no longer acts on.

        Args:
          row: [E] of the observation; zeros where a sensor is missing.
          missing: sensors without a usable reading, each with its fault.
          stamp: time of the observation, seconds.
          observed: the observations before.
          commanded: the actions that went out.
        """
        filled = self._filled(row, missing, stamp, observed, commanded)
        flags = self._contract.observation.flags
        serious = [fault for name, fault in missing.items() if name not in flags or fault.kind != Kind.ABSENT]
        sentence = serious[0].sentence if serious else ""
        if filled is None:
            fault = (serious or list(missing.values()))[0]
            return None, REASONS[fault.kind], fault.sentence
        self._name(filled.trust)
        if filled.question is not None and self._log is not None:
            self._log(fill_line(stamp, filled))
        if filled.least_trust < self._least:
            worst = min(filled.trust, key=lambda name: filled.trust[name])
            sentence = (
                f"the sensor {worst} is missing for too long: the trust in what it would read is "
                f"{filled.least_trust:.2f}, and Loop(least_trust={self._least:g}) is the limit"
            )
            return filled.row, Reason.UNTRUSTED, sentence
        return filled.row, Reason.FILLED if serious else Reason.OK, sentence

    def _filled(
        self, row: ndarray, missing: Mapping[str, Fault], stamp: float, observed: Observed, commanded: Commanded
    ) -> Filled | None:
        steps, names = 1, [sensor.name for sensor in self._contract.observation.sensors]
        window = np.zeros((0, len(row)), np.float32)
        if len(observed):
            gap = (stamp - observed.stamp) / self._period
            steps = min(max(1, round(gap)), LONGEST) if missing else 1
            window = observed.window(self._contract.history, stamp - steps * self._period)[0]
        for left in range(steps - 1, -1, -1):
            at = stamp - left * self._period
            action = commanded.at(np.asarray([at - 0.5 * self._period - self._delay]))[0]
            now, lost = (np.zeros_like(row), names) if left else (row, list(missing))
            filled = self._filler.complete(now, lost, at / self._period, action, window)
            if filled is None:
                return None
            window = np.concatenate([window[1:], filled.row[None]])
        return filled

    def _name(self, trust: Mapping[str, float]) -> None:
        """Log which sensors begin and end to be imagined."""
        for name in trust.keys() - self.trust.keys():
            self._journal.write(logging.WARNING, "the sensor %s is missing, and imagined from here on", name)
        for name in self.trust.keys() - trust.keys():
            self._journal.write(logging.WARNING, "the sensor %s is imagined no more", name)
        self.trust = dict(trust)
