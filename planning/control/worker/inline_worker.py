"""Planning in the caller's hands, in virtual time."""

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
    """Plans in the caller's hands, on the caller's clock: for virtual time, and for tests.

    Any thread may call any method; while one plans, the others wait. An exception of the engine ends it: `failure` says
    which.

    Args:
      engine: plans.
      planning: how; its deadline means nothing here, for all iterations are made.
      log: takes the plans' lines.
      latency: seconds, or a function that gives them, after which a plan is there; one plan at a time.
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
        self._making: tuple[float, bytes | None] | None = None  # when it will be there
        self._made: bytes | None = None
        self._waiting: bytes | None = None
        self._sent = -float("inf")

    def start(self) -> None:
        """Compile, unless everything is. Raises what the engine does."""
        with self._lock:
            if not self.ready:
                self._journal.start()
                self._stopped, self.failure = False, None
                self._forget()
                self._cycle.warmup()
                self.ready = True

    def stop(self) -> None:
        """Forget what is planned."""
        with self._lock:
            self.ready, self._stopped = False, True
            self._forget()
        self._journal.close()

    def send(self, message: bytes, now: float) -> None:
        """Plan, unless a plan is being made: then keep the newest situation for later."""
        with self._lock:
            if self._stopped or self.failure is not None:
                return
            if now < self._sent:  # the clock went back, and what is being made would be there in an age
                self._forget()
            self._sent = now
            self._finish(now)
            if self._making is None:
                self._making = now + self._latency(), self._answer(message)
            else:
                self._waiting = message

    def receive(self, now: float) -> bytes | None:
        """The newest plan whose time has come."""
        with self._lock:
            self._finish(now)
            plan, self._made = self._made, None
            return plan

    def dead(self) -> bool:
        """Whether it was stopped, or has failed."""
        return self._stopped or self.failure is not None

    def _forget(self) -> None:
        self._making = self._made = self._waiting = None
        self._sent = -float("inf")

    def _finish(self, now: float) -> None:
        """Whatever is there by now; the situation that waited is begun when the plan before it ended."""
        while self._making is not None and self._making[0] <= now:
            due, plan = self._making
            self._made, self._making = plan or self._made, None
            if self._waiting is not None:
                self._making = due + self._latency(), self._answer(self._waiting)
                self._waiting = None

    def _answer(self, message: bytes) -> bytes | None:
        """A plan, or none where the engine raises."""
        try:
            return self._cycle.answer(message)
        except Exception as error:
            self.ready, self.failure = False, f"the planner raised {type(error).__name__}: {error}"
            self._journal.write(logging.ERROR, "%s", self.failure)
            return None
