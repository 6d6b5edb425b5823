"""The planner's side of the loop: one situation in, one published plan out, and a log line that replays it.

It runs in a thread, in a separate process, or inline. It uses no time but the stamps that it is given
and the duration of its own work, so that a loop on a virtual clock plans exactly as one on the wall clock.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, final

import jax
import numpy as np
from numpy import ndarray

from ...types import Status
from ..engine.anytime import Timings
from ..engine.interface import Engine, take_in
from .messages import plan_type, request_type
from .plan_log import plan_line
from .settings import Log, Planning
from .surprise import Prediction, SurpriseMonitor

KEPT = 64  # latents and imagined positions of the last plans


@final
class PlanningCycle:
    """Answers situations with plans, one after the other.

    Args:
      engine: plans.
      planning: how.
      log: takes a dictionary for each plan.
      clock: seconds, for durations only.
    """

    def __init__(
        self,
        engine: Engine,
        planning: Planning,
        log: Log | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ):
        contract = engine.contract
        self._engine, self._contract, self._clock = engine, contract, clock
        self._planning = replace(planning, validator=planning.validator.resolved())
        self._log = log if planning.log else None
        self._deadline = planning.deadline or contract.control_period
        horizon = contract.horizon * contract.control_period
        needed = (contract.replan_every + 4) * contract.control_period
        self._validity = min(planning.validity or max(horizon / 2, needed), horizon)
        self._limit = planning.iterations or contract.iterations
        self._request_type, self._plan_type = request_type(contract), plan_type(contract)
        self._refining, self._finishing = Timings(0.95, 64), Timings(0.95, 64)
        self._monitor = None if planning.surprise is None else SurpriseMonitor(planning.surprise)
        self._idle = np.broadcast_to(contract.rest_action, (contract.action_block, contract.action_size)).astype(
            np.float32
        )
        self._weights = np.asarray([engine.weights[name] for name in contract.terms], np.float32)
        self._epoch, self._state, self._sequence = -1, None, 0
        self._stamp, self._window = 0.0, np.zeros(0, np.float32)
        self._aligned = 0.0  # start of the state's plan, in whole control periods
        self._roots: deque[tuple[float, ndarray]] = deque(maxlen=KEPT)
        self._predicted: deque[tuple[float, ndarray]] = deque(maxlen=KEPT)

    def warmup(self) -> None:
        """Compile everything that an answer needs. Earlier plans are forgotten."""
        self._engine.warmup()
        contract, request = self._contract, np.zeros((), self._request_type)
        request["known"], request["weights"] = contract.history, self._weights
        log, self._log = self._log, None
        for number in range(contract.action_block + 2):
            request["number"], request["stamp"] = number, number * contract.control_period
            request["known"], request["epoch"] = contract.history + number, 0
            self.answer(request.tobytes())
        self._log, self._epoch, self._state, self._sequence = log, -1, None, 0
        self._refining, self._finishing = Timings(0.95, 64), Timings(0.95, 64)

    def answer(self, message: bytes) -> bytes | None:
        """Answer a message of `request_type` with one of `plan_type`; None where it requests nothing new."""
        began = self._clock()
        request = np.frombuffer(message, self._request_type)[0]
        epoch, stamp, window = int(request["epoch"]), float(request["stamp"]), request["window"]
        fresh = epoch != self._epoch or self._state is None
        if not fresh and stamp <= self._stamp:
            return None
        weights = request["weights"]
        if not np.array_equal(weights, self._weights):
            self._engine.weights = dict(zip(self._contract.terms, weights.tolist(), strict=True))
            self._weights = weights.copy()
        steps, rows = self._catch_up(request, fresh)
        # What was sent may be another action than the plan's: the limiter, the fallback chain or an earlier plan's.
        previous, frozen = request["executed"][-1], int(request["frozen"])
        state = self._engine.with_previous(self._state, previous)
        state = self._engine.freeze(state, request["committed"], frozen)
        state, iterations = self._refine(state, began)
        finishing = self._clock()
        plan = self._engine.plan(state)
        record = np.zeros((), self._plan_type)
        self._judge(record, state, plan)
        self._compare(record, request, state)
        self._epoch, self._stamp, self._window, self._state = epoch, stamp, window.copy(), state
        follows, self._sequence = None if fresh else self._sequence, int(request["number"])
        for name, value in {
            "sequence": self._sequence,
            "epoch": epoch,
            "stamp": stamp,
            "valid_until": stamp + self._validity,
            "iterations": iterations,
            "frozen": frozen,
            "spread": plan.spread,
        }.items():
            record[name] = value
        now = self._clock()
        self._finishing.add(now - finishing)
        record["compute"], record["missed"] = now - began, now - began > self._deadline
        if self._log is not None:
            self._log(plan_line(request, record, plan, self._weights, follows, steps, rows))
        if not np.isfinite(record["actions"]).all():
            self._state = None  # the next answer starts afresh after any error
        return record.tobytes()

    def _catch_up(self, request: Any, fresh: bool) -> tuple[int, ndarray]:
        """Bring the state to the request's observation; returns the count of actions taken, and which rows were new."""
        contract, window, stamp = self._contract, request["window"], float(request["stamp"])
        latest = window[-contract.history :]
        if fresh:
            self._state = self._engine.begin(request["goal"], int(request["seed"]), int(request["episode"]))
            self._roots.clear()
            self._predicted.clear()
            if self._monitor is not None:
                self._monitor.reset()
            steps, rows = 0, latest[-max(1, min(int(request["known"]), contract.history)) :]
            self._aligned = stamp
        else:
            elapsed = round((stamp - self._aligned) / contract.control_period)
            self._aligned += elapsed * contract.control_period
            steps = min(max(elapsed, 0), contract.horizon)
            follows = elapsed == 1 and np.array_equal(window[:-1], self._window[1:])
            rows = latest[-1:] if follows else latest
        state = self._state
        for _ in range(steps):
            _, state = self._engine.commit(state)
        self._state = take_in(self._engine, state, rows)
        return steps, rows

    def _refine(self, state: Any, began: float) -> tuple[Any, int]:
        """Refine the plan for as many iterations as fit the deadline, at least one."""
        made = 0
        while made < self._limit:
            expected = self._refining.expected() + self._finishing.expected()
            if made and self._clock() - began + expected > self._deadline:
                break
            start = self._clock()
            state = jax.block_until_ready(self._engine.refine(state))
            self._refining.add(self._clock() - start)
            made += 1
        return state, made

    def _judge(self, record: Any, state: Any, plan: Any) -> None:
        """Choose which of the best sequences is published, if any."""
        contract, validator = self._contract, self._planning.validator
        record["actions"], record["cost"], rank = plan.actions, plan.cost, 0
        record["terms"] = [plan.terms[name] for name in contract.terms]
        record["margins"] = [plan.margins[name] for name in contract.margins]
        if int(plan.status) == Status.FAILED or not np.isfinite(plan.actions).all():
            record["verdict"], record["rank"] = Status.FAILED, -1
            return
        if contract.margins or validator.checks:
            evaluation = self._engine.evaluate(state, plan.sequences)
            costs = np.where(np.isfinite(plan.costs), evaluation.cost, np.inf)
            margins = {name: np.asarray(margin) for name, margin in evaluation.margins.items()}
            found, _ = validator.first(plan.sequences, costs, margins)
            if found is None:
                record["verdict"], record["rank"] = Status.INFEASIBLE, -1
                return
            rank = found
            record["actions"], record["cost"] = plan.sequences[rank], evaluation.cost[rank]
            record["terms"] = [evaluation.terms[name][rank] for name in contract.terms]
            record["margins"] = [evaluation.margins[name][rank] for name in contract.margins]
        record["verdict"], record["rank"] = Status.OK, rank

    def _compare(self, record: Any, request: Any, state: Any) -> None:
        """Compare the predictions for now, by the model and by the last plans, with the observation."""
        contract, planning = self._contract, self._planning
        record["surprise"] = record["disagreement"] = record["prediction_error"] = np.nan
        stamp, span = float(request["stamp"]), contract.action_block * contract.control_period
        if self._monitor is not None:
            root = self._engine.root(state)
            before = self._near(self._roots, stamp - span)
            if before is None and int(request["known"]) > contract.action_block:
                before = self._root_of(request["window"][: contract.history], state)
            self._roots.append((stamp, root))
            if before is not None:
                predicted = self._engine.predict(before, request["executed"])
                idle = self._engine.predict(before, self._idle)
                record["surprise"] = self._monitor.add(Prediction(root, predicted, idle, before))
                record["surprised"] = not record["surprise"] <= self._monitor.surprise.threshold
        if planning.most_disagreement is not None:
            disagreement = self._engine.disagreement(state)
            if disagreement is not None:
                record["disagreement"] = disagreement.max()
                record["surprised"] |= not record["disagreement"] <= planning.most_disagreement
        if planning.imagine:
            root = self._engine.root(state)
            seen = root if (decoded := self._engine.probe(root)) is None else decoded
            expected = self._near(self._predicted, stamp)
            if expected is not None:
                record["prediction_error"] = np.linalg.norm(expected - seen)
            record["imagined"] = prediction = self._engine.imagined(state)
            self._predicted.append((stamp + span, prediction[0]))
        else:
            record["imagined"] = np.nan

    def _near(self, known: deque[tuple[float, ndarray]], moment: float) -> ndarray | None:
        """Return the entry kept for a moment, within a quarter of a control period."""
        for stamp, value in reversed(known):
            if abs(stamp - moment) < 0.25 * self._contract.control_period:
                return value
        return None

    def _root_of(self, window: ndarray, state: Any) -> ndarray:
        """Return the latent of earlier observations [P, O]; the state does not change."""
        return self._engine.root(take_in(self._engine, state, window))
