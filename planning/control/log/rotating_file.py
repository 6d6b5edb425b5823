"""A log file that is rotated by size, and that stays readable when the disk is full."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import final


@final
class RotatingFile:
    """A file of whole lines that is rotated by size. Not thread-safe.

    Args:
      path: of the file.
      max_bytes: of one file.
      keep: files in addition to it.
    """

    def __init__(self, path: Path, max_bytes: int, keep: int):
        self._path, self._max_bytes = path, max_bytes
        self._names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, keep + 1))]
        self._file: FileIO | None = None
        self._size = 0  # of whole lines

    def write(self, line: bytes, header: Callable[[], bytes]) -> None:
        """Append a line, after the header where it is the first of its file.

        Raises:
          OSError: the file cannot be written; it still ends with a whole line.
        """
        if self._file is None or (self._size and self._size + len(line) > self._max_bytes):
            self.close()
            self._rotate()
            self._file, self._size = self._path.open("wb", buffering=0), 0
        data = line if self._size else header() + line
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError:
            self._cut()
            raise
        self._size += len(data)

    def close(self) -> None:
        """Close the file. The next line begins another one."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # a network disk may report a failed write only here
                file.close()

    def _cut(self) -> None:
        """Remove the part of a line that was written."""
        assert self._file is not None
        try:
            self._file.truncate(self._size)
            self._file.seek(self._size)
        except OSError:
            self.close()

    def _rotate(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._path.exists() or not self._path.stat().st_size:
            return  # otherwise every failed attempt to begin a file would push an old one out
        for younger, older in reversed(list(zip(self._names, self._names[1:], strict=False))):
            if younger.exists():
                os.replace(younger, older)
