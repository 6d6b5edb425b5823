"""Tables whose rows are a dataclass: a CSV, and a JSON file next to it with the manifests of the rows.

Both are written whole or not at all, the manifests first: after a failure between the two there may be an extra one,
but no row without its own. A column is named after its field, or by the field's metadata (`column`).

Each manifest names the version of the table's format (`table_format`); one without is of version 1. A column whose
field has a default needs no new version. To change a table otherwise: raise `FORMAT`, add one function to `UPGRADES`,
and keep one row of the old version in `tests/data/formats`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from worldmodel.data.csv_table import Table, read_table
from worldmodel.files import write_atomically

from .file_lock import locked

Row = TypeVar("Row")

FORMAT = 1
FORMAT_KEY = "table_format"  # in a manifest

Cells = dict[str, str]  # of one row, by column
Upgrade = Callable[[type[Any], Cells], Cells]

# From each earlier version to the next one. An upgrade is a pure function named after its change. It gets
# the rows of tables of every kind, and returns those that have no old columns as they are.
UPGRADES: dict[int, Upgrade] = {}

_DIGITS = re.compile(r"[+-]?\d+", re.ASCII)


def columns(kind: type[Any]) -> dict[str, str]:
    """Columns of a table of `kind` in order, with their fields."""
    return {field.metadata.get("column", field.name): field.name for field in fields(kind)}


def needed(kind: type[Any]) -> set[str]:
    """Columns that a table of `kind` cannot lack: those of fields without a default."""
    return {
        field.metadata.get("column", field.name)
        for field in fields(kind)
        if field.default is MISSING and field.default_factory is MISSING
    }


def read(path: Path, kind: type[Row]) -> list[Row]:
    """Read the rows at `path`; empty if there is no file. Columns may be in any order.

    A column whose field has a default may be missing. A table of an earlier version is upgraded to the current one.

    Raises:
      ValueError: not a CSV file, a newer version, columns that are missing or foreign, or a cell that is missing or no
        number.
    """
    if not path.exists():
        return []
    names = columns(kind)
    types = {column: str(field.type) for column, field in zip(names, fields(kind), strict=True)}  # type: ignore[arg-type]
    table = read_table(path, list(names))
    upgrades = _upgrades(path)
    _check_columns(path, kind, [name for name in _renamed(kind, table.names, upgrades) if name])
    rows = []
    for cells, line in zip(table.rows, table.lines, strict=True):
        place = f"{path.name}, line {line}"
        if len(cells) != len(table.names):
            raise ValueError(f"{place} has another number of cells than the {len(table.names)} columns")
        given = {name: cell for name, cell in zip(table.names, cells, strict=True) if name}
        for upgrade in upgrades:
            given = upgrade(kind, given)
        values = {names[column]: _value(cell, types[column], column, table, place) for column, cell in given.items()}
        try:
            rows.append(kind(**values))
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
    return rows


def write(path: Path, kind: type[Any], rows: Sequence[Any], digits: int | None = 4) -> None:
    """Write the table, with the given number of digits for non-integers; None: all digits."""
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
    replaced: Sequence[str] = (),
) -> None:
    """Add rows of one run, replacing older ones with the same `identity`, and their manifest next to `path`.

    Rows that are added one by one with the same manifest share it. Any number of processes may add concurrently.

    Args:
      path: the table.
      kind: dataclass of its rows.
      rows: the new ones.
      identity: fields that identify a row.
      manifest: of the new rows.
      digits: of non-integers; None: all digits.
      replaced: fewer fields, where all older rows that have them in common with a new one are replaced.

    Raises:
      ValueError: `path` holds another table.
      OSError: the file or its folder cannot be written to.
    """

    def of(row: Any) -> tuple[Any, ...]:
        return tuple(getattr(row, name) for name in identity)

    def group(row: Any) -> tuple[Any, ...]:
        return tuple(getattr(row, name) for name in replaced or identity)

    new = {of(row): row for row in rows}
    groups = {group(row) for row in rows}
    same = json.loads(as_json(dict(manifest)))
    with locked(path):
        kept = [row for row in read(path, kind) if group(row) not in groups]
        left = {of(row) for row in kept}
        entries = [
            {**entry, "rows": found}
            for entry in read_entries(path)
            if (found := [full for each in entry["rows"] if (full := among(each, left)) is not None])
        ]
        before = [each for entry in entries if entry["manifest"] == same for each in entry["rows"]]
        entries = [entry for entry in entries if entry["manifest"] != same]
        write_beside(path, [*entries, {"rows": [*before, *new], "manifest": same}])
        write(path, kind, [*kept, *new.values()], digits)


def manifests_by_row(path: Path, identities: Iterable[tuple[Any, ...]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Manifest of each of these identities of rows, where `add` has written one.

    Raises:
      ValueError: the file of the manifests is damaged.
    """
    left = set(identities)
    entries = [(among(each, left), entry["manifest"]) for entry in read_entries(path) for each in entry["rows"]]
    return {identity: made for identity, made in entries if identity is not None}


def among(stored: Sequence[Any], identities: Collection[tuple[Any, ...]]) -> tuple[Any, ...] | None:
    """Return the one of the identities that a stored one means; None if it means none of them.

    One that was written before a field was added at the end is shorter.
    """
    if tuple(stored) in identities:
        return tuple(stored)
    return next((each for each in identities if len(each) > len(stored) and each[: len(stored)] == tuple(stored)), None)


def read_beside(path: Path) -> Any:
    """Read the manifest file of a table; None if there is none.

    Raises:
      ValueError: the file is not JSON.
    """
    beside = _beside(path)
    if not beside.exists():
        return None
    try:
        return json.loads(beside.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{beside} is no JSON ({error}): {_mend(path)}") from error


def read_entries(path: Path) -> list[dict[str, Any]]:
    """Read the manifests of a table written by `add`, each with the identities of its rows; empty if there is no file.

    Raises:
      ValueError: the file is damaged.
    """
    entries = read_beside(path) or []
    whole = isinstance(entries, list) and all(
        isinstance(entry, dict)
        and isinstance(entry.get("manifest"), dict)
        and isinstance(entry.get("rows"), list)
        and all(
            isinstance(row, list) and not any(isinstance(cell, list | dict) for cell in row) for row in entry["rows"]
        )
        for entry in entries
    )
    if not whole:
        raise ValueError(f"{_beside(path)} holds no manifests of rows: {_mend(path)}")
    return list(entries)


def write_beside(path: Path, manifests: Any) -> None:
    """Write the manifest file of a table."""
    write_atomically(_beside(path), as_json(manifests))


def as_json(value: Any) -> str:
    """Text of a JSON file in the project's format."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _mend(path: Path) -> str:
    return f"restore it, or remove {path.name} as well"


def _beside(path: Path) -> Path:
    return path.with_suffix(".manifest.json")


def _version(path: Path) -> int:
    """Format version of a table: the newest of its manifests, since adding a row rewrites the whole table."""
    try:
        stored = read_beside(path)
    except (OSError, ValueError):  # readers of the manifests report the error
        return 1
    entries = stored.values() if isinstance(stored, dict) else stored if isinstance(stored, list) else ()
    manifests = [entry.get("manifest", entry) for entry in entries if isinstance(entry, dict)]
    found = [made.get(FORMAT_KEY, 1) for made in manifests if isinstance(made, dict)]
    return max((version for version in found if type(version) is int), default=1)


def _upgrades(path: Path) -> list[Upgrade]:
    """Upgrades from a table's format to the current one, in order. Raises ValueError on a newer format."""
    version = _version(path)
    if version > FORMAT:
        raise ValueError(
            f"{path.name} has format version {version}, and this version reads {FORMAT} and earlier: a newer jepa-mpc "
            "wrote it, so update jepa-mpc, or have this one write to another file"
        )
    if any(older not in UPGRADES for older in range(version, FORMAT)):
        raise ValueError(f"{path.name} has format version {version}, and this version reads {FORMAT}: measure anew")
    return [UPGRADES[older] for older in range(version, FORMAT)]


def _renamed(kind: type[Any], names: Sequence[str], upgrades: Sequence[Upgrade]) -> Sequence[str]:
    """Columns after the upgrades; without upgrades unchanged, duplicates included."""
    if not upgrades:
        return names
    cells = dict.fromkeys(names, "")
    for upgrade in upgrades:
        cells = upgrade(kind, cells)
    return list(cells)


def _check_columns(path: Path, kind: type[Any], found: Sequence[str]) -> None:
    """Raise ValueError if a column is unknown, or one without a default is missing."""
    known = columns(kind)
    foreign, missing = sorted(set(found) - set(known)), sorted(needed(kind) - set(found))
    twice = sorted({name for name in found if found.count(name) > 1})
    if foreign or missing or twice or not set(found) & set(known):
        strange = [name[:40] for name in foreign[:20]] or "none"
        more = f", twice there are {twice}" if twice else ""
        newer = (
            f"; where a newer jepa-mpc wrote it (format version {_version(path)}; this version reads {FORMAT}), "
            "update jepa-mpc"
            if foreign and not missing
            else ""
        )
        raise ValueError(
            f"{path.name} is another table: foreign columns {strange}, missing {missing or 'none'}{more}{newer}"
        )


def _value(cell: str, kind: str, column: str, table: Table, place: str) -> Any:
    """Cell value in the type of its column."""
    kind, _, optional = kind.partition(" | ")
    if kind == "str":
        return cell
    if not cell.strip() and optional:
        return None
    what = "a number or empty" if optional else "a number"
    try:
        number = table.number(cell, column, 0)
    except ValueError:
        raise ValueError(f"{place}: {column} must be {what}; got {cell!r}") from None
    if kind == "float":
        return number
    if not number.is_integer():  # 0.0 and 1e6 are, as pandas and spreadsheets write them
        raise ValueError(f"{place}: {column} must be {what.replace('number', 'whole number')}; got {cell!r}")
    return int(cell) if _DIGITS.fullmatch(cell.strip()) else int(number)  # beyond 2^53 only the digits are exact


def _cell(value: Any, digits: int | None) -> Any:
    return f"{value:.{digits}g}" if digits is not None and isinstance(value, float) else value
