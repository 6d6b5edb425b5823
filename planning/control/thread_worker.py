"""Planning in a thread of the loop's own process: it shares the interpreter's lock with the loop."""

from __future__ import annotations

import logging
import threading
from typing import final

from .cycle import PlanningCycle
from .engine import Engine
from .mailbox import Mailbox
from .messages import plan_type, request_type
from .planning import Log, Planning

logger = logging.getLogger(__name__)


@final
class ThreadWorker:
    """Plans in a thread of this process. What it raises is said once an episode, and answered with no plan."""

    def __init__(self, engine: Engine, planning: Planning, log: Log):
        self._cycle = PlanningCycle(engine, planning, log)
        contract = engine.contract
        sizes = request_type(contract).itemsize, plan_type(contract).itemsize
        self._requests, self._plans = (Mailbox(bytearray(Mailbox.room(size)), size) for size in sizes)
        self._bell, self._stopping = threading.Event(), False
        self._thread: threading.Thread | None = None
        self.ready, self.restarts = False, 0
        self.failure: str | None = None
        self._was_ready = False

    def start(self) -> None:
        """Begin, unless it runs."""
        if self._thread is None or not self._thread.is_alive():
            self._stopping, self.failure = False, None
            self._thread = threading.Thread(target=self._work, name="planner", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End after the plan that is being made."""
        self._stopping = True
        self._bell.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.ready = self._was_ready = False

    def send(self, message: bytes, now: float) -> None:
        """Ring."""
        self._requests.write(message)
        self._bell.set()

    def receive(self, now: float) -> bytes | None:
        """The newest plan."""
        return self._plans.read()

    def dead(self) -> bool:
        """Whether the thread has ended by itself, or is about to."""
        return self.failure is not None or (self._was_ready and (self._thread is None or not self._thread.is_alive()))

    def _work(self) -> None:
        try:
            self._cycle.warmup()
            self.ready = self._was_ready = True
            while not self._stopping:
                self._bell.wait()
                self._bell.clear()
                message = self._requests.read()
                answer = None if message is None or self._stopping else self._cycle.answer(message)
                if answer is not None:
                    self._plans.write(answer)
        except Exception as error:
            self.ready, self.failure = False, f"the planner's thread ended: {type(error).__name__}: {error}"
            logger.exception("the planner's thread ended")
