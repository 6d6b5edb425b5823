"""A planner behind a control loop: the object that a robot's program holds and calls from any of its threads."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy import ndarray

from .engine.contract import Contract
from .engine.filling import NO_FILLING
from .engine.goal import episode_goal
from .engine.interface import Engine, checked_weights
from .engine.readings import checked_action, seconds_of
from .log.journal import Journal
from .loop.command import Command, report
from .loop.events import Events
from .loop.fallback import Fallback
from .loop.settings import Loop
from .loop.status import Reason
from .loop.telemetry import PlanReport, Telemetry
from .parts import make_cycle
from .worker.messages import PublishedPlan
from .worker.recipe import Recipe
from .worker.settings import Planning
from .worker.workers import Worker, make_worker

logger = logging.getLogger(__name__)


@final
class RealtimeController:
    """A planner behind a control loop that never waits for it. Any thread may call any method.

    Whatever happened before, an action that `get_action` returns is finite, within the bounds, and within the rate
    limit from the one before; as a last resort it is a step towards the declared brake.

    Args:
      planner: an engine (for `worker="thread"` and `"inline"`), a recipe, or the path of a bundle.
      loop: declaration of the robot's side.
      planning: how the planner answers.
      fallback: how faults are answered.
      worker: where it plans: in a separate `process` or `thread`, or `inline`, on the caller's clock.
      seed: of the first episodes.
      telemetry: a log, or the path of one.
      clock: seconds; `time.monotonic` by default, any function in a simulation.
      heartbeat: called with each command that is handed out, as `Heartbeat.beat`; it must not block.

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
        heartbeat: Callable[[Command], None] | None = None,
    ):
        loop, planning, fallback = loop or Loop(), planning or Planning(), fallback or Fallback()
        if isinstance(planner, str | Path):
            planner = Recipe.bundle(planner)
        if isinstance(planner, Recipe) and planning.surprise is None:
            planning = replace(planning, surprise=planner.surprise)
        self._telemetry = Telemetry(telemetry) if isinstance(telemetry, str | Path) else telemetry
        self._owns_telemetry = self._telemetry is not telemetry
        self._worker, self._contract, weights = make_worker(planner, worker, planning, self._log_plan, loop.latency)
        self._journal, self._heartbeat = Journal(logger), heartbeat
        parts = (loop, planning, fallback), weights, seed, self._journal, self._telemetry
        self._cycle, self._embed_goal = make_cycle(planner, self._worker, self._contract, *parts)
        self._clock, self._lock = clock, threading.Lock()
        self._deadline = planning.deadline or self._contract.control_period
        self._threshold = None if planning.surprise is None else planning.surprise.threshold
        self._step = 0
        if self._telemetry is not None:
            sha256 = planner.sha256 if isinstance(planner, Recipe) else None
            self._telemetry.header |= {"contract": self._contract.to_json(), "bundle_sha256": sha256}

    def start(self, previous: Any = None) -> None:
        """Start the planner and act; `ready` becomes true once everything is compiled.

        Args:
          previous: [A] what the actuators do now, as measured: commands continue from there. None: from what was sent
            last, and from the rest action the first time.

        Raises:
          ValueError: `previous` is not one finite number for each actuator.
        """
        previous = self._checked_action(previous)
        self._journal.start()
        self._worker.start()
        if self._telemetry is not None:
            self._telemetry.start()
        with self._lock:
            self._cycle.start(previous)

    def stop(self) -> None:
        """Stop the planner and flush the logs. From then on the brake is sent. `start` restarts it."""
        with self._lock:
            self._cycle.stop()
        self._worker.stop()
        if self._telemetry is not None and self._owns_telemetry:
            self._telemetry.close()
        self._journal.close()

    def acknowledge(self) -> Reason | None:
        """Release the brake that a fault latched (`Fallback(latch=...)`); returns the fault, or None without one.

        A fault that persists is answered as declared, and may latch again.
        """
        with self._lock:
            return self._cycle.chain.acknowledge()

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
        """Whether the planner has given up; `failure` has the reason. Actions are still handed out."""
        return self._worker.failure is not None

    @property
    def failure(self) -> str | None:
        """Reason why the planner has given up."""
        return self._worker.failure

    @property
    def latched(self) -> Reason | None:
        """The fault that latched the brake, until `acknowledge`."""
        return self._cycle.chain.latched

    @property
    def restarts(self) -> int:
        """Number of times the planner was restarted."""
        return self._worker.restarts

    @property
    def worker(self) -> Worker:
        """The worker that plans."""
        return self._worker

    @property
    def contract(self) -> Contract:
        """The planner's contract."""
        return self._contract

    @property
    def command(self) -> Command | None:
        """The last action that was handed out, its source and its reason."""
        return self._cycle.command

    @property
    def plan(self) -> PublishedPlan | None:
        """The plan in execution, as long as there is no fault."""
        return self._cycle.link.plan

    @property
    def latency(self) -> float:
        """Latency in seconds from an observation to the use of its plan: p95 of the last 64."""
        return self._cycle.link.latencies.expected()

    @property
    def events(self) -> Events:
        """Faults that began and ended, counted."""
        return self._cycle.events

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each cost. New weights take effect with the next plan."""
        return dict(zip(self._contract.terms, self._cycle.link.weights.tolist(), strict=True))

    @weights.setter
    def weights(self, weights: Mapping[str, float]) -> None:
        checked = checked_weights(weights, self._contract.terms)
        with self._lock:
            self._cycle.link.weights = np.asarray(list(checked.values()), np.float32)

    def reset(self, goal: Any = None, seed: int | None = None, previous: Any = None) -> None:
        """Start an episode towards a goal. Plans that are still being computed are discarded.

        Args:
          goal: [O] an observation there. Without one the last goal stays; planning for rewards needs none.
          seed: numbers the episodes from here on; None: the numbering continues.
          previous: [A] what the actuators do now, as measured; None: what was sent last, which the robot still does.

        Raises:
          ValueError: the goal has another shape, is not finite or implausible, or there has never been one; or
            `previous` is not one finite number for each actuator. Nothing changes then.
        """
        goal, previous = self._checked_goal(goal), self._checked_action(previous)
        with self._lock:
            self._cycle.reset(goal, seed, previous)

    def redirect(self, goal: Any) -> None:
        """Set another goal in the same episode: the current plan is executed until the first one towards it arrives.

        Raises:
          ValueError: the goal has another shape, is not finite or implausible. Nothing changes then.
        """
        goal = self._checked_goal(goal)
        with self._lock:
            self._cycle.redirect(goal)

    def notify_observation(
        self, observation: Any, stamp: float | None = None, stamps: Mapping[str, float] | None = None
    ) -> Reason:
        """Take in the sensor readings at `stamp`, by default now; a bad one is refused. Returns the fault, or `OK`.

        Where the model fills in sensors, some may be missing (None, left out, NaN): `FILLED`, as long as it is trusted.
        `stamps` are those of sensors that were read earlier, by name: a camera whose pictures arrive late.
        """
        with self._lock:
            now, own = self._now(), {name: seconds_of(each) for name, each in (stamps or {}).items()}
            return self._cycle.notify(observation, now if stamp is None else seconds_of(stamp), now, own)

    def expected(self, sensor: str) -> tuple[ndarray, ndarray]:
        """Return what a sensor would read at the newest observation if it were missing, and its standard deviation.

        Raises:
          ValueError: there is no such sensor, or the model does not fill in sensors.
          RuntimeError: there were fewer than two observations since the last `reset`.
        """
        with self._lock:
            if self._cycle.completion is None:
                raise ValueError(NO_FILLING)
            return self._cycle.completion.expected(sensor)

    def get_action(self, now: float | None = None) -> ndarray:
        """Return the action [A] to send now, float32, within the bounds and the rate limit.

        It never waits for the planner or for a log, and never raises; `command` has the source of the action and the
        reason. Before `start` and after `stop` it is the brake.
        """
        with self._lock:
            command = self._cycle.act(self._now() if now is None else seconds_of(now))
            self._step += 1
            if self._telemetry is not None:
                self._telemetry.write(self._report(command))
            if self._heartbeat is not None:
                self._beat(command)
            return command.action.copy()

    def _beat(self, command: Command) -> None:
        try:
            assert self._heartbeat is not None
            self._heartbeat(command)
        except Exception as error:
            message = "the heartbeat raised, and is called again with the next command: %s"
            self._journal.write(logging.ERROR, message, error)

    def _now(self) -> float:
        """Return the clock's time; NaN, which counts as a clock that went back, where the clock fails."""
        try:
            return seconds_of(self._clock())
        except Exception as error:
            self._journal.write(logging.ERROR, "the clock raised: %s", error)
            return math.nan

    def _checked_goal(self, goal: Any) -> ndarray:
        return episode_goal(goal, self._cycle.link.goal, self._contract, self._cycle.plausible, self._embed_goal)

    def _checked_action(self, action: Any) -> ndarray | None:
        return None if action is None else checked_action(action, self._contract)

    def _log_plan(self, line: dict[str, Any]) -> None:
        if self._telemetry is not None:
            self._telemetry.write(line)

    def _report(self, command: Command) -> PlanReport:
        cycle = self._cycle
        age = command.time - cycle.observed.stamp if len(cycle.observed) else math.nan
        record, line = cycle.link.last_record, (self._deadline, self._threshold, cycle.observed.frame)
        return report(command, self._step, self._contract, record, age, self.latency, *line)
