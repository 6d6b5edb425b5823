"""Parquet tables, read with pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

INTACT = "take an intact copy of the dataset"


def pyarrow(path: Path) -> Any:
    """Return the package pyarrow, with its parquet module.

    Args:
      path: what needs it, for the message.

    Raises:
      ImportError: it is not installed.
    """
    try:
        import pyarrow  # imported here: only LeRobot datasets need it
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            f"{path} is a LeRobot dataset, which needs pyarrow: pip install 'jepa-mpc[lerobot]'"
        ) from error
    return pyarrow


def open_table(path: Path) -> Any:
    """Open a parquet file, of which nothing but the names of columns is read.

    Raises:
      ImportError: pyarrow is not installed.
      ValueError: there is no such file, or it is damaged.
    """
    pa = pyarrow(path)
    if not path.is_file():
        raise ValueError(f"there is no file {path}, which the dataset's other files name: {INTACT}")
    try:
        return pa.parquet.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is damaged ({_line(error)}): {INTACT}") from error


def read_table(path: Path, columns: Sequence[str]) -> Any:
    """Read columns of a parquet file.

    Raises:
      ImportError: pyarrow is not installed.
      ValueError: there is no such file or column, or it is damaged.
    """
    pa, file = pyarrow(path), open_table(path)
    if missing := [name for name in columns if name not in file.schema_arrow.names]:
        raise ValueError(f"{path} has no column {missing[0]}: {INTACT}")
    try:
        return file.read(columns=list(dict.fromkeys(columns)))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is damaged ({_line(error)}): {INTACT}") from error


def numbers(path: Path, table: Any, name: str, size: int) -> Shaped[ndarray, "N F"]:
    """Return a column of numbers, or of lists of `size` numbers, in its own dtype; missing numbers are NaN.

    Args:
      path: of the file, for messages.
      table: that was read from it.
      name: of the column.
      size: numbers in a row.

    Raises:
      ValueError: the column holds something else.
    """
    column = table.column(name).combine_chunks()
    if hasattr(column.type, "value_type"):
        column = column.flatten()
    try:
        values = column.to_numpy(zero_copy_only=False)
    except Exception as error:  # pyarrow raises one of its own for each reason
        raise ValueError(f"{path} has no numbers in its column {name} ({_line(error)}): {INTACT}") from error
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{path} has {table.column(name).type} in its column {name}: expected numbers")
    if values.size != len(table) * size:
        raise ValueError(
            f"{path} has {values.size} numbers in the {len(table)} rows of its column {name}, and meta/info.json says "
            f"{size} a row: {INTACT}"
        )
    return np.asarray(values).reshape(len(table), size)


def _line(error: Exception) -> str:
    """Return another library's error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]
