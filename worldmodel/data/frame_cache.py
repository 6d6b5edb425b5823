"""Pictures of a dataset, decoded once into uncompressed files that are mapped into memory: data may exceed memory."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from ..observation import ObservationSpec

logger = logging.getLogger(__name__)

FOLDER = "frames"  # within the dataset
_KEY = "key.json"


class FrameCache:
    """One file of all pictures for each camera of a dataset, in the order of the episodes.

    Args:
      folder: of the dataset. Where it cannot be written, the cache is a temporary one.
      spec: the sensors.
      key: identifies the dataset's contents; a cache with another key is replaced.
    """

    def __init__(self, folder: Path, spec: ObservationSpec, key: dict[str, Any]):
        self._folder, self._spec = folder / FOLDER, spec
        self._key = json.loads(json.dumps(key))
        self._partial: Path | None = None
        self._files: dict[str, Any] = {}
        self._filled = 0

    @property
    def is_complete(self) -> bool:
        """Whether the pictures are there and need not be decoded again."""
        try:
            return bool(json.loads((self._folder / _KEY).read_text(encoding="utf-8")) == self._key)
        except (OSError, ValueError):
            return False

    def append(self, readings: dict[str, ndarray]) -> None:
        """Take the pictures of the next episode, `[T+1, H, W, C]` of each camera."""
        if self._partial is None:
            self._begin()
        assert self._partial is not None
        for sensor in self._spec.pictures:
            self._files[sensor.name].write(np.ascontiguousarray(readings[sensor.name], np.uint8).data)
        self._filled += len(next(iter(readings.values())))

    def finish(self) -> None:
        """Complete the cache after the last episode."""
        assert self._partial is not None
        for file in self._files.values():
            file.close()
        shape = {"rows": self._filled}
        (self._partial / "shape.json").write_text(json.dumps(shape), encoding="utf-8")
        (self._partial / _KEY).write_text(json.dumps(self._key), encoding="utf-8")
        self._partial.chmod(0o755)  # mkdtemp makes folders that only their owner can read
        shutil.rmtree(self._folder, ignore_errors=True)
        os.replace(self._partial, self._folder)

    def frames(self) -> dict[str, ndarray]:
        """Return the pictures of every camera, mapped into memory and read-only, `[M, H, W, C]` uint8."""
        rows = json.loads((self._folder / "shape.json").read_text(encoding="utf-8"))["rows"]
        return {
            each.name: np.memmap(self._folder / each.name, np.uint8, "r", shape=(rows, *each.shape))
            for each in self._spec.pictures
        }

    def _begin(self) -> None:
        try:
            self._partial = Path(tempfile.mkdtemp(prefix=f".{FOLDER}.", dir=self._folder.parent))
        except OSError:
            home = Path(tempfile.mkdtemp(prefix="jepa-mpc-frames."))
            logger.warning("%s cannot be written: its pictures are decoded into %s", self._folder.parent, home)
            self._folder = home / FOLDER
            self._partial = Path(tempfile.mkdtemp(prefix=f".{FOLDER}.", dir=home))
        self._files = {each.name: (self._partial / each.name).open("wb") for each in self._spec.pictures}
