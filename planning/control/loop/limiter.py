"""The last stage before an actuator: bounds, rate and acceleration of a command, and a check of the output.

`Limiter` shapes commands, `OutputGuard` trusts no other code: it checks the numbers that are sent, and keeps its own
record of what was sent before. A command that breaks the invariant never leaves; a step towards the brake does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, final

import numpy as np
from numpy import ndarray

TOLERANCE = 1e-5  # of a step, for float32
SHORTEST = 1e-6  # seconds between two commands; less counts as zero


@final
class Limiter:
    """Keeps commands within the bounds, and limits how fast they change.

    The bounds take precedence over the rate, and the rate over the acceleration. Under an acceleration limit a
    command slows down before it reaches its bounds, so that none of the three is ever broken.

    Args:
      low: [A] bounds, in the units of the actuator.
      high: [A]
      rate: [A] or one number, units a second; None or inf: any step.
      start: [A] what the actuators do before the first command.
      longest: seconds; a pause longer than this allows no larger change than this does.
      acceleration: [A] or one number, units a second squared; None or inf: any change of the rate.

    Raises:
      ValueError: a limit that is not positive or does not fit the actuators, or a start that is not finite.
    """

    def __init__(self, low: ndarray, high: ndarray, rate: Any, start: Any, longest: float, acceleration: Any = None):
        self._low, self._high = np.asarray(low, np.float32), np.asarray(high, np.float32)
        self._rate, self._acceleration = (
            limits_of(name, value, self._low.size) for name, value in (("rate", rate), ("acceleration", acceleration))
        )
        self._longest = longest
        self.restart(start)

    def restart(self, start: Any) -> None:
        """Continue from what the actuators do now, [A], at rest.

        Raises:
          ValueError: it is not one finite number for each actuator.
        """
        start = np.asarray(start, np.float32)
        if start.shape != self._low.shape or not np.isfinite(start).all():
            raise ValueError(f"the action to start from must be {self._low.size} finite numbers; got {start.tolist()}")
        self.previous: ndarray = np.clip(start, self._low, self._high)
        self._speed = np.zeros(self._low.size)  # units a second, of the last command

    def limit(self, action: Any, elapsed: float) -> tuple[ndarray, tuple[str, ...]]:
        """Return the command [A] to send `elapsed` seconds after the last one, and which limits changed it.

        A value that is not finite is replaced by the last command.
        """
        requested = np.asarray(action, np.float32)
        if requested.shape != self._low.shape or not np.isfinite(requested).all():
            self._speed[:] = 0.0
            return self.previous.copy(), ("nonfinite",)
        allowed = np.clip(requested, self._low, self._high)
        acted: tuple[str, ...] = ("bounds",) if (allowed != requested).any() else ()
        seconds = _seconds(elapsed, self._longest)
        if elapsed > 2 * self._longest:
            self._speed[:] = 0.0  # the last command has been in force, unchanged, for a while
        for name, limit in (("rate", self._rated), ("acceleration", self._accelerated)):
            limited = limit(allowed, seconds)
            if (limited != allowed).any():
                acted = (*acted, name)
            allowed = limited
        if seconds > 0:
            self._speed = (allowed.astype(np.float64) - self.previous) / seconds
        self.previous = allowed
        return allowed.copy(), acted

    def _rated(self, requested: ndarray, seconds: float) -> ndarray:
        if self._rate is None:
            return requested
        step = largest_step(self._rate, seconds)
        return self._bounded(np.clip(requested, self.previous - step, self.previous + step))

    def _accelerated(self, requested: ndarray, seconds: float) -> ndarray:
        """Limit the change of speed, and keep slow enough to stop at the bounds: v²/2a of way is left."""
        limit = self._acceleration
        if limit is None:
            return requested
        free = np.isinf(limit)
        if seconds == 0:
            return np.where(free, requested, self.previous)
        most = np.where(free, 0.0, limit)
        before = self.previous.astype(np.float64)
        change = most * seconds
        up, down = (
            np.sqrt(change**2 + 2 * most * np.maximum(way, 0.0)) - change
            for way in (self._high - before, before - self._low)
        )
        speed = np.clip((requested - before) / seconds, self._speed - change, self._speed + change)
        return np.where(free, requested, self._bounded(before + np.clip(speed, -down, up) * seconds))

    def _bounded(self, action: ndarray) -> ndarray:
        return np.clip(action.astype(np.float32), self._low, self._high)


@final
class OutputGuard:
    """The output invariant: finite, within the bounds, and within the rate from the previous output.

    Args:
      low: [A] bounds.
      high: [A]
      rate: [A] or one number, units a second; None or inf: any step.
      start: [A] what the actuators do before the first command.
      longest: seconds, as the limiter's.
    """

    def __init__(self, low: ndarray, high: ndarray, rate: Any, start: ndarray, longest: float):
        self._low, self._high = np.asarray(low, np.float32), np.asarray(high, np.float32)
        self._rate = limits_of("rate", rate, self._low.size)
        self._longest = longest
        self.restart(start)

    def restart(self, start: ndarray) -> None:
        """Continue from what the actuators do now, [A], within the bounds."""
        self._sent: ndarray = np.clip(np.asarray(start, np.float32), self._low, self._high)

    def check(self, action: Any, brake: Callable[[], ndarray], elapsed: float) -> tuple[ndarray, bool]:
        """Return the output [A], and whether it is `action`: otherwise it is a step towards `brake`.

        Args:
          action: [A] the command to check.
          brake: gives the declared brake [A]; called only where it is needed.
          elapsed: seconds since the last command.
        """
        seconds = _seconds(elapsed, self._longest)
        step = np.full(self._low.size, np.inf) if self._rate is None else largest_step(self._rate, seconds)
        safe = self._safe(action, step)
        if not safe:
            action = self._towards(brake(), step)
        self._sent = action.copy()
        return action, safe

    def _safe(self, action: Any, step: ndarray) -> bool:
        if not isinstance(action, ndarray) or action.dtype != np.float32 or action.shape != self._low.shape:
            return False
        inside = ((self._low <= action) & (action <= self._high)).all()  # NaN is not
        change = np.abs(action.astype(np.float64) - self._sent)
        slack = TOLERANCE * (step + np.abs(self._sent))
        return bool(inside and (change <= step + np.where(np.isinf(step), 0.0, slack)).all())

    def _towards(self, brake: Any, step: ndarray) -> ndarray:
        target = np.asarray(brake, np.float32)
        if target.shape != self._low.shape or not np.isfinite(target).all():
            target = self._sent
        moved = np.clip(target.astype(np.float64), self._sent - step, self._sent + step)
        return np.clip(moved.astype(np.float32), self._low, self._high)


def _seconds(elapsed: float, longest: float) -> float:
    """Return the time that counts: zero where the clock went back or its progress is too small to derive a speed."""
    return min(elapsed, longest) if elapsed > SHORTEST else 0.0


def limits_of(name: str, value: Any, size: int) -> ndarray | None:
    """Positive limits [A] in float64, inf for unlimited actuators; None if all are unlimited.

    Raises:
      ValueError: not one positive number, or one for each actuator.
    """
    if value is None:
        return None
    try:
        limits = np.broadcast_to(np.asarray(value, np.float64), (size,))
    except (TypeError, ValueError):
        limits = np.zeros(size)
    if not (limits > 0).all():
        raise ValueError(f"{name} must be positive, one number or one for each of {size} actuators; got {value!r}")
    return None if np.isinf(limits).all() else limits


def largest_step(rate: ndarray, seconds: float) -> ndarray:
    """Largest change [A] of a command in some seconds; without a limit infinite, even in zero seconds."""
    return np.where(np.isinf(rate), math.inf, np.where(np.isinf(rate), 0.0, rate) * seconds)
