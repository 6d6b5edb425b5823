"""A sign of life for a watchdog outside this process: a counter in shared memory that grows with each command.

Layout of the file, little endian, for a watchdog in any language:

| bytes | type | what |
|---|---|---|
| 0–7 | uint64 | commands handed out so far; written last |
| 8–15 | float64 | `time.monotonic()` of the last one, in seconds |
| 16–19 | uint32 | its source, a number of `Source`: 4 is the brake |
| 20–23 | uint32 | its reason, a number of `Reason`: 0 is none |
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from .status import Reason, Source

_LAYOUT = struct.Struct("<QdII")


@dataclass(frozen=True)
class Beat:
    """Content of a heartbeat's file."""

    count: int
    time: float  # seconds, of time.monotonic
    source: Source
    reason: Reason


@final
class Heartbeat:
    """Counts commands in a file that other processes map: `/dev/shm/NAME` on Linux never touches a disk.

    Pass `beat` to `RealtimeController(heartbeat=...)`. A process that watches the counter feeds the drive's watchdog as
    long as the counter grows and the source is one that the drive may follow.

    Args:
      path: of the file; an existing file is replaced.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.ftruncate(descriptor, _LAYOUT.size)
            self._memory = mmap.mmap(descriptor, _LAYOUT.size)
        finally:
            os.close(descriptor)
        self._count = 0
        self._memory[:] = bytes(_LAYOUT.size)

    def beat(self, command: Any) -> None:
        """Count a command that was handed out. A few stores to memory: it cannot block."""
        self._count += 1
        struct.pack_into("<dII", self._memory, 8, time.monotonic(), command.source, command.reason)
        struct.pack_into("<Q", self._memory, 0, self._count)

    def close(self) -> None:
        """Unmap the memory and remove the file."""
        self._memory.close()
        self.path.unlink(missing_ok=True)


def read_heartbeat(path: str | Path) -> Beat:
    """Read a heartbeat's file.

    Raises:
      FileNotFoundError: no such file: the controller does not run, or never did.
      ValueError: the file is not a heartbeat.
    """
    content = Path(path).read_bytes()
    if len(content) != _LAYOUT.size:
        raise ValueError(f"{path} has {len(content)} bytes, and a heartbeat {_LAYOUT.size}: is it another file?")
    count, moment, source, reason = _LAYOUT.unpack(content)
    return Beat(count, moment, Source(source), Reason(reason))
