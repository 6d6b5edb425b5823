"""The declared answers to everything that can go wrong, from the plan down to a brake.

plan -> previous plan until it expires -> reflex policy -> hold for a declared time -> brake. A fault says where in the
chain to begin; what is not available there (no valid plan, no reflex) hands on to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy import ndarray

from .contract import Contract
from .status import Reason, Source

ANSWERS: Mapping[Reason, Source] = MappingProxyType(
    {
        Reason.OK: Source.PLAN,
        Reason.LATE: Source.PREVIOUS_PLAN,
        Reason.INFEASIBLE: Source.PREVIOUS_PLAN,
        Reason.NONFINITE_PLAN: Source.PREVIOUS_PLAN,
        Reason.PLANNER_DEAD: Source.PREVIOUS_PLAN,
        Reason.MALFORMED_OBSERVATION: Source.PREVIOUS_PLAN,
        Reason.NONFINITE_OBSERVATION: Source.PREVIOUS_PLAN,
        Reason.OUT_OF_RANGE_OBSERVATION: Source.PREVIOUS_PLAN,
        Reason.OUT_OF_ORDER_OBSERVATION: Source.PREVIOUS_PLAN,
        Reason.STALE_OBSERVATION: Source.PREVIOUS_PLAN,
        Reason.STUCK_OBSERVATION: Source.HOLD,
        Reason.SURPRISED: Source.HOLD,
        Reason.NO_PLAN: Source.REFLEX,
        Reason.MISSING_OBSERVATION: Source.HOLD,
        Reason.CLOCK_BACKWARDS: Source.HOLD,
    }
)


@dataclass(frozen=True)
class Fallback:
    """Where each fault enters the chain, and what its last links do.

    Raises:
      ValueError: a time to hold that is negative.
    """

    answers: Mapping[Reason, Source] = field(default_factory=dict)  # in place of those of `ANSWERS`
    hold_seconds: float = 0.2  # for how long the last action may be repeated before the brake; 0: never
    brake: tuple[float, ...] | None = None  # [A]; None: zero, or the bound nearest to it
    reflex: Callable[[ndarray], Any] | None = None  # observation [O] -> action [A]

    def __post_init__(self) -> None:
        if not self.hold_seconds >= 0:
            raise ValueError(f"hold_seconds must not be negative; got {self.hold_seconds}")

    def entry(self, reason: Reason) -> Source:
        """Where in the chain a fault begins."""
        return Source(self.answers.get(reason, ANSWERS[reason]))

    def brake_action(self, contract: Contract) -> ndarray:
        """The declared last resort [A], float32.

        Raises:
          ValueError: it is not one finite number for each actuator within its bounds.
        """
        if self.brake is None:
            return np.clip(np.zeros(contract.action_size, np.float32), contract.low, contract.high)
        action = np.asarray(self.brake, np.float32)
        inside = (
            action.shape == contract.low.shape and (action >= contract.low).all() and (action <= contract.high).all()
        )
        if not inside:
            raise ValueError(
                f"brake must be {contract.action_size} numbers within the action bounds; got {list(self.brake)}"
            )
        return action
