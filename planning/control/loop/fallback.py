"""The declared answer to each fault, from the plan down to a brake.

plan -> previous plan until it expires -> reflex policy -> hold the last action -> brake. A fault determines where the
chain is entered; a link that is not available (no valid plan, no reflex) passes on to the next. All but the brake are
validated and bounded in time, and time counts from the last action of a validated plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy import ndarray

from ..engine.contract import Contract
from .status import Reason, Source

Reflex = Callable[[ndarray], Any] | str
Brake = Callable[[ndarray | None], Any]  # the last good observation [O], or None -> action [A]

ANSWERS: Mapping[Reason, Source] = MappingProxyType(
    {
        Reason.OK: Source.PLAN,
        Reason.FILLED: Source.PLAN,
        Reason.LATE: Source.PREVIOUS_PLAN,
        Reason.INFEASIBLE: Source.PREVIOUS_PLAN,
        Reason.NONFINITE_PLAN: Source.PREVIOUS_PLAN,
        Reason.PLANNER_DEAD: Source.PREVIOUS_PLAN,
        Reason.PLANNER_FAILED: Source.PREVIOUS_PLAN,
        Reason.MALFORMED_OBSERVATION: Source.PREVIOUS_PLAN,
        Reason.NONFINITE_OBSERVATION: Source.PREVIOUS_PLAN,
        Reason.OUT_OF_RANGE_OBSERVATION: Source.PREVIOUS_PLAN,
        Reason.OUT_OF_ORDER_OBSERVATION: Source.PREVIOUS_PLAN,
        Reason.STALE_OBSERVATION: Source.PREVIOUS_PLAN,
        Reason.STUCK_OBSERVATION: Source.HOLD,
        Reason.UNTRUSTED: Source.HOLD,
        Reason.SURPRISED: Source.HOLD,
        Reason.NO_PLAN: Source.REFLEX,
        Reason.REFLEX_REFUSED: Source.PREVIOUS_PLAN,
        Reason.MISSING_OBSERVATION: Source.HOLD,
        Reason.CLOCK_BACKWARDS: Source.HOLD,
        Reason.CLOCK_STOPPED: Source.HOLD,
        Reason.LOOP_ERROR: Source.BRAKE,
        Reason.UNSAFE_OUTPUT: Source.BRAKE,
        Reason.STOPPED: Source.BRAKE,
        Reason.LATCHED: Source.BRAKE,
    }
)
FINAL = (Reason.LOOP_ERROR, Reason.UNSAFE_OUTPUT, Reason.STOPPED, Reason.LATCHED)  # always the brake


@dataclass(frozen=True)
class Fallback:
    """Entry point of each fault into the chain, and the settings of its last links.

    Raises:
      ValueError: a time that is negative or not a number, an invalid answer, reflex or brake.
    """

    answers: Mapping[Reason, Source] = field(default_factory=dict)  # override `ANSWERS`
    hold_seconds: float = 0.2  # how long after a plan's last action it may be repeated; 0: never
    reflex_seconds: float = 5.0  # likewise for the reflex policy, also between the start and the first plan
    brake: tuple[float, ...] | Brake | None = None  # [A], or a function; None: the contract's rest action
    reflex: Reflex | None = None  # observation [O] -> action [A]; "model": the model's own policy
    latch: bool | tuple[Reason, ...] = False  # faults whose brake stays until `acknowledge`; True: all

    def __post_init__(self) -> None:
        for name in ("hold_seconds", "reflex_seconds"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise ValueError(f"{name} must be a finite time in seconds, 0 or more; got {value!r}")
        if not (self.reflex is None or self.reflex == "model" or callable(self.reflex)):
            raise ValueError(f'reflex must be a function of an observation, or "model"; got {self.reflex!r}')
        for reason, source in self.answers.items():
            if not isinstance(reason, Reason) or reason in FINAL or source not in list(Source):
                raise ValueError(
                    f"answers take a Reason, other than {', '.join(each.name for each in FINAL)}, to a Source; got "
                    f"{reason!r}: {source!r}"
                )
        if not isinstance(self.latch, bool) and not all(isinstance(reason, Reason) for reason in self.latch):
            raise ValueError(f"latch must be true, false or a tuple of Reason; got {self.latch!r}")

    def entry(self, reason: Reason) -> Source:
        """Return where in the chain a fault enters."""
        return Source(self.answers.get(reason, ANSWERS[reason]))

    def latches(self, wrong: tuple[Reason, ...]) -> Reason | None:
        """Return the most serious of these faults that latches, if any does."""
        if isinstance(self.latch, bool):
            return wrong[0] if self.latch and wrong else None
        return next((reason for reason in wrong if reason in self.latch), None)

    def brake_action(self, contract: Contract) -> ndarray:
        """Return the declared last resort [A], float32; where that is a function, the action used if it fails.

        Raises:
          ValueError: it is not one finite number for each actuator within its bounds.
        """
        if self.brake is None or callable(self.brake):
            return contract.rest_action
        try:
            action = np.asarray(self.brake, np.float32)
        except (TypeError, ValueError):
            action = np.zeros(0, np.float32)
        fits = action.shape == contract.low.shape
        if not fits or not ((contract.low <= action) & (action <= contract.high)).all():
            raise ValueError(
                f"brake must be {contract.action_size} numbers within the action bounds, or a function; got "
                f"{self.brake!r}"
            )
        return action
