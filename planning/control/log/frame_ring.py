"""A ring of compressed frames beside a log: bounded on disk, written off the control path, readable after a crash.

Frames are numbered, and a log refers to them by number. They lie in files of a folder, oldest first; where the budget
is used up, the oldest file is deleted. A record in a file is `MAGIC`, the sizes of its two parts and their CRC-32
(three little-endian uint32), a header in JSON, and the pictures, compressed by zlib without loss.
"""

from __future__ import annotations

import contextlib
import json
import logging
import struct
import threading
import zlib
from collections import deque
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import final

import numpy as np
from numpy import ndarray

from .journal import Journal

logger = logging.getLogger(__name__)

MAGIC = b"JFR1"
SUFFIX = ".frames"
PARTS = 8  # files that share the budget
WAITING = 32 * 2**20  # bytes of pictures that may wait to be written
SIZES = struct.Struct("<III")
_PAUSE = 0.05  # seconds between two looks at the queue: `add` wakes nobody, which would take a lock
_LEVEL = 1  # of zlib: higher ones take several times longer and save little


@final
class FrameRing:
    """Writes frames into `folder`, at most `max_bytes` in all.

    `add` copies the pictures and returns at once; it takes no lock, and one thread at a time may call it. Where
    pictures come faster than the disk takes them, frames are dropped and counted.

    Args:
      folder: of the files; made with the first frame. Frames of earlier runs stay until the budget needs their place.
      max_bytes: of all files.

    Raises:
      ValueError: a budget that is not a positive whole number.
    """

    def __init__(self, folder: Path, max_bytes: int):
        if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1:
            raise ValueError(f"frame_bytes must be a whole number, 1 or more; got {max_bytes!r}")
        self.folder, self._max_bytes, self._next = folder, max_bytes, 1
        self._queue: deque[tuple[int, float, dict[str, ndarray]]] = deque()
        # Each of these has one writer, so that neither side needs a lock: bytes queued and frames refused by `add`,
        # bytes taken and frames lost by the thread.
        self._queued = self._refused = self._taken = self._lost = 0
        self._wake, self._closing = threading.Event(), False
        self._thread: threading.Thread | None = None
        self._broken = False
        self._file: FileIO | None = None
        self._size = 0  # of the file
        self._files: deque[tuple[Path, int]] = deque()  # finished ones and their sizes, oldest first
        self._journal = Journal(logger)

    @property
    def dropped(self) -> int:
        """Number of frames that were dropped since construction."""
        return self._refused + self._lost

    def start(self) -> None:
        """Look at the frames of earlier runs, whose numbers continue, and start writing, unless it is running."""
        if self._thread is not None:
            return
        self._journal.start()
        found = files_of(self.folder)
        self._files = deque((path, path.stat().st_size) for path in found)
        last = max((number for path in found[-1:] for number, _ in records_of(path)), default=0)
        named = max((int(path.stem) for path in found), default=0)  # a file may have died before its first record
        self._next = max(self._next, last + 1, named + 1)
        self._closing = False
        self._wake.clear()
        self._thread = threading.Thread(target=self._work, name="frames", daemon=True)
        self._thread.start()

    def add(self, pictures: Mapping[str, ndarray], stamp: float) -> int | None:
        """Queue the pictures of one moment; returns their number, or None where they are dropped. Never blocks."""
        if self._thread is None or not pictures:
            return None
        size = sum(each.nbytes for each in pictures.values())
        if self._queue and self._queued - self._taken + size > WAITING:
            self._refused += 1
            self._say("the disk is too slow")
            return None
        number, self._next = self._next, self._next + 1
        self._queued += size
        self._queue.append((number, stamp, {name: each.copy() for name, each in pictures.items()}))
        return number

    def close(self, timeout: float = 5.0) -> None:
        """Write what is queued, and end. Never raises.

        Args:
          timeout: seconds to wait for a disk that hangs; frames that it has not taken by then are lost.
        """
        thread, self._thread = self._thread, None
        if thread is not None:
            self._closing = True
            self._wake.set()
            thread.join(timeout)
        self._journal.close()

    def _work(self) -> None:
        while True:
            self._wake.wait(_PAUSE)
            while self._queue:
                number, stamp, pictures = self._queue.popleft()
                try:
                    self._write(number, record(number, stamp, pictures))
                    self._broken = False
                except Exception as error:
                    self._lost += 1
                    self._say(f"they cannot be written: {error}")
                self._taken += sum(each.nbytes for each in pictures.values())
            if self._closing and not self._queue:
                self._finish()
                return

    def _write(self, number: int, data: bytes) -> None:
        """Append a record, or nothing.

        Raises:
          OSError: the disk does not take it.
        """
        if len(data) > self._max_bytes:
            raise OSError(f"one frame takes {len(data)} bytes, and the budget is {self._max_bytes}")
        if self._file is not None and self._size + len(data) > self._max_bytes // PARTS:
            self._finish()
        while self._files and self._size + len(data) + sum(size for _, size in self._files) > self._max_bytes:
            path, _ = self._files.popleft()
            path.unlink(missing_ok=True)
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file, self._size = (self.folder / f"{number:012d}{SUFFIX}").open("xb", buffering=0), 0
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError:
            self._cut()
            raise
        self._size += len(data)

    def _cut(self) -> None:
        """Remove the part of a record that was written; where that fails, too, another file is begun."""
        assert self._file is not None
        try:
            self._file.truncate(self._size)
            self._file.seek(self._size)
        except OSError:
            self._finish()

    def _finish(self) -> None:
        """Close the file that is written to."""
        file, self._file = self._file, None
        if file is not None:
            self._files.append((Path(str(file.name)), self._size))
            self._size = 0
            with contextlib.suppress(OSError):  # a network disk may report a failed write only here
                file.close()

    def _say(self, why: str) -> None:
        """Log the first of the frames that are dropped in a row."""
        if not self._broken:
            self._broken = True
            self._journal.write(logging.WARNING, "frames of %s are dropped: %s", self.folder.name, why)


def record(number: int, stamp: float, pictures: Mapping[str, ndarray]) -> bytes:
    """Return the bytes of one record."""
    parts = {name: zlib.compress(np.ascontiguousarray(each).tobytes(), _LEVEL) for name, each in pictures.items()}
    sensors = {
        name: {"dtype": str(each.dtype), "shape": list(each.shape), "bytes": len(parts[name])}
        for name, each in pictures.items()
    }
    header = json.dumps({"number": number, "stamp": stamp, "sensors": sensors}).encode()
    payload = b"".join(parts.values())
    return MAGIC + SIZES.pack(len(header), len(payload), zlib.crc32(payload, zlib.crc32(header))) + header + payload


def files_of(folder: Path) -> list[Path]:
    """Return the files of a ring, oldest first."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal()) if folder.is_dir() else []


def records_of(path: Path) -> list[tuple[int, int]]:
    """Return number and place of each whole record of a file, up to the first that is not."""
    found, at, end = [], 0, path.stat().st_size
    with path.open("rb") as file:
        while at + len(MAGIC) + SIZES.size <= end:
            file.seek(at)
            start = file.read(len(MAGIC) + SIZES.size)
            header_size, payload_size, _ = SIZES.unpack(start[len(MAGIC) :])
            following = at + len(start) + header_size + payload_size
            if not start.startswith(MAGIC) or following > end:
                break
            try:
                number = json.loads(file.read(header_size))["number"]
            except (ValueError, KeyError, TypeError, RecursionError):
                break
            if type(number) is not int:
                break
            found.append((number, at))
            at = following
    return found
