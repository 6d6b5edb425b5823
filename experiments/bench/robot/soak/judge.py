"""The judge of the soak test: conditions on every command, derived independently of the controller."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy import ndarray

from planning.control import Reason, Source
from planning.control.loop.command import Command

from ..tiny_engine import PERIOD
from .faults import REPLAN, STUCK, Fault

# For each kind of fault: a reason that the command must give, and the least cautious source allowed.
ANSWERS: dict[str, tuple[Reason, Source]] = {
    "nan": (Reason.NONFINITE_OBSERVATION, Source.PREVIOUS_PLAN),
    "out_of_range": (Reason.OUT_OF_RANGE_OBSERVATION, Source.PREVIOUS_PLAN),
    "malformed": (Reason.MALFORMED_OBSERVATION, Source.PREVIOUS_PLAN),
    "delayed": (Reason.STALE_OBSERVATION, Source.PREVIOUS_PLAN),
    "dropped": (Reason.STALE_OBSERVATION, Source.PREVIOUS_PLAN),
    "back": (Reason.CLOCK_BACKWARDS, Source.HOLD),
    "step_back": (Reason.CLOCK_BACKWARDS, Source.HOLD),
    "no_clock": (Reason.CLOCK_BACKWARDS, Source.HOLD),
    "forward": (Reason.NO_PLAN, Source.REFLEX),
    "pause": (Reason.NO_PLAN, Source.REFLEX),
    "dead": (Reason.PLANNER_DEAD, Source.PREVIOUS_PLAN),
    "stopped": (Reason.STOPPED, Source.BRAKE),
}
DEFECTS = (Reason.LOOP_ERROR, Reason.UNSAFE_OUTPUT)  # reasons that a sound loop never gives


@dataclass(frozen=True)
class Promises:
    """Declared limits of the loop under test."""

    rate: float = np.inf  # units/s
    acceleration: float = np.inf  # units/s²
    hold_seconds: float = 0.05
    reflex_seconds: float = 0.5
    brake: float = 0.0
    latch: bool = False


@final
class Judge:
    """Counter of broken promises: the counts whose names begin with `unsafe_` or `unanswered_`."""

    def __init__(self, promises: Promises):
        self._promises = promises
        self._last = self._before = self._speed = self._seconds = (
            0.0  # last two actions, rate of change, seconds between them
        )
        self._since_plan = np.inf  # seconds since the last action of a plan, on a monotonic clock
        self._since_start = 0.0
        self._latched = self._planned = False
        self._first_seen = np.inf  # stamp of the episode's first observation, on the loop's clock
        self.counts: Counter[str] = Counter()

    def started(self) -> None:
        """Record a start of the loop."""
        self.began()
        self._since_start, self._since_plan, self._planned = 0.0, np.inf, False

    def acknowledged(self) -> None:
        """Record the acknowledgement of a latched fault."""
        self._latched = False

    def began(self) -> None:
        """Record the beginning of an episode or of a new time base: earlier plans are no longer valid."""
        self._first_seen = np.inf

    def accepted(self, stamp: float) -> None:
        """Record that the loop accepted an observation with this stamp."""
        self._first_seen = min(self._first_seen, stamp)

    def judge(self, command: Command, action: ndarray, elapsed: float, now: float, fault: Fault, calm: int) -> None:
        """Judge one command.

        Args:
          command: the command as the controller reports it.
          action: [1] the action that the controller returned.
          elapsed: seconds since the last command, on the loop's clock; negative if the clock went back.
          now: seconds on the loop's clock.
          fault: the fault in this step.
          calm: steps since the last fault.
        """
        passed = PERIOD if elapsed < 0 else elapsed
        if elapsed < 0:  # earlier stamps are meaningless
            self.began()
        self._since_plan, self._since_start = self._since_plan + passed, self._since_start + passed
        self.counts[f"source_{command.source.name.lower()}"] += 1
        self._output(action, max(elapsed, 0.0))
        self._source(command, action, now)
        self._answer(command, fault, elapsed)
        if calm > 4 * REPLAN and command.source != Source.PLAN and not self._latched:
            self.counts["needless"] += 1
        if self._promises.latch and command.source == Source.BRAKE and self._planned and fault.kind != "stopped":
            self._latched = True

    def _output(self, action: ndarray, elapsed: float) -> None:
        """Check that the action is finite and within bounds, rate and acceleration."""
        counts, promises, seconds = self.counts, self._promises, min(elapsed, PERIOD)
        if action.shape != (1,) or action.dtype != np.float32 or not np.isfinite(action).all():
            counts["unsafe_nonfinite"] += 1
            return
        value = float(action[0])
        counts["unsafe_bounds"] += not -1.0 <= value <= 1.0
        step = np.inf if np.isinf(promises.rate) else promises.rate * seconds
        counts["unsafe_rate"] += not abs(value - self._last) <= step * (1 + 1e-5) + 1e-6
        if np.isfinite(promises.acceleration):
            if elapsed > 2 * PERIOD:
                self._speed = 0.0
            speed = (value - self._last) / seconds if seconds > 0 else self._speed
            counts["unsafe_acceleration"] += not abs(speed - self._speed) <= promises.acceleration * seconds + 1e-3
            self._speed = speed
        self._before, self._last, self._seconds = self._last, value, seconds

    def _source(self, command: Command, action: ndarray, now: float) -> None:
        """Check that the source may act now, and that the action is the one that this source declares."""
        counts, promises, source, plan = self.counts, self._promises, command.source, command.plan
        counts["unsafe_defect"] += any(reason in command.wrong for reason in DEFECTS)
        if source <= Source.PREVIOUS_PLAN:
            self._since_plan, self._planned = 0.0, True
            if plan is None or not plan.stamp <= now <= plan.valid_until:
                counts["unsafe_plan"] += 1
                return
            counts["unsafe_old_plan"] += plan.stamp < self._first_seen
            counts["unsafe_other_action"] += not self._follows(action, float(plan.at(now)[0]))
        elif source == Source.REFLEX:
            since = min(self._since_plan, self._since_start)
            counts["unsafe_reflex_too_long"] += since >= promises.reflex_seconds + 1e-6
        elif source == Source.HOLD:
            counts["unsafe_hold_too_long"] += self._since_plan >= promises.hold_seconds + 1e-6
            counts["unsafe_hold_moves"] += np.isinf(promises.acceleration) and self._last != self._before
        else:
            counts["unsafe_brake"] += not self._follows(action, promises.brake)
        if self._latched:
            counts["unsafe_resumed"] += source != Source.BRAKE
        counts["limited_bounds"] += "bounds" in command.guards
        counts["limited_rate"] += "rate" in command.guards

    def _follows(self, action: ndarray, target: float) -> bool:
        """Whether the action is as near to `target` as bounds and rate allow."""
        if np.isfinite(self._promises.acceleration):
            return True  # judged by its acceleration alone
        step = np.inf if np.isinf(self._promises.rate) else self._promises.rate * self._seconds
        expected = np.clip(np.clip(target, -1.0, 1.0), self._before - step, self._before + step)
        return bool(abs(float(action[0]) - expected) <= 1e-5)

    def _answer(self, command: Command, fault: Fault, elapsed: float) -> None:
        """Check that each fault is answered as declared, in the same step."""
        wrong, source, counts = set(command.wrong), command.source, self.counts
        expected: list[tuple[Reason, Source]] = []
        invisible = fault.active in ("back", "step_back") and elapsed >= 0  # a step back after a clock without time
        if fault.active in ANSWERS and not invisible:
            expected.append(ANSWERS[fault.active])
        if fault.kind == "stuck" and fault.steps >= STUCK - 1:  # also across resets
            expected.append((Reason.STUCK_OBSERVATION, Source.HOLD))
        if fault.steps > REPLAN + 7 and not fault.resets:  # by then there is a plan made under the fault
            if fault.kind == "model_nan":
                expected.append((Reason.NONFINITE_PLAN, Source.PREVIOUS_PLAN))
            if fault.kind == "surprise":
                expected.append((Reason.SURPRISED, Source.HOLD))
        plan: Any = command.plan
        late = plan is not None and plan.valid(command.time) and command.time - plan.stamp > (REPLAN + 3.01) * PERIOD
        if late and fault.kind != "stopped":
            expected.append((Reason.LATE, Source.PREVIOUS_PLAN))
        for reason, least in expected:
            counts["faulty_steps"] += 1
            seen = reason in wrong or (reason == Reason.STALE_OBSERVATION and Reason.MISSING_OBSERVATION in wrong)
            if not seen or source < least:
                counts[f"unanswered_{fault.kind or 'late'}"] += 1
