"""Pictures of a dataset, decoded once into uncompressed files that are mapped into memory: data may exceed memory."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from ..observation import ObservationSpec

logger = logging.getLogger(__name__)

FOLDER = "frames"  # within the dataset
_KEY, _SHAPE = "key.json", "shape.json"
_ABANDONED = 3600.0  # seconds without a write, after which a half-written cache belongs to no process


def is_cache(folder: Path) -> bool:
    """Whether a folder is a cache of pictures."""
    return (folder / _KEY).is_file() and (folder / _SHAPE).is_file()


class FrameCache:
    """One file of all pictures for each camera of a dataset, in the order of the episodes.

    It is written beside its place and renamed at the end: a kill leaves none, or the one before.

    Args:
      folder: of the dataset. Where it cannot be written, the cache is a temporary one.
      spec: the sensors.
      key: identifies the dataset's contents; a cache with another key is replaced.
      name: of the cache's folder in it.
    """

    def __init__(self, folder: Path, spec: ObservationSpec, key: dict[str, Any], name: str = FOLDER):
        self._folder, self._spec = folder / name, spec
        self._key = json.loads(json.dumps(key))
        self._partial: Path | None = None
        self._files: dict[str, Any] = {}
        self._filled: dict[str, int] = {}

    @property
    def is_complete(self) -> bool:
        """Whether the pictures are there and need not be decoded again."""
        try:
            return bool(json.loads((self._folder / _KEY).read_text(encoding="utf-8")) == self._key)
        except (OSError, ValueError):
            return False

    @property
    def notes(self) -> dict[str, Any]:
        """Notes that `finish` was given."""
        return dict(self._shape().get("notes", {}))

    @property
    def partial(self) -> Path:
        """Folder that becomes the cache; other files in it are removed by `finish`."""
        if self._partial is None:
            self._begin()
        assert self._partial is not None
        return self._partial

    def append(self, readings: dict[str, ndarray]) -> None:
        """Take the pictures of the next episode, `[T+1, H, W, C]` of each camera."""
        for sensor in self._spec.pictures:
            self.write(sensor.name, readings[sensor.name])

    def write(self, camera: str, pictures: ndarray) -> None:
        """Take the next pictures of one camera, `[N, H, W, C]`."""
        if self._partial is None:
            self._begin()
        self._files[camera].write(np.ascontiguousarray(pictures, np.uint8).data)
        self._filled[camera] += len(pictures)

    def finish(self, notes: dict[str, Any] | None = None) -> None:
        """Complete the cache after the last episode.

        Args:
          notes: JSON to keep with the pictures.

        Raises:
          ValueError: something else has the cache's name, which is not removed.
        """
        assert self._partial is not None and len(set(self._filled.values())) == 1
        if self._folder.exists() and not (self._folder / _SHAPE).is_file() and any(self._folder.iterdir()):
            raise ValueError(f"{self._folder} is in the way of a cache of that name: rename it, or move it elsewhere")
        for file in self._files.values():
            file.close()
        for left in {each.name for each in self._partial.iterdir()} - set(self._files):
            (self._partial / left).unlink()
        shape = {"rows": next(iter(self._filled.values())), "notes": notes or {}}
        (self._partial / _SHAPE).write_text(json.dumps(shape), encoding="utf-8")
        (self._partial / _KEY).write_text(json.dumps(self._key), encoding="utf-8")
        self._partial.chmod(0o755)  # mkdtemp makes folders that only their owner can read
        shutil.rmtree(self._folder, ignore_errors=True)
        os.replace(self._partial, self._folder)

    @contextlib.contextmanager
    def filling(self) -> Iterator[None]:
        """Context in which the cache is filled: where that fails, nothing is left behind.

        Raises:
          OSError: the disk is full.
        """
        try:
            yield
        except BaseException as error:
            written = sum(
                self._filled[each.name] * math.prod(each.shape) for each in self._spec.pictures if self._filled
            )
            self.discard()
            if not (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)):
                raise
            full = OSError(
                f"the disk is full, or a quota used up, after {written / 1e6:,.1f} MB of pictures decoded into "
                f"{self._folder.parent}; {shutil.disk_usage(self._folder.parent).free / 1e6:,.1f} MB are free now, and "
                f"nothing was left behind: each picture takes {math.prod(self._spec.pictures[0].shape) / 1e3:,.1f} kB"
            )
            full.errno = error.errno  # as an argument of the constructor, it would prefix the message
            raise full from error

    def discard(self) -> None:
        """Remove what was written since the last `finish`."""
        for file in self._files.values():
            with contextlib.suppress(OSError):  # on a full disk, what is still buffered cannot be written
                file.close()
        if self._partial is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial = None

    def frames(self) -> dict[str, ndarray]:
        """Return the pictures of every camera, mapped into memory and read-only, `[M, H, W, C]` uint8."""
        rows = self._shape()["rows"]
        return {
            each.name: np.memmap(self._folder / each.name, np.uint8, "r", shape=(rows, *each.shape))
            for each in self._spec.pictures
        }

    def _shape(self) -> dict[str, Any]:
        return dict(json.loads((self._folder / _SHAPE).read_text(encoding="utf-8")))

    def _begin(self) -> None:
        prefix = f".{self._folder.name}."
        self._remove_abandoned(prefix)
        try:
            self._partial = Path(tempfile.mkdtemp(prefix=prefix, dir=self._folder.parent))
        except OSError:
            home = Path(tempfile.mkdtemp(prefix="jepa-mpc-frames."))
            logger.warning("%s cannot be written: its pictures are decoded into %s", self._folder.parent, home)
            self._folder = home / FOLDER
            self._partial = Path(tempfile.mkdtemp(prefix=prefix, dir=home))
        self._files = {each.name: (self._partial / each.name).open("wb") for each in self._spec.pictures}
        self._filled = dict.fromkeys(self._files, 0)

    def _remove_abandoned(self, prefix: str) -> None:
        """Remove what killed processes left behind; another process may be writing its own at this moment."""
        for left in self._folder.parent.glob(f"{prefix}*"):
            with contextlib.suppress(OSError):  # another process removes it, too
                written = max(file.stat().st_mtime for file in (left, *left.iterdir()))
                if time.time() - written > _ABANDONED:
                    shutil.rmtree(left, ignore_errors=True)
