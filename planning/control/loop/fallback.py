"""The declared answers to everything that can go wrong, from the plan down to a brake.

plan -> previous plan until it expires -> reflex policy -> hold the last action -> brake. A fault says where in the
chain to begin; what is not available there (no valid plan, no reflex) hands on to the next. Everything but the brake is
validated and bounded in time, and time counts from the last action that a validated plan gave.
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
FINAL = (Reason.LOOP_ERROR, Reason.UNSAFE_OUTPUT, Reason.STOPPED, Reason.LATCHED)  # the brake, whatever is declared


@dataclass(frozen=True)
class Fallback:
    """Where each fault enters the chain, and what its last links do.

    Raises:
      ValueError: a time that is negative or no number, an answer that is none, a reflex or a brake of another kind.
    """

    answers: Mapping[Reason, Source] = field(default_factory=dict)  # in place of those of `ANSWERS`
    hold_seconds: float = 0.2  # since the last action of a plan, in which the last action may be repeated; 0: never
    reflex_seconds: float = 5.0  # likewise, in which the reflex policy may act; also from the start to the first plan
    brake: tuple[float, ...] | Brake | None = None  # [A], or a function; None: the contract's rest action
    reflex: Reflex | None = None  # observation [O] -> action [A]; "model": the policy that the model brings along
    latch: bool | tuple[Reason, ...] = False  # faults after which a brake stays until `acknowledge`; True: all

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
        """Where in the chain a fault begins."""
        return Source(self.answers.get(reason, ANSWERS[reason]))

    def latches(self, wrong: tuple[Reason, ...]) -> Reason | None:
        """The most serious of some faults that latches, if any does."""
        if isinstance(self.latch, bool):
            return wrong[0] if self.latch and wrong else None
        return next((reason for reason in wrong if reason in self.latch), None)

    def brake_action(self, contract: Contract) -> ndarray:
        """The declared last resort [A], float32; where that is a function, what stands in for it if it fails.

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
