"""Planning in the caller's hands, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from .cycle import PlanningCycle
from .engine import Engine
from .planning import Log, Planning


@final
class InlineWorker:
    """Plans in the caller's hands, on the caller's clock: for virtual time, and for tests.

    Args:
      engine: plans.
      planning: how; its deadline means nothing here, for all iterations are made.
      log: takes the plans' lines.
      latency: seconds, or a function that gives them, after which a plan is there; one plan at a time.
    """

    def __init__(self, engine: Engine, planning: Planning, log: Log, latency: float | Callable[[], float] = 0.0):
        self._cycle = PlanningCycle(engine, planning, log, clock=lambda: 0.0)
        self._latency: Callable[[], float] = latency if callable(latency) else lambda: float(latency)
        self.ready, self.restarts = False, 0
        self.failure: str | None = None
        self._making: tuple[float, bytes | None] | None = None  # when it will be there
        self._made: bytes | None = None
        self._waiting: bytes | None = None
        self._sent = -float("inf")

    def start(self) -> None:
        """Compile."""
        self._cycle.warmup()
        self.ready = True

    def stop(self) -> None:
        """Forget what is planned."""
        self.ready, self._making, self._made, self._waiting = False, None, None, None

    def send(self, message: bytes, now: float) -> None:
        """Plan, unless a plan is being made: then keep the newest situation for later."""
        if now < self._sent:  # the clock went back, and what is being made would be there in an age
            self._making = self._made = self._waiting = None
        self._sent = now
        self._finish(now)
        if self._making is None:
            self._making = now + self._latency(), self._cycle.answer(message)
        else:
            self._waiting = message

    def receive(self, now: float) -> bytes | None:
        """The newest plan whose time has come."""
        self._finish(now)
        plan, self._made = self._made, None
        return plan

    def dead(self) -> bool:
        """Never."""
        return False

    def _finish(self, now: float) -> None:
        """Whatever is there by now; the situation that waited is begun when the plan before it ended."""
        while self._making is not None and self._making[0] <= now:
            due, plan = self._making
            self._made, self._making = plan or self._made, None
            if self._waiting is not None:
                self._making = due + self._latency(), self._cycle.answer(self._waiting)
                self._waiting = None
