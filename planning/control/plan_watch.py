"""Check of the plan that a controller executes, and the actions that replace a failed one."""

from __future__ import annotations

import logging
from typing import final

import numpy as np
from numpy import ndarray

from ..types import Status
from .engine.contract import Contract
from .loop.status import Reason, Source

logger = logging.getLogger(__name__)

REASONS = {Status.OK: Reason.OK, Status.INFEASIBLE: Reason.INFEASIBLE, Status.FAILED: Reason.NONFINITE_PLAN}


@final
class PlanWatch:
    """Passes a plan's actions, or those of the previous plan while planning fails, until they are used up.

    After that, and in place of an action that is not finite, comes the contract's rest action.
    """

    def __init__(self) -> None:
        self._left = 0  # remaining actions of the last good plan
        self.source, self.reason = Source.BRAKE, Reason.NO_PLAN

    def follow(self, contract: Contract) -> None:
        """Use this contract from here on."""
        self._horizon = contract.horizon
        self._low, self._high, self._rest = contract.low, contract.high, contract.rest_action

    def forget(self) -> None:
        """Drop the plan: an episode begins, or the goal changes."""
        self._left = 0

    def judge(self, action: ndarray, status: Status, untrusted: bool = False) -> ndarray:
        """Return the action [A] to send, within the bounds. `source` and `reason` describe it; a change is logged.

        Args:
          action: [A] of the plan.
          status: of the last planning call.
          untrusted: whether a sensor is missing that is no longer known well enough: the rest action is sent.
        """
        before = Reason.OK if self.reason == Reason.NO_PLAN else self.reason
        self._left = self._horizon if status != Status.FAILED else self._left - 1
        if not np.isfinite(action).all() or self._left <= 0:
            self.source, self.reason, action = Source.BRAKE, Reason.NONFINITE_PLAN, self._rest
        elif untrusted:
            self.source, self.reason, action = Source.BRAKE, Reason.UNTRUSTED, self._rest
        else:
            self.source = Source.PREVIOUS_PLAN if status == Status.FAILED else Source.PLAN
            self.reason = REASONS[status]
        if self.reason != before:
            logger.warning("controller: %s (%s) from here on", self.source.name.lower(), self.reason.name.lower())
        return np.clip(action, self._low, self._high)
