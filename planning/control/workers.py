"""Where the planner runs: in the caller's hands, in a thread, or in a process of its own that may die and come back.

All three take the newest situation and give the newest plan through mailboxes, so the loop's own side is the same code
whatever is behind it, and never waits.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, final, runtime_checkable

from .bundle import Bundle
from .bundle_engine import BundleEngine
from .contract import Contract
from .cycle import Planning, PlanningCycle
from .engine import Engine
from .guards import named
from .mailbox import Mailbox, mapped, shared_file
from .messages import plan_type, request_type
from .surprise import Surprise

logger = logging.getLogger(__name__)

Log = Callable[[dict[str, Any]], None]
START = """
import os
if hasattr(os, "sched_setscheduler"):  # importing and compiling may be interrupted by anyone, whatever was inherited
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
from planning.control.planner_process import main
main()
"""


@runtime_checkable
class Worker(Protocol):
    """Answers situations with plans."""

    failure: str | None  # why it has given up
    restarts: int

    @property
    def ready(self) -> bool:
        """Whether everything is compiled."""
        ...

    def start(self) -> None:
        """Begin; `ready` becomes true some time later."""

    def stop(self) -> None:
        """End, and leave nothing behind."""

    def send(self, message: bytes, now: float) -> None:
        """Give it a newer situation."""

    def receive(self, now: float) -> bytes | None:
        """The newest plan, if there is one that was not received yet."""

    def dead(self) -> bool:
        """Whether it was ready once and cannot answer now."""
        ...


@dataclass(frozen=True)
class Recipe:
    """How a planner process makes its engine: a bundle's path, or `module:function` with its arguments in JSON."""

    contract: Contract
    spec: dict[str, Any]
    surprise: Surprise | None = None
    sha256: str | None = None  # of the bundle

    @classmethod
    def bundle(cls, path: str | Path, cache: bool = False) -> Recipe:
        """From a bundle, with the calibration of surprise that it may bring along. Raises what loading one does."""
        bundle = Bundle.load(path)
        spec = {"bundle": str(Path(path).resolve()), "cache": cache}
        return cls(bundle.contract, spec, Surprise.of_bundle(bundle), file_hash(path))

    @classmethod
    def factory(cls, name: str, **arguments: Any) -> Recipe:
        """From a function of yours that returns an engine. It is called once here, for its contract."""
        return cls(make_engine(spec := {"factory": name, "arguments": arguments}).contract, spec)


def make_engine(spec: dict[str, Any]) -> Engine:
    """The engine that a recipe describes.

    Raises:
      ValueError: the bundle is no good, or the function cannot be imported.
    """
    if "bundle" in spec:
        path = Path(spec["bundle"])
        return BundleEngine(Bundle.load(path), path.with_name(f"{path.name}.cache") if spec["cache"] else None)
    return named(spec["factory"])(**spec["arguments"])


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file's content."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


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


@dataclass
class _Life:
    """One planner process."""

    process: subprocess.Popen[bytes]
    ready: bool = False  # to answer
    was_ready: bool = False


@final
class ProcessWorker:
    """Plans in a process of its own, which is started again whenever it ends, and killed where it hangs.

    The process dies with this one: it reads a pipe that then closes.

    Args:
      recipe: its engine.
      planning: how.
      log: takes the plans' lines.
      hang_after: seconds without an answer after which it is killed.
      give_up_after: how many processes in a row may end before they are ready.
    """

    def __init__(self, recipe: Recipe, planning: Planning, log: Log, hang_after: float = 2.0, give_up_after: int = 3):
        contract = recipe.contract
        self._order = (json.dumps({"engine": recipe.spec, "planning": planning.to_json()}) + "\n").encode()
        self._log, self._hang_after, self._give_up_after = log, hang_after, give_up_after
        self._sizes = request_type(contract).itemsize, plan_type(contract).itemsize
        self._files = [shared_file(Mailbox.room(size)) for size in self._sizes]
        self._maps = [mapped(file, Mailbox.room(size)) for file, size in zip(self._files, self._sizes, strict=True)]
        self._requests, self._plans = (Mailbox(*pair) for pair in zip(self._maps, self._sizes, strict=True))
        self._life: _Life | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.failure: str | None = None
        self.restarts = 0
        self._was_ready = False
        self._unanswered: float | None = None

    @property
    def ready(self) -> bool:
        """Whether a process runs and has compiled everything."""
        life = self._life
        return life is not None and life.ready and life.process.poll() is None

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        life = self._life
        return None if life is None else life.process.pid

    def start(self) -> None:
        """Start the process, unless one runs."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._supervise, name="planner supervisor", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the process. The worker cannot be started again."""
        self._stopping.set()
        if self._thread is not None:
            life = self._life
            if life is not None:
                life.process.kill()
            self._thread.join()
            self._thread = None
        self._life, self._was_ready = None, False
        for mailbox, memory, file in zip((self._requests, self._plans), self._maps, self._files, strict=False):
            mailbox.close()
            memory.close()
            os.close(file)
        self._maps, self._files = [], []

    def send(self, message: bytes, now: float) -> None:
        """Ring."""
        self._requests.write(message)
        life = self._life
        if life is None or not life.ready:
            return
        if self._unanswered is None:
            self._unanswered = time.monotonic()
        try:
            assert life.process.stdin is not None
            os.write(life.process.stdin.fileno(), b".")
        except (OSError, ValueError):
            pass  # full: it has been rung for; closed: it is dead, which `dead` tells

    def receive(self, now: float) -> bytes | None:
        """The newest plan."""
        return self._plans.read()

    def dead(self) -> bool:
        """Whether it ended, and another is not ready yet."""
        return self._was_ready and not self.ready

    def _supervise(self) -> None:
        stillborn = 0
        while not self._stopping.is_set():
            life = self._spawn()
            self._unanswered, self._life = None, life
            if self._stopping.is_set():
                life.process.kill()
            said = self._attend(life)
            life.ready = False  # at once: while it is waited for below, nobody else can ask the system
            life.process.kill()
            life.process.wait()
            for pipe in (life.process.stdin, life.process.stdout):
                assert pipe is not None
                pipe.close()
            if self._stopping.is_set():
                return
            stillborn = 0 if life.was_ready else stillborn + 1
            if stillborn >= self._give_up_after:
                self.failure = f"the planner's process does not start: {said or f'exit code {life.process.returncode}'}"
                logger.error("%s", self.failure)
                return
            logger.warning("the planner's process ended (%s) and is started again", said or life.process.returncode)
            self.restarts += 1
            self._stopping.wait(0.02 * 4**stillborn if stillborn else 0.0)

    def _spawn(self) -> _Life:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        process = subprocess.Popen(
            [sys.executable, "-c", START, *map(str, self._files)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=self._files,
            env=environment,
            bufsize=0,
        )
        return _Life(process)

    def _attend(self, life: _Life) -> str | None:
        """Hand over the order, then pass lines on until the process ends; what it said of its end."""
        assert life.process.stdin is not None and life.process.stdout is not None
        said, rest, output, version = None, b"", life.process.stdout.fileno(), self._plans.version
        try:
            life.process.stdin.write(self._order)
            os.set_blocking(life.process.stdin.fileno(), False)
        except OSError:
            return None
        while True:
            if select.select([output], [], [], 0.1)[0]:
                data = os.read(output, 2**20)
                if not data:
                    return said
                *lines, rest = (rest + data).split(b"\n")
                for text in lines:
                    line = json.loads(text)
                    if line["kind"] == "ready":
                        life.ready = life.was_ready = self._was_ready = True
                    elif line["kind"] == "failed":
                        said = line["error"]
                    else:
                        self._log(line)
            if self._plans.version != version:
                version, self._unanswered = self._plans.version, None
            since = self._unanswered
            if life.ready and since is not None and time.monotonic() - since > self._hang_after:
                return f"no answer for {self._hang_after:g} s"
