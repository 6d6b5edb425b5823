"""Planning in a separate process, from the loop's side: started, supervised, and restarted.

Its settings go through its standard input, its log lines and its last message come from its standard output;
situations and plans go through shared memory.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import final

from ..log.journal import Journal
from .child import PlannerChild
from .mailbox import Mailbox, mapped, shared_file
from .messages import plan_type, request_type
from .recipe import Recipe
from .settings import Log, Planning

logger = logging.getLogger(__name__)

_SHORTEST_HANG = 2.0  # seconds
_HANG = 5.0  # times the longest duration of a plan
_TICK = 0.1  # seconds between two checks of a process
_LONGEST_TICK = 0.25  # seconds; more means that this process did not run either, which the planner did not cause
_STOP = 10.0  # seconds for a process to end


@dataclass
class _Run:
    """Resources of a worker between `start` and the next `stop`."""

    sizes: tuple[int, int]
    thread: threading.Thread | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    files: list[int] = field(default_factory=list)
    requests: Mailbox | None = None
    plans: Mailbox | None = None
    child: PlannerChild | None = None
    was_ready: bool = False
    pending: bool = False  # a situation was sent and is not answered yet
    failure: str | None = None
    restarts: int = 0

    def open(self) -> None:
        """Create the shared memory. Raises OSError where the system has no room for it; nothing is left behind then."""
        room_sizes = [Mailbox.room(size) for size in self.sizes]
        try:
            maps: list[mmap.mmap] = []
            for room in room_sizes:
                self.files.append(shared_file(room))
                maps.append(mapped(self.files[-1], room))
        except OSError:
            self.close()
            raise
        self.plans = Mailbox(maps[1], self.sizes[1])
        self.requests = Mailbox(maps[0], self.sizes[0])

    def close(self) -> None:
        """Release the memory: it is freed as soon as no thread is in the middle of a message."""
        self.requests = self.plans = None
        files, self.files = self.files, []
        for file in files:
            os.close(file)


@final
class ProcessWorker:
    """Plans in a separate process, which is restarted whenever it ends, and killed where it hangs.

    Any thread may call any method. The process ends when this one does.

    Args:
      recipe: its engine.
      planning: settings.
      log: takes the plans' lines.
      give_up_after: number of consecutive processes that may end before they are ready.
    """

    def __init__(self, recipe: Recipe, planning: Planning, log: Log, give_up_after: int = 3):
        contract = recipe.contract
        self._log, self._planning, self._give_up_after = log, planning, give_up_after
        self._deadline = planning.deadline or contract.control_period
        self._sizes = request_type(contract).itemsize, plan_type(contract).itemsize
        # This process's present cores: a loop that is pinned to a core later does not put its planner there.
        self._cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        settings = {"contract": contract.to_json(), "planning": planning.to_json(), "cores": self._cores}
        self._order = (json.dumps({"engine": recipe.spec, **settings}) + "\n").encode()
        self._journal = Journal(logger)
        self._lifecycle_lock = threading.Lock()  # of `start` and `stop`; the control path never takes it
        self._run = _Run(self._sizes)

    @property
    def ready(self) -> bool:
        """Whether a process runs and has compiled everything."""
        child = self._run.child
        return child is not None and child.ready and child.alive()

    @property
    def failure(self) -> str | None:
        """Reason why no process is started any more. `start` tries again."""
        return self._run.failure

    @property
    def restarts(self) -> int:
        """Number of restarts since `start`."""
        return self._run.restarts

    @property
    def pid(self) -> int | None:
        """Process id of the current process; None without one."""
        child = self._run.child
        return child.pid if child is not None and child.alive() else None

    def start(self) -> None:
        """Start a process, unless one runs or is starting: also after `stop`, and after a failure.

        Raises:
          RuntimeError: the system has no room for another thread.
        """
        with self._lifecycle_lock:
            before = self._run
            if before.thread is not None and not before.stopping.is_set() and before.failure is None:
                return
            before.close()
            run = _Run(self._sizes)
            with suppress(OSError):  # the supervisor tries again
                run.open()
            run.thread = threading.Thread(target=self._supervise, args=(run,), name="planner supervisor", daemon=True)
            try:
                self._journal.start()
                run.thread.start()
            except RuntimeError:
                run.close()
                raise
            self._run = run

    def stop(self) -> None:
        """End the process, also while it compiles, and release everything."""
        with self._lifecycle_lock:
            run = self._run
            run.stopping.set()
            child = run.child
            if child is not None:
                child.kill()
            if run.thread is not None:
                run.thread.join(_STOP)
                if run.thread.is_alive():
                    self._journal.write(logging.ERROR, "the planner's process cannot be killed within %g s", _STOP)
            run.close()
            self._journal.close()

    def send(self, message: bytes, now: float) -> None:
        """Write the situation and wake the process."""
        run = self._run
        requests, child = run.requests, run.child
        if requests is None:
            return
        requests.write(message)
        if child is not None and child.ready:
            run.pending = True
            child.ring()

    def receive(self, now: float) -> bytes | None:
        """Return the newest plan."""
        plans = self._run.plans
        return None if plans is None else plans.read()

    def dead(self) -> bool:
        """Whether it is stopped, has given up, or was ready and the next process is not ready yet."""
        run = self._run
        return run.stopping.is_set() or run.failure is not None or (run.was_ready and not self.ready)

    def _supervise(self, run: _Run) -> None:
        """Start one process after the other until it is stopped or gives up."""
        failed_starts = 0
        while not run.stopping.is_set():
            child, ending, final = None, "", False
            try:
                if run.requests is None:
                    run.open()
                child = PlannerChild(self._order, run.files, self._cores, self._journal)
                run.child = child
                if run.stopping.is_set():
                    child.kill()
                ending, final = self._monitor(run, child)
            except Exception as error:  # no descriptor or no memory left, or a bug: never a reason to give up
                ending = f"{type(error).__name__}: {error}"
            was_ready = child is not None and child.ready
            if child is not None:
                end = child.end()
                ending = ending or end
            if run.stopping.is_set():
                return
            failed_starts = 0 if was_ready else failed_starts + 1
            if final or failed_starts >= self._give_up_after:
                run.failure = f"the planner's process does not start: {ending}"
                self._journal.write(logging.ERROR, "%s", run.failure)
                return
            self._journal.write(logging.WARNING, "the planner's process ended (%s) and is restarted", ending)
            run.restarts += 1
            run.stopping.wait(0.25 * 4 ** (failed_starts - 1) if failed_starts else 0.0)

    def _monitor(self, run: _Run, child: PlannerChild) -> tuple[str, bool]:
        """Pass lines on until the process ends or must end; returns why, and whether a restart would be in vain."""
        assert run.plans is not None
        ending, final, version = "", False, run.plans.version
        waited, moment = 0.0, time.monotonic()
        while (lines := child.lines(_TICK)) is not None:
            for line in lines:
                match line["kind"]:
                    case "ready":
                        child.iteration_seconds, waited, run.pending = line["seconds"], 0.0, False
                        child.ready = run.was_ready = True
                    case "failed":
                        ending, final = line["error"], line["final"]
                    case "warning":
                        self._journal.write(logging.WARNING, "the planner's process: %s", line["text"])
                        self._log(line)
                    case _:
                        self._log(line)
            elapsed, moment = time.monotonic() - moment, time.monotonic()
            waited += min(elapsed, _LONGEST_TICK)
            if child.ready and (not run.pending or run.plans.version != version):
                version, waited, run.pending = run.plans.version, 0.0, False
            limit = self._hang_after(child) if child.ready else self._planning.start_timeout
            if waited > limit:
                late = f"no answer for {limit:g} s" if child.ready else f"not ready within start_timeout={limit:g} s"
                return late, False
        return ending, final

    def _hang_after(self, child: PlannerChild) -> float:
        """Seconds without an answer after which the process is killed."""
        given = self._planning.hang_after
        return given or max(_SHORTEST_HANG, _HANG * (self._deadline + child.iteration_seconds))
