"""Declaration of the robot's side of the loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine.filling import LEAST_TRUST, checked_trust


@dataclass(frozen=True)
class Loop:
    """Declaration of the robot's side. Times in seconds; None: the default given at each field.

    Raises:
      ValueError: a declaration that makes no sense, such as an infinite delay or a bound that is not a number.
    """

    actuation_delay: float = 0.0  # from handing out an action to its effect
    compensate: bool = True  # roll the model through the committed actions, and read plans at the moment of effect
    replan_period: float | None = None  # between two plans; None: the contract's `replan_every` control periods
    rate_limit: float | tuple[float, ...] | None = None  # of each action, units a second; None or inf: any step
    acceleration_limit: float | tuple[float, ...] | None = None  # of each action's rate, units a second squared
    max_observation_age: float | None = None  # None: 3 control periods
    late_after: float | None = None  # age of a plan from which it is late; None: 3 periods beyond replanning
    observation_low: tuple[float, ...] | None = None  # [O] what a sensor can read; None: the contract's plausible range
    observation_high: tuple[float, ...] | None = None
    stuck_after: int | None = None  # this many equal observations are a stuck sensor; None: never
    frozen_after: float | None = 1.0  # of one picture, bit for bit, while the scene moves; None: never a fault
    latency: float | Callable[[], float] = 0.0  # of an inline planner, on the loop's clock
    least_trust: float = LEAST_TRUST  # in an imagined reading, 0 to 1, below which it is not acted on

    def __post_init__(self) -> None:
        if self.frozen_after is not None and not (_finite_number(self.frozen_after, 0.0) and self.frozen_after > 0):
            raise ValueError(f"frozen_after must be positive, finite seconds, or None; got {self.frozen_after!r}")
        checked_trust(self.least_trust)
        for name in ("actuation_delay", "max_observation_age", "late_after", "replan_period"):
            value = getattr(self, name)
            if value is not None and not _finite_number(value, least=0.0):
                raise ValueError(f"{name} must be a finite time in seconds, 0 or more; got {value!r}")
        if not callable(self.latency) and not (isinstance(self.latency, int | float) and self.latency >= 0):
            raise ValueError(f"latency must be seconds, 0 or more, or a function of nothing; got {self.latency!r}")
        if not isinstance(self.compensate, bool):
            raise ValueError(f"compensate must be true or false; got {self.compensate!r}")
        for name in ("rate_limit", "acceleration_limit"):
            value = getattr(self, name)
            if value is not None and not (_numbers(value) > 0).all():  # NaN and words are not
                raise ValueError(f"{name} must be positive, one number or one for each actuator; got {value!r}")
        for name in ("observation_low", "observation_high"):
            value = getattr(self, name)
            if value is not None and np.isnan(_numbers(value)).any():
                raise ValueError(f"{name} must be numbers, one for each sensor, -inf or inf where free; got {value!r}")
        if self.observation_low is not None and self.observation_high is not None:
            low, high = _numbers(self.observation_low), _numbers(self.observation_high)
            if low.shape != high.shape or (low > high).any():
                raise ValueError(
                    f"observation_low and observation_high must be of one length, the lower one first; got "
                    f"{self.observation_low!r} and {self.observation_high!r}"
                )
        stuck = self.stuck_after
        if stuck is not None and (isinstance(stuck, bool) or not isinstance(stuck, int) or stuck < 2):
            raise ValueError(f"stuck_after must be a whole number of observations, 2 or more; got {stuck!r}")


def _finite_number(value: Any, least: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value < math.inf


def _numbers(value: Any) -> np.ndarray:
    """Return the value as an array; NaN where it is not numeric."""
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return np.asarray(np.nan)
