"""Frames of a ring, read back by number."""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy import ndarray

from .frame_ring import MAGIC, SIZES, files_of, records_of

DTYPES = ("float32", "uint8")
MOST = 2**28  # bytes of one picture


@dataclass(frozen=True)
class StoredFrame:
    """The pictures of one moment."""

    number: int
    stamp: float  # seconds on the loop's clock
    pictures: dict[str, ndarray]  # by sensor


@final
class StoredFrames:
    """Frames beside a log, whether or not their writer still runs.

    A record that was cut off, as by a crash, is left out, and so is one whose checksum is wrong.

    Args:
      folder: of the ring, `run.jsonl.frames` for `run.jsonl`; one that does not exist holds no frames.
    """

    def __init__(self, folder: Path):
        self._places = {number: (path, at) for path in files_of(folder) for number, at in records_of(path)}

    @property
    def numbers(self) -> list[int]:
        """Numbers of all frames, ascending."""
        return sorted(self._places)

    def get(self, number: int) -> StoredFrame | None:
        """Return a frame; None where it was overwritten, was never written, or is damaged."""
        if number not in self._places:
            return None
        path, at = self._places[number]
        try:
            with path.open("rb") as file:
                file.seek(at + len(MAGIC))
                header_size, payload_size, checksum = SIZES.unpack(file.read(SIZES.size))
                header, payload = file.read(header_size), file.read(payload_size)
            if zlib.crc32(payload, zlib.crc32(header)) != checksum:
                return None
            return _frame(json.loads(header), payload)
        except (OSError, ValueError, KeyError, TypeError, RecursionError, zlib.error):
            return None


def _frame(header: Any, payload: bytes) -> StoredFrame:
    """Decompress one record; nothing in it is trusted."""
    pictures, at = {}, 0
    for name, sensor in header["sensors"].items():
        shape, dtype = tuple(map(int, sensor["shape"])), sensor["dtype"]
        size = math.prod(shape) * np.dtype(dtype).itemsize if dtype in DTYPES and min(shape) > 0 else 0
        if not 0 < size <= MOST:
            raise ValueError(f"the frame has the shape {shape} and the dtype {dtype}")
        content = zlib.decompressobj().decompress(payload[at : at + sensor["bytes"]], size + 1)
        pictures[str(name)] = np.frombuffer(content, dtype).reshape(shape)
        at += sensor["bytes"]
    return StoredFrame(int(header["number"]), float(header["stamp"]), pictures)
