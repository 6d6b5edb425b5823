"""Log lines from code that must not block: queued by `write`, handed to `logging` by a thread.

A call into `logging` blocks for as long as its handler does: on standard error, a pipe that is not drained blocks
forever. The handler's lock then blocks every other thread that logs, too. Code on the control path, and code that
watches over the planner, therefore writes to a journal.
"""

from __future__ import annotations

import logging
import threading
import time
from queue import SimpleQueue
from typing import Any, final

import numpy as np

_LONGEST = 1000  # characters of one argument


@final
class Journal:
    """A bounded queue of log lines before a logger. Any thread may call any method.

    Args:
      logger: takes the lines.
      capacity: lines that may wait; further ones are dropped and counted.

    Raises:
      ValueError: a capacity below 1.
    """

    def __init__(self, logger: logging.Logger, capacity: int = 256):
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1; got {capacity}")
        self.dropped = 0  # lines, since construction
        self._logger, self._capacity, self._reported = logger, capacity, 0
        self._lines: SimpleQueue[tuple[float, int, str, tuple[Any, ...]] | None] = SimpleQueue()  # None wakes
        self._lock = threading.Lock()  # of the thread's start and end; `write` never takes it
        self._thread: threading.Thread | None = None
        self._closing = self._woken = False

    def write(self, level: int, message: str, *args: Any) -> None:
        """Queue a line, or drop it where too many wait. Never blocks and never raises.

        Numbers and strings among `args` are kept as they are, exceptions as their text, and of anything else only the
        type's name: nothing is formatted here, and no object is kept alive. Lines written before `start` or after
        `close` wait for the next of the two.
        """
        if self._lines.qsize() >= self._capacity:
            self.dropped += 1
            return
        self._lines.put((time.time(), level, message, tuple(map(_plain, args))))

    def start(self) -> None:
        """Start handing lines to the logger, unless it is running."""
        with self._lock:
            self._closing = False
            if self._thread is None:
                self._begin()

    def close(self, timeout: float = 1.0) -> None:
        """Hand over all queued lines, including those written without a `start`, and end the thread.

        Args:
          timeout: seconds to wait. A thread that is stuck in a handler ends when the handler returns, or with
            the process; a `start` before then takes it over.
        """
        with self._lock:
            if self._thread is None and not self._lines.empty():
                self._begin()
            thread, self._closing = self._thread, True
            if thread is not None and not self._woken:
                self._woken = True
                self._lines.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _begin(self) -> None:
        thread = threading.Thread(target=self._work, name="journal", daemon=True)
        thread.start()  # before it is stored: this raises where the system has no room for another thread
        self._thread = thread

    def _work(self) -> None:
        while True:
            line = self._lines.get()
            if line is not None:
                self._log(*line)
            if self.dropped > self._reported and self._lines.empty():
                missing, self._reported = self.dropped - self._reported, self.dropped
                self._log(time.time(), logging.WARNING, "%d log lines were dropped: the log is too slow", (missing,))
            if line is None and self._should_end():
                return

    def _should_end(self) -> bool:
        """Whether the woken thread is to end; otherwise it is woken again, or continues."""
        with self._lock:
            if self._closing and self._lines.empty():
                self._thread, self._woken = None, False
                return True
            self._woken = self._closing
            if self._woken:
                self._lines.put(None)
            return False

    def _log(self, moment: float, level: int, message: str, args: tuple[Any, ...]) -> None:
        """Hand one line to the logger, stamped with the moment it was written at."""
        try:
            if self._logger.isEnabledFor(level):
                record = self._logger.makeRecord(self._logger.name, level, __file__, 0, message, args, None)
                record.created, record.msecs = moment, (moment % 1) * 1000
                self._logger.handle(record)
        except Exception:  # a user's handler: the lines after this one still count
            return


def _plain(value: Any) -> Any:
    """Return a value without references, of bounded size."""
    try:
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            return int(value) if value.bit_length() <= 64 else "a huge integer"
        if isinstance(value, BaseException):
            value = f"{type(value).__name__}: {value}"
        if isinstance(value, str):
            return str(value[:_LONGEST])
    except Exception:  # an exception whose text raises
        pass
    return type(value).__name__
