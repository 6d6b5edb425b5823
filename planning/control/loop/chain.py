"""The fallback chain at run time: the link that gives the current action."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy import ndarray

from ..engine.contract import Contract
from ..engine.interface import ModelReflex
from ..engine.readings import numbers_of
from ..log.journal import Journal
from ..worker.messages import PublishedPlan
from ..worker.validator import Validator
from .fallback import FINAL, Fallback
from .status import Reason, Source


@dataclass(frozen=True)
class Situation:
    """Inputs of the chain's choice. `moment` is when the action takes effect, seconds on the loop's clock."""

    moment: float
    plan: PublishedPlan | None  # the newest sound plan, valid or not
    recent: ndarray | None  # [P, O], the last observations if the newest is good and recent, for the reflex
    newest: ndarray | None  # [O], the last good observation of any age, for a user's brake
    goal: ndarray | None  # [O], if there is one, for the model's reflex
    previous: ndarray | None  # [A], the last action, if there is one to hold


@final
class Chain:
    """Descends from where a fault enters the chain to the first link that is available.

    Time is the loop's own: it only grows, whatever the clock does, so that no reset, new goal or jump of the clock
    buys a hold or a reflex more time. Only an action of a validated plan does.

    Args:
      fallback: the declared answers.
      contract: of the planner.
      journal: takes log lines.
      validator: its checks are applied to the reflex and to a held action; resolved.
      model_reflex: the model's own policy, where it is requested.

    Raises:
      ValueError: a brake that does not fit the actuators.
    """

    def __init__(
        self,
        fallback: Fallback,
        contract: Contract,
        journal: Journal,
        validator: Validator,
        model_reflex: ModelReflex | None = None,
    ):
        self.brake = fallback.brake_action(contract)
        self._fallback, self._journal, self._validator = fallback, journal, validator
        self._model_reflex, self._horizon = model_reflex, contract.horizon
        self._low, self._high = contract.low, contract.high
        self._since_plan, self._planned = 0.0, False  # seconds since a plan's action, or since the start
        self.latched: Reason | None = None
        self.reflex_refused = False  # in the last answer

    def pass_time(self, seconds: float) -> None:
        """Add elapsed seconds, whatever clock measured them."""
        self._since_plan += max(seconds, 0.0)

    def start(self) -> None:
        """Start the controller: no plan has acted yet, and the reflex may bridge the time to the first one."""
        self._since_plan, self._planned = 0.0, False

    def acknowledge(self) -> Reason | None:
        """Release the brake that a fault latched; returns that fault."""
        latched, self.latched = self.latched, None
        return latched

    def entry(self, wrong: tuple[Reason, ...]) -> Source:
        """Return the most cautious entry point of all faults."""
        if any(reason in FINAL for reason in wrong):
            return Source.BRAKE
        return max((self._fallback.entry(reason) for reason in wrong), default=self._fallback.entry(Reason.OK))

    def answer(self, wrong: tuple[Reason, ...], now: Situation) -> tuple[Source, ndarray]:
        """Return the source of the action, and the action [A]."""
        source, action = self._first(self.entry(wrong), now)
        if source == Source.BRAKE and self._planned and self.latched is None and Reason.STOPPED not in wrong:
            self.latched = self._fallback.latches(wrong)
        return source, action

    def _first(self, entry: Source, now: Situation) -> tuple[Source, ndarray]:
        self.reflex_refused = False
        if entry <= Source.PREVIOUS_PLAN and now.plan is not None and now.plan.valid(now.moment):
            self._since_plan, self._planned = 0.0, True
            return entry, now.plan.at(now.moment)
        in_time = self._since_plan < self._fallback.reflex_seconds
        if entry <= Source.REFLEX and in_time and (reflex := self._reflex(now)) is not None:
            return Source.REFLEX, reflex
        held = now.previous if self._planned and self._since_plan < self._fallback.hold_seconds else None
        if entry <= Source.HOLD and held is not None and self._admits(held):
            return Source.HOLD, held
        return Source.BRAKE, self.brake_action(now.newest)

    def _reflex(self, now: Situation) -> ndarray | None:
        """Return the reflex policy's action; None where it is not usable."""
        reflex, of_model = self._fallback.reflex, self._model_reflex
        if reflex is None or now.recent is None or (isinstance(reflex, str) and (of_model is None or now.goal is None)):
            return None
        self.reflex_refused = True
        try:
            if not isinstance(reflex, str):
                answer = reflex(now.recent[-1].copy())
            else:
                assert of_model is not None and now.goal is not None
                answer = of_model(now.recent, now.goal)
        except Exception as error:
            self._journal.write(logging.ERROR, "the reflex policy raised, and is not used in this step: %s", error)
            return None
        action = numbers_of(answer)
        if action is None or action.shape != self.brake.shape or not np.isfinite(action).all():
            return None
        action = np.clip(action, self._low, self._high)
        if not self._admits(action):
            return None
        self.reflex_refused = False
        return action

    def _admits(self, action: ndarray) -> bool:
        """Whether the checks pass a plan that repeats an action [A]."""
        if not self._validator.checks:
            return True
        return self._validator.objection(np.repeat(action[None], self._horizon, axis=0)) is None

    def brake_action(self, newest: ndarray | None) -> ndarray:
        """Return the declared brake [A]; the rest action where a user's function gives no action.

        Args:
          newest: [O], the last good observation, if there is one.
        """
        brake = self._fallback.brake
        if not callable(brake):
            return self.brake
        try:
            action = numbers_of(brake(None if newest is None else newest.copy()))
        except Exception as error:
            self._journal.write(logging.ERROR, "the brake raised, and the rest action is sent: %s", error)
            return self.brake
        if action is None or action.shape != self.brake.shape or not np.isfinite(action).all():
            self._journal.write(logging.ERROR, "the brake gave no action, and the rest action is sent")
            return self.brake
        return action
