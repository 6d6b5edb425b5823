"""Source of an action, and the reason: the terms that the loop, its reports and its configuration share."""

from __future__ import annotations

from enum import IntEnum


class Source(IntEnum):
    """Source of an action that is handed out, from the best to the last resort."""

    PLAN = 0  # the newest plan, in time and without a fault
    PREVIOUS_PLAN = 1  # a plan that a newer one should have replaced, within its validity
    REFLEX = 2  # a policy on the latest good observation
    HOLD = 3  # the last action again, for a declared time only
    BRAKE = 4  # a declared action


class Reason(IntEnum):
    """Reason for a source; `OK`, or the most serious fault, by `severity`. Other programs know the numbers."""

    OK = 0
    LATE = 1  # the newest plan is older than it should be
    INFEASIBLE = 2  # none of the best plans keeps the margins or passes the checks
    NONFINITE_PLAN = 3  # the planner found nothing, or a plan that is not finite
    PLANNER_DEAD = 4  # its process or thread has ended, or hangs; it is restarted
    PLANNER_FAILED = 5  # it has given up, and is not restarted: `failure` has the reason
    MALFORMED_OBSERVATION = 6  # of another shape or type than the contract's
    NONFINITE_OBSERVATION = 7
    OUT_OF_RANGE_OBSERVATION = 8  # outside the declared range, or far outside the training data's
    OUT_OF_ORDER_OBSERVATION = 9  # its time stamp is not after that of the one before, or lies in the future
    STALE_OBSERVATION = 10  # the newest good one is too old
    STUCK_OBSERVATION = 11  # the same numbers repeatedly
    SURPRISED = 12  # the observation differs from the prediction
    NO_PLAN = 13  # no plan yet, or the last one is no longer valid
    REFLEX_REFUSED = 14  # the reflex policy raised, gave no action, or one that the checks refuse
    MISSING_OBSERVATION = 15  # no good one since the reset
    CLOCK_BACKWARDS = 16  # the loop's own clock went back: no time stamp can be trusted
    CLOCK_STOPPED = 17  # the loop's own clock stands still while actions are requested
    LOOP_ERROR = 18  # the loop itself raised: a defect, logged with its message
    UNSAFE_OUTPUT = 19  # the command broke the output invariant
    STOPPED = 20  # the controller is not running
    LATCHED = 21  # a fault that latches led to the brake and is not acknowledged
    FILLED = 22  # a sensor is missing, and what it would read is imagined
    UNTRUSTED = 23  # a sensor is missing for so long that what it would read is no longer trusted

    @property
    def severity(self) -> float:
        """Place in the order of seriousness: that of the numbers, but for those that came later."""
        return {Reason.FILLED: 0.5, Reason.UNTRUSTED: 11.5}.get(self, float(self))
