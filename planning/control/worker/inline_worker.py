"""Planning in the caller's thread, in virtual time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import final

from ..engine.interface import Engine
from ..log.journal import Journal
from .cycle import PlanningCycle
from .settings import Log, Planning

logger = logging.getLogger(__name__)


@final
class InlineWorker:
    """Plans in the caller's thread, on the caller's clock: for virtual time, and for tests.

    Any thread may call any method; while one plans, the others wait. An exception of the engine ends it: `failure` has
    the reason.

    Args:
      engine: plans.
      planning: settings; the deadline has no effect, because all iterations are made.
      log: takes the plans' lines.
      latency: seconds, or a function that returns them, after which a plan is available; one plan at a time.
    """

    restarts = 0

    def __init__(self, engine: Engine, planning: Planning, log: Log, latency: float | Callable[[], float] = 0.0):
        self._cycle = PlanningCycle(engine, planning, log, clock=lambda: 0.0)
        self._latency: Callable[[], float] = latency if callable(latency) else lambda: float(latency)
        self._journal = Journal(logger)
        self._lock = threading.RLock()
        self.ready = False
        self.failure: str | None = None
        self._stopped = False
        self._in_progress: tuple[float, bytes | None] | None = None  # time at which the plan is available
        self._finished: bytes | None = None
        self._waiting: bytes | None = None
        self._sent = -float("inf")

    def start(self) -> None:
        """Compile, unless everything is compiled. Raises whatever the engine raises."""
        with self._lock:
            if not self.ready:
                self._journal.start()
                self._stopped, self.failure = False, None
                self._forget()
                self._cycle.warmup()
                self.ready = True

    def stop(self) -> None:
        """Drop all plans and situations."""
        with self._lock:
            self.ready, self._stopped = False, True
            self._forget()
        self._journal.close()

    def send(self, message: bytes, now: float) -> None:
        """Plan, unless a plan is in progress: then keep the newest situation for later."""
        with self._lock:
            if self._stopped or self.failure is not None:
                return
            if now < self._sent:  # the clock went back, and the plan in progress would be available only much later
                self._forget()
            self._sent = now
            self._finish(now)
            if self._in_progress is None:
                self._in_progress = now + self._latency(), self._answer(message)
            else:
                self._waiting = message

    def receive(self, now: float) -> bytes | None:
        """Return the newest plan that is available by `now`."""
        with self._lock:
            self._finish(now)
            plan, self._finished = self._finished, None
            return plan

    def dead(self) -> bool:
        """Whether it was stopped, or has failed."""
        return self._stopped or self.failure is not None

    def _forget(self) -> None:
        self._in_progress = self._finished = self._waiting = None
        self._sent = -float("inf")

    def _finish(self, now: float) -> None:
        """Finish plans that are due by now; a situation that waited is begun when the plan before it ended."""
        while self._in_progress is not None and self._in_progress[0] <= now:
            due, plan = self._in_progress
            self._finished, self._in_progress = plan or self._finished, None
            if self._waiting is not None:
                self._in_progress = due + self._latency(), self._answer(self._waiting)
                self._waiting = None

    def _answer(self, message: bytes) -> bytes | None:
        """Return a plan, or None where the engine raises."""
        try:
            return self._cycle.answer(message)
        except Exception as error:
            self.ready, self.failure = False, f"the planner raised {type(error).__name__}: {error}"
            self._journal.write(logging.ERROR, "%s", self.failure)
            return None
