"""Ctrl-C handling: the program always ends within two seconds and leaves no process behind.

Python raises KeyboardInterrupt only between two bytecode instructions, and XLA may compile for a minute without one. So
a thread watches too, and ends the process after a grace period. It exits without finalizing Python, because XLA crashes
if it is torn down while it compiles.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from .shadowing import PROGRAM

CODE = 130
SENTENCE = "interrupted; every file that was complete is kept"
GRACE_SECONDS = 1.2  # for a command to end by itself, close its files and print its results

_interrupted = threading.Event()


def watch() -> None:
    """End this process on any later interrupt. Call it from the main thread."""
    receiving, sending = os.pipe()
    os.set_blocking(sending, False)
    # Python's C handler writes the signal's number immediately, whatever the main thread does.
    signal.set_wakeup_fd(sending, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, _raise)
    threading.Thread(target=_end_after, args=(receiving,), name="interrupt", daemon=True).start()


def happened() -> bool:
    """Whether there was an interrupt; errors after it are not reported."""
    return _interrupted.is_set()


def leave(sentence: str | None = SENTENCE) -> NoReturn:
    """End this process and its children now, with the exit code of an interrupt."""
    for child in _children():
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    if sentence is not None:
        cursor = "\r\x1b[K\x1b[?25h" if os.isatty(2) else ""  # a progress bar hides it
        os.write(2, f"{cursor}{PROGRAM}: {sentence}\n".encode())
    os._exit(CODE)


def _raise(number: int, frame: FrameType | None) -> None:
    _interrupted.set()
    sys.unraisablehook = lambda _: None  # where nothing can be raised, the interrupt itself would be printed
    raise KeyboardInterrupt


def _end_after(receiving: int) -> None:
    """Wait for an interrupt, then for the main thread; a second interrupt does not wait."""
    while os.read(receiving, 1)[0] != signal.SIGINT:
        pass
    _interrupted.set()
    threading.Thread(target=_leave_at_second, args=(receiving,), daemon=True).start()
    threading.Event().wait(GRACE_SECONDS)
    leave()


def _leave_at_second(receiving: int) -> None:
    while os.read(receiving, 1)[0] != signal.SIGINT:
        pass
    leave()


def _children() -> list[int]:
    """PIDs of the processes that this one started; empty where /proc does not list them: they end with their pipes."""
    found: list[int] = []
    for tasks in Path("/proc/self/task").glob("*/children"):
        try:
            found += map(int, tasks.read_text().split())
        except OSError:
            continue
    return found
