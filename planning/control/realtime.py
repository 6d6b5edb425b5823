"""The robot's side of the loop: observations in, actions out at any rate, and a planner that may be late or dead.

Three times are kept apart. An observation has an *age*; a plan takes its *latency* from the observation to its use,
measured, of which a p95 over the last ones counts; an action takes effect after the *actuation delay*, declared. A plan
begins at its observation, the actions that are committed until it can take effect are frozen into it, and it is read at
`now + actuation_delay`: what the planner imagines is where the robot will be.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy import ndarray

from ..anytime import Timings
from .cycle import Planning
from .engine import Engine
from .fallback import Fallback
from .guards import Events, Limiter, ObservationGuard
from .messages import PublishedPlan, Verdict, plan_type, request_type
from .status import Reason, Source
from .telemetry import PlanReport, Telemetry
from .window import Commanded, Observed
from .workers import InlineWorker, Log, ProcessWorker, Recipe, ThreadWorker, Worker, make_engine

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loop:
    """What the robot's side declares. Times in seconds; None: a default that is told.

    Raises:
      ValueError: a time that is negative.
    """

    actuation_delay: float = 0.0  # from handing out an action to its effect
    compensate: bool = True  # roll the model through what is committed, and read plans at the moment of effect
    replan_period: float | None = None  # between two plans; None: the contract's `replan_every` control periods
    rate_limit: float | tuple[float, ...] | None = None  # of each action, units a second; None: any step
    max_observation_age: float | None = None  # None: 3 control periods
    late_after: float | None = None  # age at which a plan should have been followed; None: 3 periods beyond replanning
    observation_low: tuple[float, ...] | None = None  # [O] what a sensor can read
    observation_high: tuple[float, ...] | None = None
    stuck_after: int | None = None  # so many equal observations are a stuck sensor; None: any number may be
    latency: float | Callable[[], float] = 0.0  # of an inline planner, on the loop's clock

    def __post_init__(self) -> None:
        for name in ("actuation_delay", "max_observation_age", "late_after", "replan_period"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"{name} must be a time; got {value}")


@dataclass(frozen=True)
class Command:
    """An action as it was handed out."""

    time: float
    action: ndarray  # [A]
    source: Source
    reason: Reason
    wrong: tuple[Reason, ...]  # all that was wrong, most serious first
    guards: tuple[str, ...]  # what changed the action: bounds, rate, nonfinite
    events: tuple[str, ...]  # what began (+) and ended (-)
    plan: PublishedPlan | None  # what is executed, or was last


@final
class RealtimeController:
    """A planner behind a control loop that never waits for it. Any thread may call any method.

    Args:
      planner: an engine (for `worker="thread"` and `"inline"`), a recipe, or the path of a bundle.
      loop: what the robot's side declares.
      planning: how the planner answers.
      fallback: how faults are answered.
      worker: where it plans: in a `process` or a `thread` of its own, or `inline`, on the caller's clock.
      seed: of the first episodes.
      telemetry: a log, or the path of one.
      clock: seconds; `time.monotonic` by default, and anything in a simulation.

    Raises:
      ValueError: the parts do not fit one another.
    """

    def __init__(
        self,
        planner: Engine | Recipe | str | Path,
        loop: Loop | None = None,
        planning: Planning | None = None,
        fallback: Fallback | None = None,
        worker: str = "process",
        seed: int = 0,
        telemetry: Telemetry | str | Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        loop, planning, fallback = loop or Loop(), planning or Planning(), fallback or Fallback()
        if isinstance(planner, str | Path):
            planner = Recipe.bundle(planner)
        if isinstance(planner, Recipe) and planning.surprise is None:
            planning = replace(planning, surprise=planner.surprise)
        self._telemetry = Telemetry(telemetry) if isinstance(telemetry, str | Path) else telemetry
        self._owns_telemetry = self._telemetry is not telemetry
        self._worker, self._contract, weights = _worker(planner, worker, planning, loop, self._log_plan)
        contract = self._contract
        self._loop, self._fallback, self._clock = loop, fallback, clock
        self._period = period = contract.control_period
        self._delay = loop.actuation_delay if loop.compensate else 0.0
        self._oldest = 3 * period if loop.max_observation_age is None else loop.max_observation_age
        every = contract.replan_every * period if loop.replan_period is None else loop.replan_period
        self._replan_after = every - 0.5 * min(every, period)  # stamps jitter
        self._late_after = every + 3 * period if loop.late_after is None else loop.late_after
        self._deadline = planning.deadline or period
        self._threshold = None if planning.surprise is None else planning.surprise.threshold
        self._brake = fallback.brake_action(contract)
        self._guard = ObservationGuard(
            contract.observation_size, loop.observation_low, loop.observation_high, loop.stuck_after
        )
        self._limiter = Limiter(contract.low, contract.high, loop.rate_limit, self._brake, period)
        self._request_type, self._plan_type = request_type(contract), plan_type(contract)
        self._playback = contract.parameterization()
        self._weights, self._seed, self._episode, self._epoch = weights, seed, -1, 0
        self._goal: ndarray | None = None
        self._lock = threading.Lock()
        self.events = Events()
        self._latencies = Timings(0.95, 64)
        self._number, self._step = 0, 0
        self._previous_now: float | None = None
        self._command: Command | None = None
        self._observed, self._commanded = Observed(period), Commanded(self._limiter.previous)
        self._current: PublishedPlan | None = None  # the newest sound plan of this episode
        self._last_record: Any = None  # what the planner said last, sound or not
        self._asked: float | None = None  # the stamp of the newest observation that was sent
        self._holding_since: float | None = None
        self._sent: deque[tuple[int, float]] = deque(maxlen=256)  # numbers of situations, and when they were sent
        self._newest = 0
        self._forget()
        if self._telemetry is not None:
            sha256 = planner.sha256 if isinstance(planner, Recipe) else None
            self._telemetry.header |= {"contract": contract.to_json(), "bundle_sha256": sha256}

    def start(self) -> None:
        """Start the planner; `ready` tells when it has compiled everything."""
        self._worker.start()
        if self._telemetry is not None:
            self._telemetry.start()

    def stop(self) -> None:
        """End the planner, and write what is to be logged."""
        self._worker.stop()
        if self._telemetry is not None and self._owns_telemetry:
            self._telemetry.close()

    def __enter__(self) -> RealtimeController:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def ready(self) -> bool:
        """Whether the planner can answer: nothing compiles from here on."""
        return self._worker.ready

    @property
    def failed(self) -> bool:
        """Whether the planner has given up; `failure` says why. Actions are handed out all the same."""
        return self._worker.failure is not None

    @property
    def failure(self) -> str | None:
        """Why the planner has given up."""
        return self._worker.failure

    @property
    def restarts(self) -> int:
        """How often the planner was started again."""
        return self._worker.restarts

    @property
    def worker(self) -> Worker:
        """Where it plans."""
        return self._worker

    @property
    def contract(self) -> Any:
        """The planner's contract."""
        return self._contract

    @property
    def command(self) -> Command | None:
        """The last action that was handed out, where it came from, and why."""
        return self._command

    @property
    def plan(self) -> PublishedPlan | None:
        """The plan that is executed while nothing is wrong."""
        return self._current

    @property
    def latency(self) -> float:
        """Seconds from an observation to the use of its plan: p95 of the last 64."""
        return self._latencies.expected()

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each cost. Others count from the next plan on."""
        return dict(zip(self._contract.terms, self._weights.tolist(), strict=True))

    @weights.setter
    def weights(self, weights: Mapping[str, float]) -> None:
        if set(weights) != set(self._contract.terms):
            raise ValueError(f"weights are {sorted(weights)}, and the costs are {list(self._contract.terms)}")
        values = np.asarray([weights[name] for name in self._contract.terms], np.float32)
        if not np.isfinite(values).all():
            raise ValueError(f"weights must be finite; got {dict(weights)}")
        with self._lock:
            self._weights = values

    def reset(self, goal: Any = None, seed: int | None = None) -> None:
        """Start an episode towards `goal` [O], an observation there. Plans that are still being made are discarded.

        Raises:
          ValueError: the goal has another shape or is not finite, or there has never been one. Nothing changes then.
        """
        goal = self._checked_goal(goal)
        with self._lock:
            if seed is not None:
                self._seed, self._episode = seed, -1
            self._goal, self._episode, self._epoch = goal, self._episode + 1, self._epoch + 1
            self._forget()

    def redirect(self, goal: Any) -> None:
        """Another goal in the same episode: the present plan is executed until the first one towards it is there.

        Raises:
          ValueError: the goal has another shape or is not finite. Nothing changes then.
        """
        goal = self._checked_goal(goal)
        with self._lock:
            self._goal, self._epoch, self._asked = goal, self._epoch + 1, None

    def notify_observation(self, observation: Any, stamp: float | None = None) -> Reason:
        """Take in what the sensors read at `stamp`, by default now; a bad one is refused. Returns what was wrong."""
        with self._lock:
            now = self._clock()
            stamp = now if stamp is None else float(stamp)
            values, fault = self._guard.check(observation)
            if values is not None and not self._in_order(stamp, now):
                values, fault = None, Reason.OUT_OF_ORDER_OBSERVATION
            self._observation_fault = fault
            if values is not None:
                self._observed.add(stamp, values)
                due = self._asked is None or stamp - self._asked >= self._replan_after
                if self._goal is not None and due:
                    self._ask(stamp, now)
            return fault

    def get_action(self, now: float | None = None) -> ndarray:
        """The action [A] to send now, float32, within the bounds and the rate limit. It never waits for the planner.

        `command` tells where it came from and why.
        """
        with self._lock:
            now = self._clock() if now is None else float(now)
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
            reason = wrong[0] if wrong else Reason.OK
            source, wanted = self._answer(self._entry(wrong), now, moment)
            action, guards = self._limiter.limit(wanted, elapsed)
            self._commanded.add(now, action)
            events = self.events.update(wrong, now)
            self._command = Command(now, action, source, reason, wrong, guards, events, self._current)
            self._step += 1
            if self._telemetry is not None:
                self._telemetry.write(self._report(self._command))
            return action.copy()

    def _wrong(self, now: float, moment: float, backwards: bool) -> tuple[Reason, ...]:
        """All that is wrong, most serious first."""
        wrong = []
        if backwards:
            wrong.append(Reason.CLOCK_BACKWARDS)
        if not len(self._observed):
            wrong.append(Reason.MISSING_OBSERVATION)
        elif now - self._observed.stamp > self._oldest:
            wrong.append(Reason.STALE_OBSERVATION)
        plan = self._current
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

    def _entry(self, wrong: tuple[Reason, ...]) -> Source:
        """The most cautious of what the faults are answered by."""
        return max((self._fallback.entry(reason) for reason in wrong), default=self._fallback.entry(Reason.OK))

    def _answer(self, entry: Source, now: float, moment: float) -> tuple[Source, ndarray]:
        """Down the chain from `entry` to the first that is available."""
        plan = self._current
        if entry <= Source.PREVIOUS_PLAN and plan is not None and plan.valid(moment):
            self._holding_since = None
            return entry, plan.at(moment)
        if entry <= Source.REFLEX and (reflex := self._reflex(now)) is not None:
            self._holding_since = None
            return Source.REFLEX, reflex
        if entry <= Source.HOLD:
            if self._holding_since is None:
                self._holding_since = now
            if now - self._holding_since < self._fallback.hold_seconds and self._command is not None:
                return Source.HOLD, self._limiter.previous
        return Source.BRAKE, self._brake

    def _reflex(self, now: float) -> ndarray | None:
        """What the reflex policy says to a good and recent observation; None where it says nothing of use."""
        reflex = self._fallback.reflex
        if reflex is None or not len(self._observed) or now - self._observed.stamp > self._oldest:
            return None
        try:
            action = np.asarray(reflex(self._observed.newest.copy()), np.float32)
        except Exception:
            logger.exception("the reflex policy raised, and is not used in this step")
            return None
        good = action.shape == self._contract.low.shape and np.isfinite(action).all()
        return action if good else None

    def _take(self, message: bytes, now: float) -> None:
        """A plan has come: is it for this episode, newer, and sound?"""
        plan = PublishedPlan.of(message, self._plan_type, self._contract, self._playback)
        while self._sent and self._sent[0][0] <= plan.sequence:
            number, sent = self._sent.popleft()
            if number == plan.sequence:
                self._latencies.add(now - sent)
        if plan.epoch != self._epoch or plan.sequence <= self._newest:
            return
        self._newest, self._last_record = plan.sequence, plan.record
        self._surprised = bool(plan.record["surprised"])
        sound = np.isfinite(plan.actions).all() and math.isfinite(plan.stamp) and math.isfinite(plan.valid_until)
        if plan.verdict == Verdict.FAILED or not sound:
            self._plan_fault = Reason.NONFINITE_PLAN
        elif plan.verdict == Verdict.INFEASIBLE:
            self._plan_fault = Reason.INFEASIBLE
        else:
            self._plan_fault, self._current = Reason.OK, plan

    def _ask(self, stamp: float, now: float) -> None:
        """Send the situation to the planner."""
        contract, period = self._contract, self._period
        self._number += 1
        request = np.zeros((), self._request_type)
        window, known = self._observed.window(contract.history + contract.action_block)
        middles = stamp + period * (np.arange(-contract.action_block, contract.horizon) + 0.5)
        actions = self._commanded.at(middles - self._loop.actuation_delay)
        executed, committed = actions[: contract.action_block], actions[contract.action_block :]
        lead = (now - stamp) + self._latencies.expected() + self._delay if self._loop.compensate else 0.0
        frozen = min(math.ceil(lead / period - 1e-6), contract.horizon - contract.action_block)
        if frozen > 0:
            committed = self._committed(stamp, frozen, committed)
        for name, value in {
            "number": self._number,
            "epoch": self._epoch,
            "seed": self._seed,
            "episode": self._episode,
            "stamp": stamp,
            "goal": self._goal,
            "window": window,
            "known": known,
            "executed": executed,
            "committed": committed,
            "frozen": max(frozen, 0),
            "weights": self._weights,
        }.items():
            request[name] = value
        self._sent.append((self._number, now))
        self._asked = stamp
        self._worker.send(request.tobytes(), now)

    def _committed(self, stamp: float, frozen: int, past: ndarray) -> ndarray:
        """[T, A]: what is in force in the first `frozen` steps from `stamp`: commands that are out, then the plan."""
        actions, plan = past.copy(), self._current
        out_until = self._commanded.moment + self._loop.actuation_delay
        for step in range(frozen):
            moment = stamp + step * self._period
            if moment + 0.5 * self._period > out_until and plan is not None and plan.valid(moment):
                actions[step] = np.clip(plan.at(moment), self._contract.low, self._contract.high)
        return actions

    def _in_order(self, stamp: float, now: float) -> bool:
        """Whether a stamp is a time later than the one before, and not in the future."""
        early = len(self._observed) and stamp <= self._observed.stamp
        return math.isfinite(stamp) and not early and stamp <= now + 0.5 * self._period

    def _forget(self) -> None:
        """Nothing is known of the episode that begins."""
        self._observed.clear()
        self._observation_fault = self._plan_fault = Reason.OK
        self._surprised = False
        self._current = self._last_record = self._asked = self._holding_since = None
        self._newest = self._number
        self._sent.clear()

    def _start_anew(self) -> None:
        """The clock went back: whatever bears a stamp of the old time is gone."""
        self._epoch += 1
        self._forget()
        self._commanded.clear()

    def _checked_goal(self, goal: Any) -> ndarray:
        if goal is None:
            if self._goal is None:
                raise ValueError("reset needs a goal the first time: pass the observation at the goal as goal=")
            return self._goal
        values, fault = ObservationGuard(self._contract.observation_size).check(goal)
        if values is None:
            raise ValueError(
                f"the goal must be {self._contract.observation_size} finite numbers, an observation; "
                f"got {fault.name.lower().replace('_observation', '')} ones"
            )
        return values

    def _log_plan(self, line: dict[str, Any]) -> None:
        if self._telemetry is not None:
            self._telemetry.write(line)

    def _report(self, command: Command) -> PlanReport:
        record, plan, contract = self._last_record, command.plan, self._contract
        known = record is not None
        age = command.time - self._observed.stamp if len(self._observed) else math.nan
        return PlanReport(
            time=command.time,
            step=self._step,
            source=command.source,
            reason=command.reason,
            action=command.action.tolist(),
            guards=command.guards,
            events=command.events,
            plan=None if plan is None else plan.sequence,
            plan_age_ms=None if plan is None else 1e3 * (command.time - plan.stamp),
            observation_age_ms=1e3 * age,
            latency_ms=1e3 * self._latencies.expected(),
            compute_ms=1e3 * float(record["compute"]) if known else None,
            deadline_margin_ms=1e3 * (self._deadline - float(record["compute"])) if known else None,
            iterations=int(record["iterations"]) if known else None,
            frozen=int(record["frozen"]) if known else None,
            cost=float(record["cost"]) if known else None,
            terms=dict(zip(contract.terms, record["terms"].tolist(), strict=True)) if known else {},
            margins=dict(zip(contract.margins, record["margins"].tolist(), strict=True)) if known else {},
            rank=int(record["rank"]) if known else None,
            spread=float(record["spread"]) if known else None,
            surprise=float(record["surprise"]) if known else None,
            surprise_threshold=self._threshold,
            disagreement=float(record["disagreement"]) if known else None,
            prediction_error=float(record["prediction_error"]) if known else None,
        )


def _worker(
    planner: Engine | Recipe, kind: str, planning: Planning, loop: Loop, log: Log
) -> tuple[Worker, Any, ndarray]:
    """The worker, the contract, and the weights to begin with.

    Raises:
      ValueError: an engine that already lives here for a process, or another kind of worker.
    """
    if kind not in ("process", "thread", "inline"):
        raise ValueError(f"worker must be process, thread or inline; got {kind!r}")
    if kind == "process":
        if not isinstance(planner, Recipe):
            raise ValueError(
                "a planner process makes its engine by itself: give the path of a bundle, or a Recipe; or take "
                'worker="thread"'
            )
        contract = planner.contract
        weights = [contract.weights[name] for name in contract.terms]
        return ProcessWorker(planner, planning, log), contract, np.asarray(weights, np.float32)
    engine = make_engine(planner.spec) if isinstance(planner, Recipe) else planner
    contract = engine.contract
    weights = [engine.weights[name] for name in contract.terms]
    if kind == "inline":
        return InlineWorker(engine, planning, log, loop.latency), contract, np.asarray(weights, np.float32)
    return ThreadWorker(engine, planning, log), contract, np.asarray(weights, np.float32)
