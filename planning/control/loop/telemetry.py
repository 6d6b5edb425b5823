"""One strict JSON line for each control step, written by a separate thread, off the control path.

`run` opens each file, `step` lines hold actions, `plan` lines everything needed to recompute a plan, and a `missing`
line counts the lines that were dropped in its place, a `missing_frames` line the pictures. Values that are not finite
are null. Files rotate by size; where the disk cannot keep up, lines are dropped and counted, never waited for.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

from ..log.frame_ring import FrameRing
from ..log.journal import Journal
from ..log.json_line import as_line
from ..log.rotating_file import RotatingFile
from .status import Reason, Source

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlanReport:
    """One control step. Times in seconds on the loop's clock, durations in milliseconds; None: not known."""

    time: float
    step: int
    source: Source
    reason: Reason
    action: list[float]
    guards: tuple[str, ...] = ()  # limits that changed the action: bounds, rate, nonfinite
    events: tuple[str, ...] = ()  # faults that began (+) and ended (-)
    plan: int | None = None  # sequence number of the plan in execution
    plan_age_ms: float | None = None
    observation_age_ms: float | None = None
    latency_ms: float | None = None  # from an observation sent to its plan in use: p95 of the last ones
    compute_ms: float | None = None  # of the newest plan
    deadline_margin_ms: float | None = None  # time left until the plan's deadline
    iterations: int | None = None
    frozen: int | None = None  # actions that were committed before the plan began
    cost: float | None = None
    terms: dict[str, float] = field(default_factory=dict)
    margins: dict[str, float] = field(default_factory=dict)
    rank: int | None = None  # which of the best plans the validator took
    spread: float | None = None
    surprise: float | None = None
    surprise_threshold: float | None = None
    disagreement: float | None = None
    prediction_error: float | None = None  # error of the previous plan's prediction of now
    filled: dict[str, float] = field(default_factory=dict)  # imagined sensors, and the trust in each, 0 to 1
    frame: int | None = None  # number of the newest observation's pictures in the ring beside the log


@final
class Telemetry:
    """Writes lines into `path`; beyond `max_bytes` it becomes `path.1`, the former `path.1` `path.2`, and so on.

    While the file cannot be written, lines wait, and the excess is dropped. Once it can be written again, the waiting
    lines are written, and then a line `{"kind": "missing", "lines": n}` in place of those that were dropped.

    Args:
      path: of the file that is written to; an existing one is rotated first.
      max_bytes: of one file.
      keep: files in addition to the one that is written to.
      capacity: lines that may wait.
      header: description of the run: the bundle's hash, its contract.
      frame_bytes: budget on disk for pictures, in the folder `path.frames`; 0: none are kept.

    Raises:
      ValueError: a size that is not a whole number in its range, or a path that is a folder.
    """

    def __init__(
        self,
        path: str | Path,
        max_bytes: int = 64 * 2**20,
        keep: int = 4,
        capacity: int = 10_000,
        header: dict[str, Any] | None = None,
        frame_bytes: int = 256 * 2**20,
    ):
        sizes = (("max_bytes", max_bytes, 1), ("keep", keep, 0), ("capacity", capacity, 1))
        for name, value, least in (*sizes, ("frame_bytes", frame_bytes, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be a whole number, {least} or more; got {value!r}")
        self.path = Path(path)
        if self.path.is_dir():
            raise ValueError(f"{path} is a folder: give the path of a file in it")
        self.dropped = 0  # lines, since construction
        self.header = dict(header or {})
        self.frames: FrameRing | None = None  # where a controller with a camera asked for it
        self._frame_bytes, self._frames_missing = frame_bytes, 0
        self._capacity, self._missing = capacity, 0
        self._waiting: deque[Any] = deque()
        self._file = RotatingFile(self.path, max_bytes, keep)
        self._lock = threading.Lock()  # of the file; the control path never takes it
        self._lifecycle_lock = threading.Lock()  # of `start` and `close`
        self._state = threading.Lock()  # of `_closing` and `_thread`
        self._wake, self._closing = threading.Event(), False
        self._thread: threading.Thread | None = None
        self._journal = Journal(logger)

    def keep_frames(self) -> FrameRing | None:
        """Return the ring of pictures beside the log, from the next `start` on; None where no budget is left to it."""
        if self.frames is None and self._frame_bytes:
            self.frames = FrameRing(frames_beside(self.path), self._frame_bytes)
        return self.frames

    def start(self) -> None:
        """Start writing in the background, unless it is running."""
        with self._lifecycle_lock:
            self._journal.start()
            if self.frames is not None:
                self.frames.start()
            with self._state:
                self._closing = False
                self._wake.clear()
                if self._thread is None:
                    thread = threading.Thread(target=self._work, name="telemetry", daemon=True)
                    thread.start()
                    self._thread = thread

    def write(self, line: PlanReport | dict[str, Any]) -> None:
        """Queue a line. It is written soon, or dropped where too many wait. Never blocks."""
        if len(self._waiting) >= self._capacity:
            self.dropped += 1
            self._missing += 1
            if self._missing == 1:
                name = self.path.name
                self._journal.write(logging.WARNING, "telemetry: lines are dropped, because %s is too slow", name)
            return
        if self._missing:
            missing, self._missing = self._missing, 0
            self._waiting.append({"kind": "missing", "lines": missing})
        self._waiting.append(line)

    def flush(self) -> None:
        """Write all queued lines.

        Raises:
          OSError: the file cannot be written. The lines stay queued.
        """
        with self._lock:
            if self.frames is not None and (lost := self.frames.dropped - self._frames_missing):
                self._frames_missing += lost
                self._waiting.append({"kind": "missing_frames", "frames": lost})
            while True:
                if not self._waiting:
                    missing, self._missing = self._missing, 0
                    if not missing:
                        return
                    self._waiting.append({"kind": "missing", "lines": missing})
                line = self._waiting[0]
                try:
                    text = as_line(line if isinstance(line, dict) else {"kind": "step", **asdict(line)})
                except Exception as error:
                    self.dropped += 1
                    self._journal.write(logging.ERROR, "telemetry: a line cannot be logged and is dropped: %s", error)
                    text = as_line({"kind": "missing", "lines": 1})
                self._file.write(text.encode(), self._header)
                self._waiting.popleft()

    def close(self, timeout: float = 5.0) -> None:
        """Write all queued lines, and end. Never raises.

        Args:
          timeout: seconds to wait for a disk that hangs; lines that it has not taken by then are lost.
        """
        with self._lifecycle_lock:
            if self.frames is not None:
                self.frames.close(timeout)
            with self._state:
                thread, self._closing = self._thread, True
                self._wake.set()
            if thread is not None:
                thread.join(timeout)
            if thread is not None and thread.is_alive():
                self._journal.write(logging.WARNING, "telemetry: %s hangs, and lines are lost", self.path.name)
            else:
                self._finish()
            self._journal.close()

    def _finish(self) -> None:
        """Write all queued lines, or give them up, and close the file."""
        try:
            self.flush()
        except OSError as error:
            before = sum(_missing(line) for line in self._waiting)  # counted already
            lost = sum(not _missing(line) for line in self._waiting)
            self._waiting.clear()
            self.dropped += lost
            self._missing += before + lost
            if lost:
                message = "telemetry: %d lines are lost, because %s cannot be written: %s"
                self._journal.write(logging.WARNING, message, lost, self.path.name, error.strerror)
        with self._lock:
            self._file.close()

    def _work(self) -> None:
        broken = ended = False
        while not ended:
            self._wake.wait(1.0 if broken else 0.2)
            try:
                self.flush()
                if broken:
                    self._journal.write(logging.WARNING, "telemetry: %s is written again", self.path.name)
                broken = False
            except Exception as error:
                if not broken:
                    message = "telemetry: %s cannot be written, and is retried: %s"
                    self._journal.write(logging.WARNING, message, self.path.name, error)
                broken = True
            with self._state:
                if ended := self._closing:
                    self._thread = None

    def _header(self) -> bytes:
        return as_line({"kind": "run", **self.header}).encode()


def _missing(line: Any) -> int:
    """Count of missing lines that a line stands for."""
    return int(line["lines"]) if isinstance(line, dict) and line.get("kind") == "missing" else 0


def frames_beside(path: str | Path) -> Path:
    """Return the folder of the frames of a log."""
    return Path(path).with_name(f"{Path(path).name}.frames")


def read_lines(path: str | Path) -> Iterator[dict[str, Any]]:
    """Every line of a log, rotated files first. A last line that is cut off is left out.

    Raises:
      FileNotFoundError: there is no such log.
      ValueError: a line that is not a JSON object.
    """
    path = Path(path)
    older: list[Path] = []
    while (file := path.with_name(f"{path.name}.{len(older) + 1}")).exists():
        older.append(file)
    for file in (*reversed(older), path):
        with file.open(encoding="utf-8", errors="replace") as lines:
            for number, text in enumerate(lines, 1):
                if not text.endswith("\n"):
                    break  # the writer died in the middle of the line
                try:
                    line = json.loads(text)
                except (ValueError, RecursionError):
                    line = None
                if not isinstance(line, dict):
                    raise ValueError(f"{file.name}, line {number} is not a JSON object: is this a log of jepa-mpc?")
                yield line
