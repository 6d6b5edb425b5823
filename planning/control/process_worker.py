"""Planning in a process of its own, from the loop's side: started, told, listened to, and started again.

What is said to it goes through its standard input, its log lines and its last word come from its standard output;
situations and plans go through shared memory.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import final

from .mailbox import Mailbox, mapped, shared_file
from .messages import plan_type, request_type
from .planning import Log, Planning
from .recipe import Recipe

logger = logging.getLogger(__name__)

_PROGRAM = f"{__package__}.planner_process"


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
        # Where this process runs now: a loop that takes a core of its own later does not put its planner there.
        self._cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
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
            [sys.executable, "-m", _PROGRAM, *map(str, self._files)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=self._files,
            env=environment,
            bufsize=0,
        )
        if self._cores:  # importing and compiling may be interrupted by anyone, whatever was inherited from the loop
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(process.pid, os.SCHED_OTHER, os.sched_param(0))
                os.sched_setaffinity(process.pid, self._cores)
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
