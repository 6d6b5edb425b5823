"""Tables whose rows are a dataclass of their own: a CSV with the manifests of its rows beside it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from worldmodel.files import write_atomically

Row = TypeVar("Row")
_TYPES: dict[str, Any] = {"str": str, "int": int, "float": float}


def read(path: Path, kind: type[Row]) -> list[Row]:
    """The rows at `path`; none where no file is.

    Raises:
      ValueError: other columns than the fields of `kind`, or a cell that is missing or no number.
    """
    if not path.exists():
        return []
    types = {field.name: _TYPES[str(field.type)] for field in fields(kind)}  # type: ignore[arg-type]
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if list(reader.fieldnames or ()) != list(types):
            raise ValueError(f"{path.name} is another table: its columns are {reader.fieldnames}, not {list(types)}")
        try:
            return [kind(**{name: types[name](cell) for name, cell in cells.items()}) for cells in reader]
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(f"{path.name}, line {reader.line_num}: a cell is missing or no number") from error


def add(path: Path, rows: Sequence[Any], identity: Sequence[str], manifest: Mapping[str, Any]) -> None:
    """Add rows of one run in place of older ones with the same `identity`, and their manifest to those beside `path`.

    Raises:
      ValueError: `path` holds another table.
    """

    def of(row: Any) -> list[Any]:
        return [getattr(row, name) for name in identity]

    new = [of(row) for row in rows]
    kept = [row for row in read(path, type(rows[0])) if of(row) not in new]
    beside = path.with_suffix(".manifest.json")
    left = [of(row) for row in kept]
    entries = [
        {**entry, "rows": found}
        for entry in (json.loads(beside.read_text()) if beside.exists() else [])
        if (found := [each for each in entry["rows"] if each in left])
    ]
    entries.append({"rows": new, "manifest": dict(manifest)})
    # The manifests go first: after a failure between the two there may be one too many, but no row without its own.
    write_atomically(beside, json.dumps(entries, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, [field.name for field in fields(rows[0])], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in asdict(row).items()} for row in (*kept, *rows))
    write_atomically(path, table.getvalue())


def _cell(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value
