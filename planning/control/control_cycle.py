"""The robot's side of the loop: observations in, situations out to the planner; its plans in, commands out.

Three times are kept apart. An observation has an *age*; a plan takes its *latency* from the observation to its use,
measured, of which a p95 over the last ones counts; an action takes effect after the *actuation delay*, declared. A plan
begins at its observation, the actions that are committed until it can take effect are frozen into it, and it is read at
`now + actuation_delay`: what the planner imagines is where the robot will be.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, final

import numpy as np
from numpy import ndarray

from ..anytime import Timings
from .command import Command
from .contract import Contract
from .fallback import Chain, Fallback, ModelReflex
from .guards import Events, Limiter, ObservationGuard
from .loop import Loop
from .messages import PublishedPlan, Verdict, plan_type, request_type
from .status import Reason
from .window import Commanded, Observed
from .workers import Worker


@final
class ControlCycle:
    """One step after the other, on a clock that it is told. It has no lock and no thread, and waits for nobody.

    Args:
      worker: plans.
      contract: of the planner.
      loop: what the robot's side declares.
      fallback: how faults are answered.
      weights: of the costs, in the contract's order.
      seed: of the first episodes.
      model_reflex: the policy that the model brings along, where the fallback asks for it.

    Raises:
      ValueError: a brake or a rate limit that does not fit the actuators.
    """

    def __init__(
        self,
        worker: Worker,
        contract: Contract,
        loop: Loop,
        fallback: Fallback,
        weights: ndarray,
        seed: int,
        model_reflex: ModelReflex | None = None,
    ):
        self._worker, self._contract, self._loop = worker, contract, loop
        self._period = period = contract.control_period
        self._delay = loop.actuation_delay if loop.compensate else 0.0
        self._oldest = 3 * period if loop.max_observation_age is None else loop.max_observation_age
        every = contract.replan_every * period if loop.replan_period is None else loop.replan_period
        self._replan_after = every - 0.5 * min(every, period)  # stamps jitter
        self._late_after = every + 3 * period if loop.late_after is None else loop.late_after
        self._chain = Chain(fallback, contract, model_reflex)
        self._guard = ObservationGuard(
            contract.observation_size, loop.observation_low, loop.observation_high, loop.stuck_after
        )
        self._limiter = Limiter(contract.low, contract.high, loop.rate_limit, self._chain.brake, period)
        self._request_type, self._plan_type = request_type(contract), plan_type(contract)
        self._playback = contract.parameterization()
        self.weights, self._seed, self._episode, self._epoch = weights, seed, -1, 0
        self.goal: ndarray | None = None  # [O]
        self.events = Events()
        self.latencies = Timings(0.95, 64)
        self._number = 0
        self._previous_now: float | None = None
        self.command: Command | None = None  # the last one
        self.observed, self._commanded = Observed(period), Commanded(self._limiter.previous)
        self.plan: PublishedPlan | None = None  # the newest sound plan of this episode
        self.last_record: Any = None  # what the planner said last, sound or not
        self._asked: float | None = None  # the stamp of the newest observation that was sent
        self._sent: deque[tuple[int, float]] = deque(maxlen=256)  # numbers of situations, and when they were sent
        self._newest = 0
        self._forget()

    def reset(self, goal: ndarray, seed: int | None) -> None:
        """Start an episode towards `goal` [O]."""
        if seed is not None:
            self._seed, self._episode = seed, -1
        self.goal, self._episode, self._epoch = goal, self._episode + 1, self._epoch + 1
        self._forget()

    def redirect(self, goal: ndarray) -> None:
        """Another goal [O] in the same episode."""
        self.goal, self._epoch, self._asked = goal, self._epoch + 1, None

    def notify(self, observation: Any, stamp: float, now: float) -> Reason:
        """Take in an observation, or refuse it; what was wrong."""
        values, fault = self._guard.check(observation)
        if values is not None and not self._in_order(stamp, now):
            values, fault = None, Reason.OUT_OF_ORDER_OBSERVATION
        self._observation_fault = fault
        if values is not None:
            self.observed.add(stamp, values)
            due = self._asked is None or stamp - self._asked >= self._replan_after
            if self.goal is not None and due:
                self._ask(stamp, now)
        return fault

    def act(self, now: float) -> Command:
        """The command of this moment."""
        previous, backwards = self._previous_now, False
        elapsed = self._period if previous is None else now - previous
        if elapsed < 0 or not math.isfinite(now):
            backwards, elapsed, now = True, 0.0, now if math.isfinite(now) else previous or 0.0
            self._start_anew()
        self._previous_now = now
        message = self._worker.receive(now)
        if message is not None:
            self._take(message, now)
        moment = now + self._delay
        wrong = self._wrong(now, moment, backwards)
        fresh = len(self.observed) and now - self.observed.stamp <= self._oldest
        recent = self.observed.window(self._contract.history)[0] if fresh else None
        held = None if self.command is None else self._limiter.previous
        entry = self._chain.entry(wrong)
        source, wanted = self._chain.answer(entry, now, moment, self.plan, recent, self.goal, held)
        action, guards = self._limiter.limit(wanted, elapsed)
        self._commanded.add(now, action)
        events = self.events.update(wrong, now)
        reason = wrong[0] if wrong else Reason.OK
        self.command = Command(now, action, source, reason, wrong, guards, events, self.plan)
        return self.command

    def _wrong(self, now: float, moment: float, backwards: bool) -> tuple[Reason, ...]:
        """All that is wrong, most serious first."""
        wrong = []
        if backwards:
            wrong.append(Reason.CLOCK_BACKWARDS)
        if not len(self.observed):
            wrong.append(Reason.MISSING_OBSERVATION)
        elif now - self.observed.stamp > self._oldest:
            wrong.append(Reason.STALE_OBSERVATION)
        plan = self.plan
        if plan is None or not plan.valid(moment):
            wrong.append(Reason.NO_PLAN)
        elif now - plan.stamp > self._late_after:
            wrong.append(Reason.LATE)
        if self._surprised:
            wrong.append(Reason.SURPRISED)
        if self._worker.dead():
            wrong.append(Reason.PLANNER_DEAD)
        wrong += [fault for fault in (self._observation_fault, self._plan_fault) if fault]
        return tuple(sorted(wrong, reverse=True))

    def _take(self, message: bytes, now: float) -> None:
        """A plan has come: is it for this episode, newer, and sound?"""
        plan = PublishedPlan.of(message, self._plan_type, self._contract, self._playback)
        while self._sent and self._sent[0][0] <= plan.sequence:
            number, sent = self._sent.popleft()
            if number == plan.sequence:
                self.latencies.add(now - sent)
        if plan.epoch != self._epoch or plan.sequence <= self._newest:
            return
        self._newest, self.last_record = plan.sequence, plan.record
        self._surprised = bool(plan.record["surprised"])
        sound = np.isfinite(plan.actions).all() and math.isfinite(plan.stamp) and math.isfinite(plan.valid_until)
        if plan.verdict == Verdict.FAILED or not sound:
            self._plan_fault = Reason.NONFINITE_PLAN
        elif plan.verdict == Verdict.INFEASIBLE:
            self._plan_fault = Reason.INFEASIBLE
        else:
            self._plan_fault, self.plan = Reason.OK, plan

    def _ask(self, stamp: float, now: float) -> None:
        """Send the situation to the planner."""
        contract, period = self._contract, self._period
        self._number += 1
        request = np.zeros((), self._request_type)
        window, known = self.observed.window(contract.history + contract.action_block)
        middles = stamp + period * (np.arange(-contract.action_block, contract.horizon) + 0.5)
        actions = self._commanded.at(middles - self._loop.actuation_delay)
        executed, committed = actions[: contract.action_block], actions[contract.action_block :]
        lead = (now - stamp) + self.latencies.expected() + self._delay if self._loop.compensate else 0.0
        frozen = min(math.ceil(lead / period - 1e-6), contract.horizon - contract.action_block)
        if frozen > 0:
            committed = self._committed(stamp, frozen, committed)
        for name, value in {
            "number": self._number,
            "epoch": self._epoch,
            "seed": self._seed,
            "episode": self._episode,
            "stamp": stamp,
            "goal": self.goal,
            "window": window,
            "known": known,
            "executed": executed,
            "committed": committed,
            "frozen": max(frozen, 0),
            "weights": self.weights,
        }.items():
            request[name] = value
        self._sent.append((self._number, now))
        self._asked = stamp
        self._worker.send(request.tobytes(), now)

    def _committed(self, stamp: float, frozen: int, past: ndarray) -> ndarray:
        """[T, A]: what is in force in the first `frozen` steps from `stamp`: commands that are out, then the plan."""
        actions, plan = past.copy(), self.plan
        out_until = self._commanded.moment + self._loop.actuation_delay
        for step in range(frozen):
            moment = stamp + step * self._period
            if moment + 0.5 * self._period > out_until and plan is not None and plan.valid(moment):
                actions[step] = np.clip(plan.at(moment), self._contract.low, self._contract.high)
        return actions

    def _in_order(self, stamp: float, now: float) -> bool:
        """Whether a stamp is a time later than the one before, and not in the future."""
        early = len(self.observed) and stamp <= self.observed.stamp
        return math.isfinite(stamp) and not early and stamp <= now + 0.5 * self._period

    def _forget(self) -> None:
        """Nothing is known of the episode that begins."""
        self.observed.clear()
        self._observation_fault = self._plan_fault = Reason.OK
        self._surprised = False
        self.plan = self.last_record = self._asked = None
        self._chain.forget()
        self._newest = self._number
        self._sent.clear()

    def _start_anew(self) -> None:
        """The clock went back: whatever bears a stamp of the old time is gone."""
        self._epoch += 1
        self._forget()
        self._commanded.clear()
