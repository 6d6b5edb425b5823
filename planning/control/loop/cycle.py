"""The robot's side of the loop: observations in, situations out to the planner; its plans in, commands out.

Three times are kept apart. An observation has an *age*. A plan has a measured *latency* from the observation to its
use, of which the p95 over the last ones counts. An action takes effect after the declared *actuation delay*. A plan
begins at its observation, the actions that are committed until it can take effect are frozen into it, and it is read at
`now + actuation_delay`: the planner's rollout is where the robot will be.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any, final

from numpy import ndarray

from ..engine.contract import Contract
from ..engine.embedding import Embed, no_embedding
from ..engine.interface import ModelReflex
from ..log.frame_ring import FrameRing
from ..log.journal import Journal
from ..worker.validator import Validator
from ..worker.workers import Worker
from .chain import Chain, Situation
from .command import Command
from .completion import Completion
from .events import Events
from .fallback import Fallback
from .frozen import FrozenPictures
from .guards import ObservationGuard, late_sensors
from .limiter import Limiter, OutputGuard
from .link import PlannerLink
from .settings import Loop
from .status import Reason, Source
from .window import Commanded, Observed

STANDSTILL = 100  # consecutive commands without progress of the clock, after which it counts as stopped


@final
class ControlCycle:
    """Advances one step per call, on the clock that it is given. It has no lock and no thread, and never waits.

    Args:
      worker: plans.
      contract: of the planner.
      loop: declaration of the robot's side.
      fallback: how faults are answered.
      weights: of the costs, in the contract's order.
      seed: of the first episodes.
      journal: takes log lines, without blocking.
      validator: checks the reflex and a held action, as the planner's side checks plans; resolved.
      model_reflex: the model's own policy, where the fallback requests it.
      embed: turns a moment into a row [E] where a sensor is not a vector.
      means: mean picture of the training data by sensor, to judge the order of channels.
      frames: keeps the pictures that were accepted; None: they are not kept.
      completion: imagines what missing sensors would read; None: they are faults.

    Raises:
      ValueError: a brake, a limit or a range that does not fit actuators or sensors.
    """

    def __init__(
        self,
        worker: Worker,
        contract: Contract,
        loop: Loop,
        fallback: Fallback,
        weights: ndarray,
        seed: int,
        journal: Journal,
        validator: Validator,
        model_reflex: ModelReflex | None = None,
        embed: Embed = no_embedding,
        means: Mapping[str, ndarray] | None = None,
        frames: FrameRing | None = None,
        completion: Completion | None = None,
    ):
        self._embed, self._frames, self.completion = embed, frames, completion
        self._worker, self._contract, self._loop = worker, contract, loop
        self._period = period = contract.control_period
        self._delay = loop.actuation_delay if loop.compensate else 0.0
        self._oldest = 3 * period if loop.max_observation_age is None else loop.max_observation_age
        every = contract.replan_every * period if loop.replan_period is None else loop.replan_period
        self._late_after = every + 3 * period if loop.late_after is None else loop.late_after
        self.link = PlannerLink(worker, contract, loop, weights, seed)
        self.chain = Chain(fallback, contract, journal, validator, model_reflex)
        self.plausible = contract.range_with(loop.observation_low, loop.observation_high)
        frozen = None if loop.frozen_after is None else FrozenPictures(contract, loop.frozen_after)
        guarded = contract.observation, self.plausible, loop.stuck_after, frozen, means
        self._guard = ObservationGuard(*guarded, tolerant=completion is not None)
        limits = (contract.low, contract.high, loop.rate_limit, contract.rest_action, period)
        self._limiter, self._output = Limiter(*limits, loop.acceleration_limit), OutputGuard(*limits)
        self.events, self._journal = Events(journal), journal
        self.running = False
        self.command: Command | None = None  # the last one
        rows = contract.history + contract.action_block
        self.observed = Observed(period, contract.observation, rows)
        self._commanded = Commanded(self._limiter.previous)
        self._observation_fault = Reason.OK
        self._previous_now: float | None = None
        self._standing, self._monotonic = 0, time.monotonic()  # commands without progress of the clock; a second clock

    def start(self, previous: ndarray | None) -> None:
        """Begin to act, from `previous` [A], what the actuators do now; None: from what was sent last."""
        if not self.running:  # otherwise another start would buy a hold or a reflex more time
            self.running = True
            self.chain.start()
            self._forget()  # plans of an earlier start no longer count
        self._restart(previous)

    def stop(self) -> None:
        """Send the brake from here on."""
        self.running = False

    def reset(self, goal: ndarray, seed: int | None, previous: ndarray | None) -> None:
        """Start an episode towards `goal` [O], from `previous` [A] as `start` does."""
        self._forget()
        self.link.begin(goal, seed)
        self._restart(previous)

    def redirect(self, goal: ndarray) -> None:
        """Set another goal [O] in the same episode; the first goal begins one."""
        if self.link.goal is None:
            self.reset(goal, None, None)
        else:
            self.link.redirect(goal)

    def notify(self, observation: Any, stamp: float, now: float, stamps: Mapping[str, float] | None = None) -> Reason:
        """Take in an observation, or refuse it; returns the fault, or `OK`.

        Args:
          observation: as it came.
          stamp: its time, seconds on the loop's clock.
          now: likewise.
          stamps: of sensors that were read earlier than `stamp`, by name.
        """
        reading, fault = self._guard.check(observation, stamp, self._limiter.previous)
        sentence = self._guard.sentence
        if reading is not None and not self._in_order(stamp, now):
            reading, fault = None, Reason.OUT_OF_ORDER_OBSERVATION
            sentence = "the observation's time stamp is not after that of the one before, or lies in the future"
        elif reading is not None and (late := late_sensors(reading, stamp, now, self._oldest, stamps or {})):
            if self.completion is None:
                reading, fault, sentence = None, Reason.STALE_OBSERVATION, next(iter(late.values())).sentence
            else:
                reading = reading.without(late, self._contract.observation)
        row, frame = None, None
        if reading is not None:
            frame = None if self._frames is None else self._frames.add(reading.others, stamp)
            row = self._embed(reading.others, reading.row) if reading.others else reading.row
            if self.completion is not None:
                before = stamp, self.observed, self._commanded
                row, fault, sentence = self.completion.complete(row, reading.missing, *before)
        if fault and fault != self._observation_fault:
            self._journal.write(logging.WARNING, "%s", sentence)
        self._observation_fault = fault
        if row is not None:
            self.observed.add(stamp, row, frame)
            if self.running and self.link.due(stamp):
                self.link.send(self.observed, self._commanded, self._delay, now)
        return fault

    def act(self, now: float) -> Command:
        """Return the current command. If anything raises on the way, it is a step towards the brake."""
        now, elapsed, backwards = self._tick(now)
        try:
            source, requested, wrong = self._choose(now, backwards)
            action, guards = self._limiter.limit(requested, elapsed)
        except Exception as error:
            self._journal.write(logging.ERROR, "the control loop raised, and brakes: %s", error)
            source, action, wrong, guards = Source.BRAKE, self._brake(), (Reason.LOOP_ERROR,), ()
        return self._send(now, elapsed, action, source, wrong, guards)

    def _choose(self, now: float, backwards: bool) -> tuple[Source, ndarray, tuple[Reason, ...]]:
        """Return the source of the action, the action [A] before any limit, and all faults."""
        if backwards:  # everything with an old stamp is dropped
            self._forget()
            self._commanded.clear()
        self.link.receive(now)
        wrong = self._faults(now, backwards)
        source, requested = self.chain.answer(wrong, self._situation(now))
        if self.chain.reflex_refused:
            wrong = _most_serious_first((*wrong, Reason.REFLEX_REFUSED))
        return source, requested, wrong

    def _tick(self, now: float) -> tuple[float, float, bool]:
        """Return the time, the seconds in which a command may have changed since the last, and whether time went back.

        The true elapsed time is unknown for a clock that went back: no change is allowed, and a period counts
        against holding. A clock that makes no progress for long is replaced by the system's own.
        """
        previous, second = self._previous_now, time.monotonic()
        elapsed = self._period if previous is None else now - previous
        backwards = elapsed < 0 or not math.isfinite(elapsed)
        if not math.isfinite(now):
            now = 0.0 if previous is None else previous
        since, self._monotonic = second - self._monotonic, second
        self._previous_now, self._standing = now, self._standing + 1 if backwards or elapsed == 0 else 0
        if self._standing >= STANDSTILL:
            elapsed = min(since, self._period)
        elif backwards:
            elapsed = 0.0
        self.chain.pass_time(self._period if backwards or self._standing >= STANDSTILL else elapsed)
        return now, elapsed, backwards

    def _send(
        self,
        now: float,
        elapsed: float,
        action: ndarray,
        source: Source,
        wrong: tuple[Reason, ...],
        guards: tuple[str, ...],
    ) -> Command:
        """Return the command to send, once it satisfies the output invariant."""
        sent, safe = self._output.check(action, self._brake, elapsed)
        if not safe:
            source, wrong = Source.BRAKE, _most_serious_first((*wrong, Reason.UNSAFE_OUTPUT))
            self._limiter.restart(sent)
        self._commanded.add(now, sent)
        events = self.events.update(wrong, now)
        reason = wrong[0] if wrong else Reason.OK
        filled = {} if self.completion is None else self.completion.trust
        self.command = Command(now, sent, source, reason, wrong, guards, events, self.link.plan, filled)
        return self.command

    def _brake(self) -> ndarray:
        """Return the declared brake [A]."""
        return self.chain.brake_action(self.observed.newest if len(self.observed) else None)

    def _situation(self, now: float) -> Situation:
        """Return the inputs of the fallback chain."""
        fresh = len(self.observed) and now - self.observed.stamp <= self._oldest
        return Situation(
            moment=now + self._delay,
            plan=self.link.plan,
            recent=self.observed.window(self._contract.history)[0] if fresh else None,
            newest=self.observed.newest if len(self.observed) else None,
            goal=self.link.goal,
            previous=None if self.command is None else self._limiter.previous,
        )

    def _faults(self, now: float, backwards: bool) -> tuple[Reason, ...]:
        """Return all faults, most serious first."""
        wrong = []
        if not self.running:
            wrong.append(Reason.STOPPED)
        if self.chain.latched is not None:
            wrong.append(Reason.LATCHED)
        if backwards:
            wrong.append(Reason.CLOCK_BACKWARDS)
        if self._standing >= STANDSTILL:
            wrong.append(Reason.CLOCK_STOPPED)
        if not len(self.observed):
            wrong.append(Reason.MISSING_OBSERVATION)
        elif now - self.observed.stamp > self._oldest:
            wrong.append(Reason.STALE_OBSERVATION)
        plan = self.link.plan
        if plan is None or not plan.valid(now + self._delay):
            wrong.append(Reason.NO_PLAN)
        elif now - plan.stamp > self._late_after:
            wrong.append(Reason.LATE)
        if self.link.surprised:
            wrong.append(Reason.SURPRISED)
        if self._worker.failure is not None:
            wrong.append(Reason.PLANNER_FAILED)
        elif self.running and self._worker.dead():
            wrong.append(Reason.PLANNER_DEAD)
        return _most_serious_first([*wrong, *(fault for fault in (self._observation_fault, self.link.fault) if fault)])

    def _in_order(self, stamp: float, now: float) -> bool:
        """Whether a stamp is a time later than the one before, and not in the future."""
        early = len(self.observed) and stamp <= self.observed.stamp
        return math.isfinite(stamp) and not early and stamp <= now + 0.5 * self._period

    def _restart(self, previous: ndarray | None) -> None:
        """Continue from what the actuators do now, [A], where it is known."""
        if previous is not None:
            self._limiter.restart(previous)
            self._output.restart(self._limiter.previous)
            self._commanded.restart(self._limiter.previous)

    def _forget(self) -> None:
        """Forget the last episode, but neither what was sent last nor how long ago."""
        self.observed.clear()
        if self.completion is not None:
            self.completion.forget()
        self._observation_fault = Reason.OK
        self.link.forget()


def _most_serious_first(wrong: Iterable[Reason]) -> tuple[Reason, ...]:
    return tuple(sorted(wrong, key=lambda reason: reason.severity, reverse=True))
