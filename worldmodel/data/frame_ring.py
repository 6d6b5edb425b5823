"""Pictures of a replay buffer, one a moment, in files that are mapped into memory: 100,000 of 64 × 64 are 1.2 GB."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray

from ..observation import ObservationSpec


@final
class FrameRing:
    """Pictures at the slots of a `Replay`, one file for each camera, `[E, S, H, W, C]` uint8.

    The files are sparse: they take the room of what was written.

    Args:
      path: of the files, without the name of the camera.
      spec: the sensors.
      environments: E.
      slots: S.
      resume: whether to continue with the files of an earlier run, instead of empty ones.

    Raises:
      ValueError: files that are missing or of another size.
    """

    def __init__(self, path: Path, spec: ObservationSpec, environments: int, slots: int, resume: bool):
        self._files = {each.name: path.with_name(f"{path.name}.{each.name}") for each in spec.pictures}
        self._frames: dict[str, np.memmap] = {}
        for sensor in spec.pictures:
            file, shape = self._files[sensor.name], (environments, slots, *sensor.shape)
            size = int(np.prod(shape))
            if not resume:
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("wb") as new:
                    new.truncate(size)
            elif not file.is_file() or file.stat().st_size != size:
                raise ValueError(
                    f"{file}, with the pictures of the run that was interrupted, is missing or of another size: remove "
                    "the run's .training.safetensors to begin anew"
                )
            self._frames[sensor.name] = np.memmap(file, np.uint8, "r+", shape=shape)

    def write(self, slots: Int[ndarray, "E"], pictures: Mapping[str, ndarray], where: ndarray) -> None:
        """Write the pictures of the environments `where`.

        Args:
          slots: of each environment.
          pictures: `[E, H, W, C]` by sensor; other sensors are left out.
          where: `[E]` bool.
        """
        rows = np.flatnonzero(where)
        for name, frames in self._frames.items():
            frames[rows, slots[rows]] = pictures[name][rows]

    def read(self, rows: Int[ndarray, "..."], slots: Int[ndarray, "..."]) -> dict[str, UInt8[ndarray, "... H W C"]]:
        """Copies of the pictures at some slots of some environments, by sensor."""
        return {name: frames[rows, slots] for name, frames in self._frames.items()}

    def flush(self) -> None:
        """Write to disk what is only in memory."""
        for frames in self._frames.values():
            frames.flush()

    def remove(self) -> None:
        """Delete the files."""
        self._frames = {}
        for file in self._files.values():
            file.unlink(missing_ok=True)
