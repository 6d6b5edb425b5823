"""Tables whose rows are a dataclass: a CSV, and a JSON file beside it with the manifests of what made the rows.

Both are written whole or not at all, the manifests first: after a failure between the two there may be one too many,
but no row without its own. A column is called as its field, or as the field's metadata say (`column`).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from worldmodel.files import write_atomically

from .file_lock import locked

Row = TypeVar("Row")


def columns(kind: type[Any]) -> dict[str, str]:
    """The columns of a table of `kind` in their order, and the fields that they hold."""
    return {field.metadata.get("column", field.name): field.name for field in fields(kind)}


def read(path: Path, kind: type[Row]) -> list[Row]:
    """The rows at `path`; none where no file is.

    Raises:
      ValueError: other columns than the fields of `kind`, or a cell that is missing or no number.
    """
    if not path.exists():
        return []
    names = columns(kind)
    types = {column: str(field.type) for column, field in zip(names, fields(kind), strict=True)}  # type: ignore[arg-type]
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        found = list(reader.fieldnames or ())
        if found != list(types):
            foreign, missing = sorted(set(found) - set(types)) or "none", sorted(set(types) - set(found)) or "none"
            raise ValueError(f"{path.name} is another table: foreign columns {foreign}, missing {missing}")
        rows = []
        for cells in reader:
            place = f"{path.name}, line {reader.line_num}"
            values = _values(cells, types, place)
            try:
                rows.append(kind(**{names[column]: value for column, value in values.items()}))
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from None
        return rows


def write(path: Path, kind: type[Any], rows: Sequence[Any], digits: int | None = 4) -> None:
    """Write the table, numbers that are not whole with so many digits; None: with all of them."""
    table = io.StringIO(newline="")
    names = columns(kind)
    writer = csv.DictWriter(table, list(names), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = asdict(row)
        writer.writerow({column: _cell(values[name], digits) for column, name in names.items()})
    write_atomically(path, table.getvalue())


def add(
    path: Path,
    kind: type[Any],
    rows: Sequence[Any],
    identity: Sequence[str],
    manifest: Mapping[str, Any],
    digits: int | None = 4,
) -> None:
    """Add rows of one run in place of older ones with the same `identity`, and their manifest to those beside `path`.

    Rows that are added one by one with the same manifest share it. Any number of processes may add at once.

    Raises:
      ValueError: `path` holds another table.
      OSError: the file or its folder cannot be written to.
    """

    def of(row: Any) -> tuple[Any, ...]:
        return tuple(getattr(row, name) for name in identity)

    new = {of(row): row for row in rows}
    same = json.loads(as_json(dict(manifest)))
    with locked(path):
        kept = [row for row in read(path, kind) if of(row) not in new]
        left = {of(row) for row in kept}
        entries = [
            {**entry, "rows": found}
            for entry in read_beside(path) or []
            if (found := [each for each in entry["rows"] if tuple(each) in left])
        ]
        before = [each for entry in entries if entry["manifest"] == same for each in entry["rows"]]
        entries = [entry for entry in entries if entry["manifest"] != same]
        write_beside(path, [*entries, {"rows": [*before, *new], "manifest": same}])
        write(path, kind, [*kept, *new.values()], digits)


def read_beside(path: Path) -> Any:
    """What the file of manifests beside a table holds; None where there is none."""
    beside = _beside(path)
    return json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else None


def write_beside(path: Path, manifests: Any) -> None:
    """Write the file of manifests beside a table."""
    write_atomically(_beside(path), as_json(manifests))


def as_json(value: Any) -> str:
    """The text of a JSON file of ours."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _beside(path: Path) -> Path:
    return path.with_suffix(".manifest.json")


def _values(cells: Mapping[str, str | None], types: Mapping[str, str], place: str) -> dict[str, Any]:
    """The cells of one line in the types of their columns."""
    values: dict[str, Any] = {}
    for name, cell in cells.items():
        if name not in types or cell is None:
            raise ValueError(f"{place} has another number of cells than the {len(types)} columns")
        kind, _, optional = types[name].partition(" | ")
        try:
            empty = cell == "" and bool(optional)
            values[name] = cell if kind == "str" else None if empty else int(cell) if kind == "int" else float(cell)
        except ValueError:
            expected = "a number or empty" if optional else "a number"
            raise ValueError(f"{place}: {name} must be {expected}; got {cell!r}") from None
    return values


def _cell(value: Any, digits: int | None) -> Any:
    return f"{value:.{digits}g}" if digits is not None and isinstance(value, float) else value
