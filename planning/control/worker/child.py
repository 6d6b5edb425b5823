"""One planner process, seen from the loop's side: its start, its output, and its end."""

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
_LONGEST_ERROR_LINE = 2000  # bytes of a line on standard error
_ERROR_LINES = 40  # lines of standard error in a burst, and
_ERROR_LINES_A_SECOND = 10.0  # as the sustained rate


@final
class PlannerChild:
    """A planner process. Any thread may call `ring`, `alive` and `kill`, only its supervisor the rest.

    It leads a separate process group, so an interrupt at the terminal does not reach it.

    Args:
      order: the first line of its standard input.
      files: descriptors that it inherits, as its arguments.
      cores: the cores it starts on until it chooses its own; none: those of this process.
      journal: takes its standard error.

    Raises:
      OSError: it cannot be started.
    """

    def __init__(self, order: bytes, files: Sequence[int], cores: Sequence[int], journal: Journal):
        self.ready = False  # to answer
        self.iteration_seconds = 0.0  # duration of one iteration when the process started
        self._journal, self._order, self._rest = journal, memoryview(order), b""
        self._error_output, self._has_error = _ErrorOutput(journal), True
        self._closing = threading.Lock()  # of the wake-up pipe: its descriptor may soon be another file's
        # -P: a folder `planning` in the working directory of the robot's program must not shadow this one.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        command = [sys.executable, "-P", "-m", _PROGRAM, *map(str, files), str(os.getpid())]
        with ExitStack() as child_ends, ExitStack() as parent_ends:
            (stdin, self._input), (self._output, stdout), (self._error, stderr) = (
                _pipe(child_ends, parent_ends, n) for n in range(3)
            )
            self._process = subprocess.Popen(
                command, stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=files, env=environment, process_group=0
            )
            self._pipes: ExitStack | None = parent_ends.pop_all()
        if cores:  # importing and compiling get ordinary priority, whatever was inherited from the loop
            try:
                os.sched_setscheduler(self.pid, os.SCHED_OTHER, os.sched_param(0))
                os.sched_setaffinity(self.pid, cores)
            except ProcessLookupError:
                pass  # it has ended, which is noticed where its lines are read
            except OSError as error:
                message = "the planner's process cannot be put on the cores %s: %s"
                journal.write(logging.WARNING, message, ", ".join(map(str, cores)), error)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether it runs, or is stopped."""
        return self._process.poll() is None

    def ring(self) -> None:
        """Wake it. Never blocks: a full pipe means that it was woken already, a closed one that it has ended."""
        if self._closing.acquire(blocking=False):
            try:
                if self._pipes is not None:
                    os.write(self._input, b".")
            except OSError:
                pass
            finally:
                self._closing.release()

    def lines(self, seconds: float) -> list[dict[str, Any]] | None:
        """Return its output within at most `seconds`; None once it has ended and everything is read.

        Raises:
          ValueError: a line of its output is not JSON.
        """
        waiting = select.poll()
        waiting.register(self._output, select.POLLIN)
        if self._has_error:
            waiting.register(self._error, select.POLLIN)
        if self._order:
            waiting.register(self._input, select.POLLOUT)
        events = dict(waiting.poll(seconds * 1000))
        if self._input in events:
            try:
                self._order = self._order[os.write(self._input, self._order) :]
            except BrokenPipeError:
                self._order = self._order[:0]  # it has ended, which its output will show
        if self._error in events:
            self._has_error = self._error_output.read(self._error)
        data = _read(self._output) if self._output in events else None
        if data is None:
            return []
        if not data:
            return None
        if len(self._rest) > _LONGEST_LINE:
            raise ValueError(f"it wrote a line of more than {_LONGEST_LINE} bytes")
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def kill(self) -> None:
        """Kill it immediately, also while it is stopped."""
        self._process.kill()

    def end(self) -> str:
        """Kill it, reap it and close the pipes, once; returns how it ended."""
        self.ready = False  # first: during the wait below no other thread can query the system
        self.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in a driver: it ends when the driver releases it
            self._process.wait(5.0)
        if self._has_error:
            self._error_output.read(self._error)
        self._error_output.close()
        with self._closing:
            if self._pipes is not None:
                self._pipes.close()
                self._pipes = None
        code = self._process.returncode
        if code is None or code >= 0:
            return f"exit code {code}"
        return f"killed by {signal.Signals(-code).name if -code in set(signal.Signals) else -code}"


@final
class _ErrorOutput:
    """Passes the lines of standard error into the journal, at a limited rate."""

    def __init__(self, journal: Journal):
        self._journal, self._rest = journal, b""
        self._allowed, self._moment, self._dropped = float(_ERROR_LINES), time.monotonic(), 0

    def read(self, error: int) -> bool:
        """Read what is available; returns whether the stream is still open."""
        data = _read(error)
        if not data:
            return data is None
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[:_LONGEST_ERROR_LINE]
        for line in lines:
            self._pass_on(line)
        return True

    def close(self) -> None:
        """Flush the last line and the count of dropped ones."""
        self._pass_on(self._rest)
        self._rest = b""
        self._log_dropped()

    def _pass_on(self, line: bytes) -> None:
        now = time.monotonic()
        self._allowed = min(self._allowed + (now - self._moment) * _ERROR_LINES_A_SECOND, float(_ERROR_LINES))
        self._moment = now
        if not line.strip():
            return
        if self._allowed < 1.0:
            self._dropped += 1
            return
        self._log_dropped()
        self._allowed -= 1.0
        self._log("planner process: %s", line[:_LONGEST_ERROR_LINE].decode(errors="replace"))

    def _log_dropped(self) -> None:
        if self._dropped:
            self._log("planner process: %d lines were left out", self._dropped)
            self._dropped = 0

    def _log(self, message: str, *args: Any) -> None:
        self._journal.write(logging.WARNING, message, *args)


def _pipe(child_ends: ExitStack, parent_ends: ExitStack, number: int) -> tuple[int, int]:
    """Open a pipe for the standard descriptor `number`: both ends, each closed by the stack of its side."""
    ends = os.pipe()
    for stack, end in zip((child_ends, parent_ends) if number == 0 else (parent_ends, child_ends), ends, strict=True):
        stack.callback(os.close, end)
    os.set_blocking(ends[1 if number == 0 else 0], False)
    return ends


def _read(descriptor: int) -> bytes | None:
    """Return what is available; empty at the end of the stream, None where nothing is available yet."""
    try:
        return os.read(descriptor, _PIECE)
    except BlockingIOError:
        return None
