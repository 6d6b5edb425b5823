"""What is declared of the robot's side of the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Loop:
    """What the robot's side declares. Times in seconds; None: a default that is told.

    Raises:
      ValueError: a time that is negative.
    """

    actuation_delay: float = 0.0  # from handing out an action to its effect
    compensate: bool = True  # roll the model through what is committed, and read plans at the moment of effect
    replan_period: float | None = None  # between two plans; None: the contract's `replan_every` control periods
    rate_limit: float | tuple[float, ...] | None = None  # of each action, units a second; None: any step
    max_observation_age: float | None = None  # None: 3 control periods
    late_after: float | None = None  # age at which a plan should have been followed; None: 3 periods beyond replanning
    observation_low: tuple[float, ...] | None = None  # [O] what a sensor can read
    observation_high: tuple[float, ...] | None = None
    stuck_after: int | None = None  # so many equal observations are a stuck sensor; None: any number may be
    latency: float | Callable[[], float] = 0.0  # of an inline planner, on the loop's clock

    def __post_init__(self) -> None:
        for name in ("actuation_delay", "max_observation_age", "late_after", "replan_period"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"{name} must be a time; got {value}")
