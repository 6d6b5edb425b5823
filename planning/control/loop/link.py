"""The loop's link to its planner: situations out, plans in, and which plans count."""

from __future__ import annotations

import math
from collections import deque
from typing import Any, final

import numpy as np
from numpy import ndarray

from ...types import Status
from ..engine.anytime import Timings
from ..engine.contract import Contract
from ..worker.messages import PublishedPlan, plan_type, request_type
from ..worker.workers import Worker
from .settings import Loop
from .status import Reason
from .window import Commanded, Observed


@final
class PlannerLink:
    """Sends situations to a worker, and keeps the newest sound plan of the current episode.

    Args:
      worker: plans.
      contract: of the planner.
      loop: declaration of the robot's side.
      weights: [J] of the costs, in the contract's order.
      seed: of the first episodes.
    """

    def __init__(self, worker: Worker, contract: Contract, loop: Loop, weights: ndarray, seed: int):
        self._worker, self._contract, self._loop = worker, contract, loop
        self._period = contract.control_period
        every = contract.replan_every * self._period if loop.replan_period is None else loop.replan_period
        self._replan_after = every - 0.5 * min(every, self._period)  # stamps jitter
        self._request_type, self._plan_type = request_type(contract), plan_type(contract)
        self._playback = contract.parameterization()
        self.weights, self._seed, self._episode, self._epoch = weights, seed, -1, 0
        self.goal: ndarray | None = None  # [O]
        self.latencies = Timings(0.95, 64)
        self.plan: PublishedPlan | None = None  # the newest sound plan of this episode
        self.last_record: Any = None  # the planner's latest record, sound or not
        self.fault = Reason.OK  # of its newest plan
        self.surprised = False
        self._number = self._newest = 0  # of the situation sent last, and of the newest plan
        self._sent_stamp: float | None = None  # stamp of the newest observation that was sent
        self._sent: deque[tuple[int, float]] = deque(maxlen=256)  # numbers of situations, and when they were sent

    def begin(self, goal: ndarray, seed: int | None) -> None:
        """Start an episode towards `goal` [O]: plans of the one before do not count."""
        if seed is not None:
            self._seed, self._episode = seed, -1
        self.goal, self._episode, self._epoch = goal, self._episode + 1, self._epoch + 1
        self.forget()

    def redirect(self, goal: ndarray) -> None:
        """Set another goal [O]: the current plan counts until the first one towards it arrives."""
        self.goal, self._epoch, self._sent_stamp = goal, self._epoch + 1, None

    def forget(self) -> None:
        """Drop all plans."""
        self._epoch += 1
        self.plan = self.last_record = self._sent_stamp = None
        self.fault, self.surprised = Reason.OK, False
        self._newest = self._number
        self._sent.clear()

    def due(self, stamp: float) -> bool:
        """Whether an observation of this stamp is due to be sent."""
        return self.goal is not None and (self._sent_stamp is None or stamp - self._sent_stamp >= self._replan_after)

    def receive(self, now: float) -> None:
        """Take the newest plan, if there is one: for this episode, newer than the last, and sound."""
        message = self._worker.receive(now)
        if message is None:
            return
        plan = PublishedPlan.of(message, self._plan_type, self._contract, self._playback)
        while self._sent and self._sent[0][0] <= plan.sequence:
            number, sent = self._sent.popleft()
            if number == plan.sequence:
                self.latencies.add(now - sent)
        if plan.epoch != self._epoch or plan.sequence <= self._newest:
            return
        self._newest, self.last_record = plan.sequence, plan.record
        self.surprised = bool(plan.record["surprised"])
        sound = np.isfinite(plan.actions).all() and math.isfinite(plan.stamp) and math.isfinite(plan.valid_until)
        if plan.verdict == Status.FAILED or not sound:
            self.fault = Reason.NONFINITE_PLAN
        elif plan.verdict == Status.INFEASIBLE:
            self.fault = Reason.INFEASIBLE
        else:
            self.fault, self.plan = Reason.OK, plan

    def send(self, observed: Observed, commanded: Commanded, delay: float, now: float) -> None:
        """Send the situation to the planner.

        Args:
          observed: the last observations; the plan begins at the newest.
          commanded: the last actions.
          delay: seconds from handing out an action to its effect, as far as it is compensated.
          now: seconds on the loop's clock.
        """
        contract, period, stamp = self._contract, self._period, observed.stamp
        self._number += 1
        window, known = observed.window(contract.history + contract.action_block)
        middles = stamp + period * (np.arange(-contract.action_block, contract.horizon) + 0.5)
        actions = commanded.at(middles - self._loop.actuation_delay)
        executed, committed = actions[: contract.action_block], actions[contract.action_block :]
        lead = (now - stamp) + self.latencies.expected() + delay if self._loop.compensate else 0.0
        frozen = min(math.ceil(lead / period - 1e-6), contract.horizon - contract.action_block)
        if frozen > 0:
            committed = self._committed(stamp, frozen, committed, commanded.moment)
        request = np.zeros((), self._request_type)
        for name, value in {
            "number": self._number,
            "epoch": self._epoch,
            "seed": self._seed,
            "episode": self._episode,
            "stamp": stamp,
            "goal": self.goal,
            "window": window,
            "known": known,
            "frames": observed.frames(len(window)),
            "executed": executed,
            "committed": committed,
            "frozen": max(frozen, 0),
            "weights": self.weights,
        }.items():
            request[name] = value
        self._sent.append((self._number, now))
        self._sent_stamp = stamp
        self._worker.send(request.tobytes(), now)

    def _committed(self, stamp: float, frozen: int, past: ndarray, newest: float) -> ndarray:
        """Return the actions [T, A] in force in the first `frozen` steps from `stamp`: sent commands, then the plan."""
        actions, plan = past.copy(), self.plan
        out_until = newest + self._loop.actuation_delay
        for step in range(frozen):
            moment = stamp + step * self._period
            if moment + 0.5 * self._period > out_until and plan is not None and plan.valid(moment):
                actions[step] = np.clip(plan.at(moment), self._contract.low, self._contract.high)
        return actions
