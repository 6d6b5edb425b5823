"""Frames of one episode in a file that holds those of several."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from jaxtyping import Float, Int, UInt8
from numpy import ndarray


class Footage(ABC):
    """Frames of one camera in one episode. As a string, it is named as in messages."""

    path: Path  # of the file

    @abstractmethod
    def frames(self) -> Iterator[tuple[float, UInt8[ndarray, "H W 3"]]]:
        """Iterate over the frames, with a mark that increases: a time stamp in seconds, or a number.

        Raises:
          ImportError: the package that reads the file is not installed.
          ValueError: the file cannot be used.
        """

    @abstractmethod
    def align(self, marks: Float[ndarray, "F"]) -> Int[ndarray, "N"]:
        """Return the frame of each row of the episode, as an index into the marks of all `frames`.

        Raises:
          ValueError: there are not as many frames as rows.
        """
