"""Where an action came from, and why: the words that the loop, its reports and its configuration share."""

from __future__ import annotations

from enum import IntEnum


class Source(IntEnum):
    """Where an action that is handed out comes from, from the best to the last resort."""

    PLAN = 0  # the newest plan, in time and with nothing against it
    PREVIOUS_PLAN = 1  # a plan that should have been followed by a newer one, within its validity
    REFLEX = 2  # a policy that answers to the latest good observation
    HOLD = 3  # the last action once more, for a declared time only
    BRAKE = 4  # a declared action


class Reason(IntEnum):
    """Why it is that source; `OK`, or the most serious of what is wrong: the highest number."""

    OK = 0
    LATE = 1  # the newest plan is older than it should be
    INFEASIBLE = 2  # none of the best plans keeps the margins or passes the checks
    NONFINITE_PLAN = 3  # the planner found nothing, or something that is no number
    PLANNER_DEAD = 4  # its process or thread has ended, or hangs; it is started again
    PLANNER_FAILED = 5  # it has given up, and is not started again: `failure` says why
    MALFORMED_OBSERVATION = 6  # of another shape or type than the contract's
    NONFINITE_OBSERVATION = 7
    OUT_OF_RANGE_OBSERVATION = 8  # outside the declared range, or far outside the training data's
    OUT_OF_ORDER_OBSERVATION = 9  # its time stamp is not after that of the one before, or lies in the future
    STALE_OBSERVATION = 10  # the newest good one is too old
    STUCK_OBSERVATION = 11  # the same numbers again and again
    SURPRISED = 12  # what is seen is not what was predicted
    NO_PLAN = 13  # there has been none yet, or the last one is not valid any more
    REFLEX_REFUSED = 14  # the reflex policy raised, gave no action, or one that the checks refuse
    MISSING_OBSERVATION = 15  # there has been no good one since the reset
    CLOCK_BACKWARDS = 16  # the loop's own clock went back: nothing that bears a stamp can be trusted
    CLOCK_STOPPED = 17  # the loop's own clock stands still while actions are asked for
    LOOP_ERROR = 18  # the loop itself raised: a defect, logged with its words
    UNSAFE_OUTPUT = 19  # what was about to be sent broke the output invariant
    STOPPED = 20  # the controller is not running
    LATCHED = 21  # a fault that latches led to the brake, and has not been acknowledged
