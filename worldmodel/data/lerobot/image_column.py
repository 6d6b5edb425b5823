"""Pictures of an episode in the rows of a parquet file: features of the dtype `image`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from ..video.footage import Footage
from .tables import INTACT, open_table

_FORMATS = ("PNG", "JPEG")


@dataclass(frozen=True)
class ImageColumn(Footage):
    """Pictures of `rows` rows of a file, from row `begin` on.

    Args:
      path: of the file.
      part: name of the episode.
      key: of the column.
      begin: first row, counted from 0.
      rows: number of rows.
    """

    path: Path
    part: str
    key: str
    begin: int
    rows: int

    def __str__(self) -> str:
        return f"{self.key} of {self.part} in {self.path}"

    def frames(self) -> Iterator[tuple[float, UInt8[ndarray, "H W 3"]]]:
        """Iterate over numbers and pictures.

        Raises:
          ImportError: pyarrow is not installed.
          ValueError: the file is damaged, or a row holds no picture.
        """
        for number, cell in enumerate(self._cells()):
            content = cell.get("bytes") if isinstance(cell, dict) else cell
            if not isinstance(content, bytes):
                raise ValueError(
                    f"{self} has no picture in row {number + 1}, only a path or nothing: save the dataset again with "
                    "lerobot, which puts pictures into the rows"
                )
            yield float(number), self._decoded(number, content)

    def align(self, marks: Float[ndarray, "F"]) -> Int[ndarray, "N"]:
        """Return the frame of each row, which is its own."""
        return np.arange(self.rows)

    def _cells(self) -> Iterator[Any]:
        """Iterate over the cells of the rows, of which one group of the file is in memory at a time."""
        file, at = open_table(self.path), 0
        if self.key not in file.schema_arrow.names:
            raise ValueError(f"{self.path} has no column {self.key}: {INTACT}")
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            first, last = max(self.begin - at, 0), min(self.begin + self.rows - at, size)
            if first < last:
                try:
                    column = file.read_row_group(group, columns=[self.key]).column(0)
                except Exception as error:  # pyarrow raises one of its own for each reason
                    raise ValueError(f"{self.path} is damaged ({type(error).__name__}): {INTACT}") from error
                yield from (column[row].as_py() for row in range(first, last))
            at += size

    def _decoded(self, number: int, content: bytes) -> UInt8[ndarray, "H W 3"]:
        from PIL import Image  # imported here: reading data is the only use

        try:
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                return np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(f"{self} is damaged in row {number + 1} ({error}): {INTACT}") from error
