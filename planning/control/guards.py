"""What stands between a planner and an actuator: checks of what comes in, of the plan, and of what goes out.

None of them raises in the middle of a loop: each says which of them acted, and the loop answers as it was declared.
"""

from __future__ import annotations

import importlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy import ndarray

from .status import Reason

logger = logging.getLogger(__name__)

Check = Callable[[ndarray], float]


@final
class Limiter:
    """The last thing before an actuator: bounds, and how fast a command may change. What is no number is not passed on.

    Args:
      low: [A] bounds, in the units of the actuator.
      high: [A]
      rate: [A] or one number, units a second; None where the actuator stands any step.
      start: [A] what the actuator does before the first command.
      longest: seconds; a pause longer than this allows no larger change than this does.

    Raises:
      ValueError: a rate that is not positive, or a start that is not finite.
    """

    def __init__(self, low: ndarray, high: ndarray, rate: Any, start: ndarray, longest: float):
        self._low, self._high = np.asarray(low, np.float32), np.asarray(high, np.float32)
        self._rate = None if rate is None else np.broadcast_to(np.asarray(rate, np.float64), self._low.shape)
        if self._rate is not None and not (self._rate > 0).all():
            raise ValueError(f"rate must be positive units a second; got {rate}")
        if not np.isfinite(start).all():
            raise ValueError(f"the action to start from must be finite; got {np.asarray(start).tolist()}")
        self.previous: ndarray = np.clip(np.asarray(start, np.float32), self._low, self._high)
        self._longest = longest

    def limit(self, action: Any, elapsed: float) -> tuple[ndarray, tuple[str, ...]]:
        """The command [A] that may go out `elapsed` seconds after the last one, and which limits changed it."""
        wanted = np.asarray(action, np.float32)
        acted: tuple[str, ...] = ()
        if wanted.shape != self._low.shape or not np.isfinite(wanted).all():
            return self.previous.copy(), ("nonfinite",)
        allowed = np.minimum(np.maximum(wanted, self._low), self._high)
        if (allowed != wanted).any():
            acted = ("bounds",)
        if self._rate is not None:
            step = self._rate * min(max(elapsed, 0.0), self._longest)
            slow = np.minimum(np.maximum(allowed, self.previous - step), self.previous + step).astype(np.float32)
            if (slow != allowed).any():
                acted = (*acted, "rate")
            allowed = np.minimum(np.maximum(slow, self._low), self._high)
        self.previous = allowed
        return allowed.copy(), acted


@final
class ObservationGuard:
    """Is this observation one that the model may see? Of two faults the more serious is told.

    It knows nothing of episodes and clocks, and neither does a sensor: what was counted before a reset still counts.

    Args:
      size: O.
      low: [O] the declared range; None where there is none.
      high: [O]
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
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # beyond float32 is infinite, and refused below
                values = np.array(observation, np.float32)
        except (TypeError, ValueError):
            return None, Reason.MALFORMED_OBSERVATION
        if values.shape != (self._size,):
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


@dataclass(frozen=True)
class Validator:
    """Checks the best plans once more, outside the planner, and takes the first that passes.

    `checks` are functions of a plan's actions [T, A] in NumPy that give a margin, safe at or below 0; a dotted name,
    `module:function`, stands for one that a planner process imports by itself. A margin of the objective passes up to
    `tolerance`.
    """

    checks: tuple[Check | str, ...] = ()
    tolerance: float = 0.0

    def resolved(self) -> Validator:
        """With functions in place of names.

        Raises:
          ValueError: a name that cannot be imported.
        """
        return Validator(
            tuple(named(check) if isinstance(check, str) else check for check in self.checks), self.tolerance
        )

    def first(
        self, sequences: ndarray, costs: Sequence[float] | ndarray, margins: dict[str, ndarray]
    ) -> tuple[int | None, list[str]]:
        """The first of `sequences` [k, T, A] that passes, or None; and what kept those before it from passing."""
        objections: list[str] = []
        for rank, sequence in enumerate(sequences):
            objection = self._objection(rank, sequence, float(costs[rank]), margins)
            if objection is None:
                return rank, objections
            objections.append(objection)
        return None, objections

    def _objection(self, rank: int, sequence: ndarray, cost: float, margins: dict[str, ndarray]) -> str | None:
        if not np.isfinite(sequence).all() or not np.isfinite(cost):
            return "nonfinite"
        for name, margin in margins.items():
            if not margin[rank] <= self.tolerance:  # NaN does not pass
                return name
        for check in self.checks:
            assert not isinstance(check, str)
            if not check(sequence) <= 0:
                return getattr(check, "__name__", "check")
        return None


@final
class Events:
    """What is wrong, said once when it begins and once when it ends, and counted: of this controller alone."""

    def __init__(self, name: str = "control loop"):
        self._name = name
        self._active: dict[Reason, float] = {}
        self.counts: Counter[str] = Counter()  # beginnings, by name

    @property
    def active(self) -> tuple[Reason, ...]:
        """What is wrong now, most serious first."""
        return tuple(sorted(self._active, reverse=True))

    def update(self, wrong: Iterable[Reason], now: float) -> tuple[str, ...]:
        """Take note of all that is wrong `now`; returns what began (`+late`) and ended (`-late`)."""
        current = set(wrong)
        if not current and not self._active:
            return ()
        changes = []
        for reason in sorted(current - self._active.keys()):
            self._active[reason] = now
            self.counts[reason.name.lower()] += 1
            changes.append(f"+{reason.name.lower()}")
            logger.warning("%s: %s begins at %.3f s", self._name, reason.name.lower(), now)
        for reason in sorted(self._active.keys() - current):
            began = self._active.pop(reason)
            changes.append(f"-{reason.name.lower()}")
            logger.warning("%s: %s ends after %.3f s", self._name, reason.name.lower(), now - began)
        return tuple(changes)


def named(name: str) -> Any:
    """What `module:attribute` names.

    Raises:
      ValueError: there is no such thing.
    """
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{name!r} cannot be imported: give module:function") from error
