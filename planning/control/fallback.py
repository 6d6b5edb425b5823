"""The declared answers to everything that can go wrong, from the plan down to a brake.

plan -> previous plan until it expires -> reflex policy -> hold for a declared time -> brake. A fault says where in the
chain to begin; what is not available there (no valid plan, no reflex) hands on to the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, final

import numpy as np
from numpy import ndarray

from .contract import Contract
from .messages import PublishedPlan
from .status import Reason, Source

logger = logging.getLogger(__name__)

Reflex = Callable[[ndarray], Any] | str
ModelReflex = Callable[[ndarray, ndarray], Any]  # observations [P, O] and goal [O] -> action [A]

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
      ValueError: a time to hold that is negative, or a reflex that is neither a function nor "model".
    """

    answers: Mapping[Reason, Source] = field(default_factory=dict)  # in place of those of `ANSWERS`
    hold_seconds: float = 0.2  # for how long the last action may be repeated before the brake; 0: never
    brake: tuple[float, ...] | None = None  # [A]; None: zero, or the bound nearest to it
    reflex: Reflex | None = None  # observation [O] -> action [A]; "model": the policy that the model brings along

    def __post_init__(self) -> None:
        if not self.hold_seconds >= 0:
            raise ValueError(f"hold_seconds must not be negative; got {self.hold_seconds}")
        if not (self.reflex is None or self.reflex == "model" or callable(self.reflex)):
            raise ValueError(f'reflex must be a function of an observation, or "model"; got {self.reflex!r}')

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


@final
class Chain:
    """The chain at work: down from where a fault enters it to the first link that is available.

    Args:
      fallback: what is declared.
      contract: of the planner.
      model_reflex: the policy that the model brings along, where it is asked for.

    Raises:
      ValueError: a brake that does not fit the actuators.
    """

    def __init__(self, fallback: Fallback, contract: Contract, model_reflex: ModelReflex | None = None):
        self.brake = fallback.brake_action(contract)
        self._fallback, self._model_reflex = fallback, model_reflex
        self._holding_since: float | None = None

    def forget(self) -> None:
        """Another episode: whatever is held then is held from its start on."""
        self._holding_since = None

    def entry(self, wrong: tuple[Reason, ...]) -> Source:
        """The most cautious of what the faults are answered by."""
        return max((self._fallback.entry(reason) for reason in wrong), default=self._fallback.entry(Reason.OK))

    def answer(
        self,
        entry: Source,
        now: float,
        moment: float,
        plan: PublishedPlan | None,
        recent: ndarray | None,
        goal: ndarray | None,
        previous: ndarray | None,
    ) -> tuple[Source, ndarray]:
        """Where the action comes from, and the action [A].

        Args:
          entry: the first link that may answer.
          now: seconds.
          moment: seconds, at which the action takes effect.
          plan: the newest sound one, valid or not.
          recent: [P, O], the last observations if the newest is good and recent: the reflex needs them.
          goal: [O], if there is one: the model's reflex needs it.
          previous: [A], the last action, if there was one that could be held.
        """
        if entry <= Source.PREVIOUS_PLAN and plan is not None and plan.valid(moment):
            self._holding_since = None
            return entry, plan.at(moment)
        if entry <= Source.REFLEX and (reflex := self._reflex(recent, goal)) is not None:
            self._holding_since = None
            return Source.REFLEX, reflex
        if entry <= Source.HOLD:
            if self._holding_since is None:
                self._holding_since = now
            if now - self._holding_since < self._fallback.hold_seconds and previous is not None:
                return Source.HOLD, previous
        return Source.BRAKE, self.brake

    def _reflex(self, recent: ndarray | None, goal: ndarray | None) -> ndarray | None:
        """What the reflex policy says; None where it says nothing of use."""
        reflex, of_model = self._fallback.reflex, self._model_reflex
        if reflex is None or recent is None:
            return None
        try:
            if not isinstance(reflex, str):
                said = reflex(recent[-1].copy())
            elif of_model is not None and goal is not None:
                said = of_model(recent, goal)
            else:
                return None
            action = np.asarray(said, np.float32)
        except Exception:
            logger.exception("the reflex policy raised, and is not used in this step")
            return None
        good = action.shape == self.brake.shape and np.isfinite(action).all()
        return action if good else None
