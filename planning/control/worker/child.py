"""One planner process, seen from the loop's side: how it is started, what it says, and how it is ended."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, final

from ..log.journal import Journal

_PROGRAM = f"{__package__}.process_main"
_PIECE = 2**16
_LONGEST_LINE = 2**24  # bytes
_LONGEST_COMPLAINT = 2000  # bytes of a line on standard error
_COMPLAINTS = 40  # lines of standard error at once, and
_COMPLAINTS_A_SECOND = 10.0  # from then on


@final
class PlannerChild:
    """A planner process. `ring`, `alive` and `kill` are for any thread, everything else for its supervisor's.

    It leads a process group of its own, so an interrupt at the terminal does not reach it.

    Args:
      order: the line that it is given first.
      files: descriptors that it inherits, as its arguments.
      cores: where it may run until it chooses for itself; none: wherever this process may.
      journal: takes its standard error.

    Raises:
      OSError: it cannot be started.
    """

    def __init__(self, order: bytes, files: Sequence[int], cores: Sequence[int], journal: Journal):
        self.ready = False  # to answer
        self.iteration_seconds = 0.0  # what one took when the process started
        self._journal, self._order, self._rest = journal, memoryview(order), b""
        self._complaints, self._has_error = _Complaints(journal), True
        self._closing = threading.Lock()  # of the pipe that is rung through: its number may soon be another file's
        # -P: a folder `planning` where the robot's program was started must not stand in for ours.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        command = [sys.executable, "-P", "-m", _PROGRAM, *map(str, files), str(os.getpid())]
        with ExitStack() as theirs, ExitStack() as ours:
            (stdin, self._input), (self._output, stdout), (self._error, stderr) = (
                _pipe(theirs, ours, n) for n in range(3)
            )
            self._process = subprocess.Popen(
                command, stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=files, env=environment, process_group=0
            )
            self._pipes: ExitStack | None = ours.pop_all()
        if cores:  # importing and compiling may be interrupted by anyone, whatever was inherited from the loop
            try:
                os.sched_setscheduler(self.pid, os.SCHED_OTHER, os.sched_param(0))
                os.sched_setaffinity(self.pid, cores)
            except ProcessLookupError:
                pass  # it has ended, which is noticed where its lines are read
            except OSError as error:
                words = "the planner's process cannot be put on the cores %s: %s"
                journal.write(logging.WARNING, words, ", ".join(map(str, cores)), error)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether it runs, or is stopped."""
        return self._process.poll() is None

    def ring(self) -> None:
        """Wake it. Never blocks: where the pipe is full it has been rung for, and where it is closed it has ended."""
        if self._closing.acquire(blocking=False):
            try:
                if self._pipes is not None:
                    os.write(self._input, b".")
            except OSError:
                pass
            finally:
                self._closing.release()

    def lines(self, seconds: float) -> list[dict[str, Any]] | None:
        """What it has said, after at most so many seconds; None once it has ended and everything is read.

        Raises:
          ValueError: it said something that is no line of JSON.
        """
        waiting = select.poll()
        waiting.register(self._output, select.POLLIN)
        if self._has_error:
            waiting.register(self._error, select.POLLIN)
        if self._order:
            waiting.register(self._input, select.POLLOUT)
        happened = dict(waiting.poll(seconds * 1000))
        if self._input in happened:
            try:
                self._order = self._order[os.write(self._input, self._order) :]
            except BrokenPipeError:
                self._order = self._order[:0]  # it has ended, which its output will tell
        if self._error in happened:
            self._has_error = self._complaints.read(self._error)
        data = _read(self._output) if self._output in happened else None
        if data is None:
            return []
        if not data:
            return None
        if len(self._rest) > _LONGEST_LINE:
            raise ValueError(f"it said a line of more than {_LONGEST_LINE} bytes")
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def kill(self) -> None:
        """End it at once, also while it is stopped."""
        self._process.kill()

    def end(self) -> str:
        """Kill it, reap it and close the pipes, once; how it ended."""
        self.ready = False  # at once: while it is waited for below, nobody else can ask the system
        self.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in a driver: it ends when that lets go of it
            self._process.wait(5.0)
        if self._has_error:
            self._complaints.read(self._error)
        self._complaints.close()
        with self._closing:
            if self._pipes is not None:
                self._pipes.close()
                self._pipes = None
        code = self._process.returncode
        if code is None or code >= 0:
            return f"exit code {code}"
        return f"killed by {signal.Signals(-code).name if -code in set(signal.Signals) else -code}"


@final
class _Complaints:
    """The lines of standard error, so many a second, into the journal."""

    def __init__(self, journal: Journal):
        self._journal, self._rest = journal, b""
        self._allowed, self._moment, self._left_out = float(_COMPLAINTS), time.monotonic(), 0

    def read(self, error: int) -> bool:
        """Read what is there; whether there may be more one day."""
        data = _read(error)
        if not data:
            return data is None
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[:_LONGEST_COMPLAINT]
        for line in lines:
            self._pass_on(line)
        return True

    def close(self) -> None:
        """Nothing more will be said."""
        self._pass_on(self._rest)
        self._rest = b""
        self._say_left_out()

    def _pass_on(self, line: bytes) -> None:
        now = time.monotonic()
        self._allowed = min(self._allowed + (now - self._moment) * _COMPLAINTS_A_SECOND, float(_COMPLAINTS))
        self._moment = now
        if not line.strip():
            return
        if self._allowed < 1.0:
            self._left_out += 1
            return
        self._say_left_out()
        self._allowed -= 1.0
        self._say("planner process: %s", line[:_LONGEST_COMPLAINT].decode(errors="replace"))

    def _say_left_out(self) -> None:
        if self._left_out:
            self._say("planner process: %d lines were left out", self._left_out)
            self._left_out = 0

    def _say(self, words: str, *args: Any) -> None:
        self._journal.write(logging.WARNING, words, *args)


def _pipe(theirs: ExitStack, ours: ExitStack, number: int) -> tuple[int, int]:
    """A pipe for the standard descriptor `number`: both ends, each closed by the stack of the side that keeps it."""
    ends = os.pipe()
    for stack, end in zip((theirs, ours) if number == 0 else (ours, theirs), ends, strict=True):
        stack.callback(os.close, end)
    os.set_blocking(ends[1 if number == 0 else 0], False)
    return ends


def _read(descriptor: int) -> bytes | None:
    """What is there; nothing at the end, and None where there may be more one day."""
    try:
        return os.read(descriptor, _PIECE)
    except BlockingIOError:
        return None
