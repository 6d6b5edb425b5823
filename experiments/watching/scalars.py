"""The table of a training run's scalars: a CSV with a row a step and a column a scalar."""

from __future__ import annotations

import csv
import io
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import final

from worldmodel.files import write_atomically

logger = logging.getLogger(__name__)

STEP = "step"
SUFFIX = ".scalars.csv"
_SECONDS = 5.0  # between two writings of the file, which is written whole


def scalars_file(model: Path) -> Path:
    """Path of the table that belongs to a model file."""
    return model.with_suffix(SUFFIX)


def read(path: Path) -> list[dict[str, float]]:
    """Read the rows of a table, each with its `step`; scalars that a step does not have are left out.

    Raises:
      ValueError: the file is not such a table.
      OSError: it cannot be read.
    """
    rows = []
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        if table.fieldnames is None or table.fieldnames[0] != STEP:
            raise ValueError(f"{path} has no column {STEP} at its beginning: it is another table")
        for line in table:
            rows.append({name: float(cell) for name, cell in line.items() if cell})
    return rows


@final
class ScalarTable:
    """Rows of one run, which are on disk after every `flush`.

    Args:
      path: of the file; an older table is replaced, but for the rows up to `resumed_at`.
      resumed_at: step at which the run goes on; 0: a new run.
    """

    def __init__(self, path: Path, resumed_at: int = 0):
        self._path, self._changed, self._written = path, False, time.monotonic()
        self._rows: dict[int, dict[str, float]] = {}
        if resumed_at and path.exists():
            try:
                self._rows = {int(row[STEP]): row for row in read(path) if row[STEP] <= resumed_at}
            except (OSError, ValueError, KeyError, TypeError) as error:
                logger.warning("%s begins anew at step %d, because it cannot be read (%s)", path, resumed_at, error)

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Take the scalars of one step, beside those that it has already."""
        self._rows.setdefault(step, {STEP: step}).update(scalars)
        self._changed = True
        if time.monotonic() - self._written > _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the file, if anything is new.

        Raises:
          OSError: the disk is full, or the folder cannot be written to.
        """
        if not self._changed:
            return
        names = list(dict.fromkeys(name for row in self._rows.values() for name in row))
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_cell(row.get(name)) for name in names] for row in self._rows.values())
        write_atomically(self._path, text.getvalue())
        self._changed, self._written = False, time.monotonic()


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if math.isfinite(value) and value == int(value) else f"{value:.7g}"
