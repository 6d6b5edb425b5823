"""Episode in a video file that holds several, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from .footage import Footage
from .video_file import read_video

_NEAR = 0.5  # frame intervals between a row's moment and its frame


@dataclass(frozen=True, eq=False)
class Segment(Footage):
    """Frames of an episode with N rows. Each row has a frame of its own, the one at its moment.

    Args:
      path: of the video.
      part: name of the episode.
      begin: time stamp in the video at which the episode begins, in seconds.
      moments: of the rows, in seconds since then.
      interval: seconds between two frames.
    """

    path: Path
    part: str
    begin: float
    moments: Float[ndarray, "N"]
    interval: float

    def __str__(self) -> str:
        return f"{self.path}, from {self.begin:.3f} s on ({self.part}),"

    def frames(self) -> Iterator[tuple[float, UInt8[ndarray, "H W 3"]]]:
        """Iterate over the time stamps and frames between the first row and the last.

        Raises:
          ImportError: PyAV is not installed.
          ValueError: a video that cannot be read, or that ends before the episode begins.
        """
        stamps = self.begin + self.moments[[0, -1]]
        empty = True
        for stamp, frame in read_video(self.path, stamps[0] - _NEAR * self.interval, stamps[1] + _NEAR * self.interval):
            empty = False
            yield stamp, frame
        if empty:
            raise ValueError(f"{self} has no frame, and the episode has {len(self.moments)} rows: {_FIX}")

    def align(self, marks: Float[ndarray, "F"]) -> Int[ndarray, "N"]:
        """Return the frame of each row: the one nearest to its moment.

        Raises:
          ValueError: a row without a frame, or two rows with one.
        """
        wanted = self.begin + self.moments
        between = (marks[1:] + marks[:-1]) / 2
        found = np.searchsorted(between, wanted)
        lonely = (np.abs(marks[found] - wanted) > _NEAR * self.interval) | (np.diff(found, prepend=-1) == 0)
        if lonely.any():
            row = int(lonely.argmax())
            raise ValueError(
                f"{self} has {len(marks)} frames for the {len(wanted)} rows of the episode, and none for row "
                f"{row + 1}, at {wanted[row]:.3f} s: {_FIX}"
            )
        return found


_FIX = "take an intact copy of the dataset, or record the episode again"
