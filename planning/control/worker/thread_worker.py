"""Planning in a thread of the loop's own process: it shares the interpreter's lock with the loop."""

from __future__ import annotations

import logging
import threading
import traceback
from typing import final

from ..engine.interface import Engine
from ..log.journal import Journal
from .cycle import PlanningCycle
from .mailbox import Mailbox
from .messages import plan_type, request_type
from .settings import Log, Planning

logger = logging.getLogger(__name__)

_STOP = 1.0  # seconds that `stop` waits


class _Run:
    """State of a worker between `start` and the next `stop`."""

    def __init__(self, sizes: tuple[int, int]):
        self.requests, self.plans = (Mailbox(bytearray(Mailbox.room(size)), size) for size in sizes)
        self.bell, self.stopping = threading.Event(), threading.Event()
        self.thread: threading.Thread | None = None
        self.ready = False
        self.failure: str | None = None

    def active(self) -> bool:
        """Whether it plans, or is starting."""
        alive = self.thread is not None and self.thread.is_alive()
        return alive and self.failure is None and not self.stopping.is_set()


@final
class ThreadWorker:
    """Plans in a thread of this process. An exception of the engine ends it: `failure` has the reason.

    Any thread may call any method.
    """

    restarts = 0

    def __init__(self, engine: Engine, planning: Planning, log: Log):
        self._cycle = PlanningCycle(engine, planning, log)
        self._planning_lock = threading.Lock()  # of the cycle: one thread plans at a time
        contract = engine.contract
        self._sizes = request_type(contract).itemsize, plan_type(contract).itemsize
        self._journal = Journal(logger)
        self._lifecycle_lock = threading.Lock()  # of `start` and `stop`; the control path never takes it
        self._run = _Run(self._sizes)

    @property
    def ready(self) -> bool:
        """Whether everything is compiled and the thread plans."""
        return self._run.ready and self._run.active()

    @property
    def failure(self) -> str | None:
        """The engine's exception. `start` tries again."""
        return self._run.failure

    def start(self) -> None:
        """Start the thread, unless it plans or is starting: also after `stop`, and after a failure.

        Raises:
          RuntimeError: the system has no room for another thread.
        """
        with self._lifecycle_lock:
            if self._run.active():
                return
            run = _Run(self._sizes)
            run.thread = threading.Thread(target=self._work, args=(run,), name="planner", daemon=True)
            self._journal.start()
            run.thread.start()
            self._run = run

    def stop(self) -> None:
        """End. A thread cannot be ended from outside: its current compilation or plan is finished, and then dropped."""
        with self._lifecycle_lock:
            run = self._run
            run.stopping.set()
            run.bell.set()
            if run.thread is not None and run.thread is not threading.current_thread():
                run.thread.join(_STOP)
            self._journal.close()

    def send(self, message: bytes, now: float) -> None:
        """Write the situation and wake the thread."""
        run = self._run
        if not run.stopping.is_set():
            run.requests.write(message)
            run.bell.set()

    def receive(self, now: float) -> bytes | None:
        """Return the newest plan."""
        run = self._run
        return None if run.stopping.is_set() else run.plans.read()

    def dead(self) -> bool:
        """Whether it is stopped, or has failed."""
        run = self._run
        return run.stopping.is_set() or run.failure is not None or (run.ready and not run.active())

    def _work(self, run: _Run) -> None:
        while not self._planning_lock.acquire(timeout=0.05):  # an earlier run that was stopped may still compile
            if run.stopping.is_set():
                return
        try:
            self._answer(run)
        except Exception as error:
            run.failure = f"the planner's thread ended: {type(error).__name__}: {error}"
            self._journal.write(logging.ERROR, "%s", run.failure)
            for line in traceback.format_exc(limit=-8).splitlines():
                self._journal.write(logging.ERROR, "%s", line)
        finally:
            self._planning_lock.release()

    def _answer(self, run: _Run) -> None:
        """Compile, and then answer situations, until the end."""
        if not run.stopping.is_set():
            self._cycle.warmup()
            run.ready = True
        while not run.stopping.is_set():
            run.bell.wait()
            run.bell.clear()
            message = run.requests.read()
            answer = None if message is None or run.stopping.is_set() else self._cycle.answer(message)
            if answer is not None:
                run.plans.write(answer)
