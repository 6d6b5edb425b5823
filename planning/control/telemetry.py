"""What happened at each step, as strict JSON lines: written by a thread of its own, off the control path.

`step` lines tell of actions, `plan` lines hold all that it takes to make a plan again, `run` opens each file. What is
not finite is null. Files turn over by size; where the disk cannot keep up, lines are dropped and counted, never waited
for.
"""

from __future__ import annotations

import json
import logging
import math
import os
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

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
    guards: tuple[str, ...] = ()  # what changed the action: bounds, rate, nonfinite
    events: tuple[str, ...] = ()  # what began (+) and ended (-)
    plan: int | None = None  # sequence number of what is executed
    plan_age_ms: float | None = None
    observation_age_ms: float | None = None
    latency_ms: float | None = None  # from an observation sent to its plan in use: p95 of the last ones
    compute_ms: float | None = None  # of the newest plan
    deadline_margin_ms: float | None = None  # what was left of the plan's deadline
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
    prediction_error: float | None = None  # how far off the previous plan's own picture of now is


@final
class Telemetry:
    """Lines into `path`; when it grows beyond `max_bytes` it becomes `path.1`, what was that `path.2`, and so on.

    Args:
      path: of the file that is written to; an older one is turned over first.
      max_bytes: of one file.
      keep: files beside the one that is written to.
      capacity: lines that may wait.
      header: what belongs to the run: the bundle's hash, its contract.
    """

    def __init__(
        self,
        path: str | Path,
        max_bytes: int = 64 * 2**20,
        keep: int = 4,
        capacity: int = 10_000,
        header: dict[str, Any] | None = None,
    ):
        if max_bytes < 1 or keep < 0 or capacity < 1:
            raise ValueError(f"max_bytes and capacity must be positive; got {max_bytes} and {capacity}")
        self.path = Path(path)
        self.dropped = 0
        self.header = dict(header or {})
        self._max_bytes, self._keep = max_bytes, keep
        self._waiting: deque[Any] = deque()
        self._capacity = capacity
        self._lock = threading.Lock()  # of the file; nobody on the control path takes it
        self._wake, self._closing = threading.Event(), False
        self._file: Any = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write in the background."""
        if self._thread is None:
            self._closing = False
            self._thread = threading.Thread(target=self._work, name="telemetry", daemon=True)
            self._thread.start()

    def write(self, line: PlanReport | dict[str, Any]) -> None:
        """Take a line. It is written soon, or dropped where too many wait."""
        if len(self._waiting) >= self._capacity:
            self.dropped += 1
            if self.dropped == 1:
                logger.warning("telemetry: lines are dropped, for %s takes them too slowly", self.path.name)
            return
        self._waiting.append(line)

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            while self._waiting:
                line = self._waiting.popleft()
                self._put(as_line(line if isinstance(line, dict) else {"kind": "step", **asdict(line)}))
            if self._file is not None:
                self._file.flush()

    def close(self) -> None:
        """Write what waits and end."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.flush()
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _work(self) -> None:
        while not self._closing:
            self._wake.wait(0.2)
            try:
                self.flush()
            except OSError as error:
                logger.warning("telemetry ends, %s cannot be written: %s", self.path.name, error.strerror)
                self._capacity = 0
                return

    def _put(self, text: str) -> None:
        if self._file is None or self._file.tell() + len(text) > self._max_bytes:
            if self._file is not None:
                self._file.close()
            self._turn_over()
            self._file = self.path.open("w", encoding="utf-8")
            self._file.write(as_line({"kind": "run", **self.header}))
        self._file.write(text)

    def _turn_over(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        names = [self.path, *(self.path.with_name(f"{self.path.name}.{n}") for n in range(1, self._keep + 1))]
        for younger, older in reversed(list(zip(names, names[1:], strict=False))):
            if younger.exists():
                os.replace(younger, older)


def read_lines(path: str | Path) -> Iterator[dict[str, Any]]:
    """Every line of a log, the files that it was turned over into first. A last line that is cut off is left out.

    Raises:
      FileNotFoundError: there is no such log.
      ValueError: a line that is no JSON object.
    """
    path = Path(path)
    older: list[Path] = []
    while (file := path.with_name(f"{path.name}.{len(older) + 1}")).exists():
        older.append(file)
    for file in (*reversed(older), path):
        with file.open(encoding="utf-8", errors="replace") as lines:
            for number, text in enumerate(lines, 1):
                if not text.endswith("\n"):
                    break  # the writer died in the middle of it
                try:
                    line = json.loads(text)
                except (ValueError, RecursionError):
                    line = None
                if not isinstance(line, dict):
                    raise ValueError(f"{file.name}, line {number} is no JSON object: is this a log of jepa-mpc?")
                yield line


def as_line(values: dict[str, Any]) -> str:
    """One line of strict JSON."""
    return json.dumps(_strict(values), allow_nan=False, separators=(",", ":")) + "\n"


def _strict(value: Any) -> Any:
    """What JSON can say: no NaN, no infinity, no array, no enumeration."""
    if isinstance(value, Source | Reason):
        return value.name.lower()
    if isinstance(value, bool | str | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _strict(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic):
        return _strict(value.tolist())
    raise TypeError(f"{type(value).__name__} cannot be logged")
