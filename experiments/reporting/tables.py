"""Tables of rows for a report: those of the suites with their manifests, and any other CSV file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from worldmodel.data.csv_table import read_table

from ..bench import shipped
from ..bench.shipped import Source
from ..evaluation.rewards.measure import IDENTITY as RETURN_IDENTITY
from ..evaluation.rewards.measure import ReturnRow
from ..records import results, table_file

SEEDS = ("seed", "trained_seed")
COMMAND = "command"
# Numbers that are settings rather than measurements, in tables that no suite wrote.
SETTINGS = frozenset(
    [
        "action_block",
        "batch",
        "budget",
        "budget_steps",
        "depth",
        "epoch",
        "evaluations",
        "goal_offset",
        "horizon",
        "iterations",
        "num_samples",
        "seed",
        "size",
        "step",
        "steps",
        "trained_seed",
        "updates",
        "width",
    ]
)

Cells = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows of one file. A missing cell is None; `manifests` has one for each row, or None."""

    path: Path
    columns: tuple[str, ...]
    identity: tuple[str, ...]  # columns that identify a row, seeds included
    rows: tuple[Cells, ...]
    manifests: tuple[Mapping[str, Any] | None, ...]
    values: bool = False  # of the kind case, value, unit

    @property
    def name(self) -> str:
        """File name."""
        return self.path.name

    def made(self) -> list[Mapping[str, Any]]:
        """The different manifests of the rows."""
        return list({_of_run(each): each for each in self.manifests if each is not None}.values())

    def suites(self) -> list[str]:
        """Suites that the rows come from, by their manifests; the one that writes this file if those do not say."""
        named = [suite for each in self.made() if (suite := suite_of(each))]
        writers = [suite for suite, source in shipped.TABLES.items() if source.file == self.name]
        return list(dict.fromkeys(named)) or (writers if len(writers) == 1 else [])


def suite_of(manifest: Mapping[str, Any] | None) -> str:
    """Suite in a manifest; empty for other commands."""
    config = (manifest or {}).get("config")
    suite = config.get("suite") if isinstance(config, Mapping) else None
    return str(suite.get("name") or "") if isinstance(suite, Mapping) else ""


def _of_run(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(manifest.get(name)) for name in ("time", COMMAND, "git"))


def files(paths: Sequence[str], own: Path) -> tuple[list[Path], str]:
    """The files to read, and a sentence on where they come from.

    Args:
      paths: files, or folders whose tables are read; none: those of `own`, or if it has none those that are shipped.
      own: folder of the user's rows.

    Raises:
      FileNotFoundError: a path does not exist, or a folder has no tables.
    """
    if paths:
        found = [file for path in paths for file in _expand(Path(path))]
        return list(dict.fromkeys(found)), f"rows of {', '.join(dict.fromkeys(paths))}"
    if mine := sorted(own.glob("*.csv")):
        return mine, f"rows of {own}"
    return sorted(shipped.FOLDER.glob("*.csv")), (
        f"rows that ship with jepa-mpc, measured on other machines: there are none in {own}; rows=[FILE] reads others"
    )


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        if not (found := sorted(path.glob("*.csv"))):
            raise FileNotFoundError(f"rows={path} is a folder without .csv files: name a file, or another folder")
        return found
    if not path.exists():
        raise FileNotFoundError(
            f"there is no table of rows at {path}: measure some, as with jepa-mpc bench, or name others"
        )
    return [path]


def read(path: Path) -> Table:
    """Read a table, as the kind that its columns tell, or else with the types that its cells tell.

    Raises:
      ValueError: not a CSV file, no columns or no rows, or a damaged cell or manifest.
    """
    names = read_table(path).names
    source = _source(names)
    table = _other(path) if source is None else _known(path, source)
    if not table.rows:
        raise ValueError(f"{path} has no rows: leave it out, or measure something first")
    return table


def selected(tables: Sequence[Table], where: Mapping[str, Any]) -> list[Table]:
    """The rows that have these values; a table without one of the columns is left out.

    Args:
      tables: to select from.
      where: a value or several by column; `*` stands for any characters.

    Raises:
      ValueError: a column that no table has, or no row with these values.
    """
    known = list(dict.fromkeys(column for table in tables for column in table.columns))
    for column in where:
        if column not in known:
            raise ValueError(f"where.{column} is no column of these tables: choose from {', '.join(known)}")
    kept = []
    for table in tables:
        if set(where) <= set(table.columns):
            places = [place for place, row in enumerate(table.rows) if _fits(row, where)]
            if places:
                rows = tuple(table.rows[place] for place in places)
                kept.append(replace(table, rows=rows, manifests=tuple(table.manifests[place] for place in places)))
    if not kept:
        column = next(iter(where))
        there = dict.fromkeys(text(row[column]) for table in tables if column in table.columns for row in table.rows)
        shown = ", ".join(list(there)[:12])
        raise ValueError(f"no row has {', '.join(f'{k}={v}' for k, v in where.items())}; {column} can be {shown}")
    return kept


def text(value: Any) -> str:
    """A cell as words: a number without needless digits, empty if missing."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _fits(row: Cells, where: Mapping[str, Any]) -> bool:
    return all(
        any(_same(row[column], each) for each in (value if isinstance(value, list | tuple) else [value]))
        for column, value in where.items()
    )


def _same(cell: Any, value: Any) -> bool:
    if cell is None or value is None:
        return (cell in (None, "")) and value in (None, "")
    if isinstance(cell, int | float):
        try:
            return math.isclose(cell, float(value), rel_tol=1e-9)
        except (TypeError, ValueError):
            return False
    return fnmatchcase(cell, str(value))


def _source(names: Sequence[str]) -> Source | None:
    """The kind of table that has these columns, all of them or at least those that it needs."""
    known = (*shipped.TABLES.values(), Source("", ReturnRow, RETURN_IDENTITY))
    exact = [source for source in known if set(table_file.columns(source.kind)) == set(names)]
    near = [
        source
        for source in known
        if table_file.needed(source.kind) <= set(names) <= set(table_file.columns(source.kind))
    ]
    return next(iter([*exact, *near]), None)


def _known(path: Path, source: Source) -> Table:
    columns = table_file.columns(source.kind)
    found = table_file.read(path, source.kind)
    try:
        by_identity = dict(shipped.manifests(path, source.identity, found))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the manifests beside {path} are damaged: restore them, or remove them") from error
    manifests = [by_identity.get(tuple(getattr(row, name) for name in source.identity)) for row in found]
    fields = {field: column for column, field in columns.items()}
    return Table(
        path=path,
        columns=tuple(columns),
        identity=tuple(fields[name] for name in source.identity),
        rows=tuple({column: _cell(getattr(row, field)) for column, field in columns.items()} for row in found),
        manifests=tuple(manifests),
        values=source.kind is results.Value,
    )


def _cell(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _other(path: Path) -> Table:
    table = read_table(path)
    columns = {name: list(_typed(table.column(name))) for name in table.names if name}
    if not columns:
        raise ValueError(f"{path} has no columns: its first line must name them")
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    words = [n for n, cells in columns.items() if any(isinstance(c, str) for c in cells) and n != COMMAND]
    identity = [name for name in columns if name in words or name in SETTINGS]
    return Table(path, tuple(columns), tuple(identity), tuple(rows), tuple(None for _ in rows))


def _typed(cells: Sequence[str]) -> Iterator[Any]:
    """Numbers where all cells of a column are numbers, otherwise words."""
    numbers = []
    for cell in cells:
        try:
            number = float(cell) if cell.strip() else None
        except ValueError:
            yield from cells
            return
        numbers.append(None if number is None or not math.isfinite(number) else number)
    whole = all(number is None or number.is_integer() for number in numbers)
    yield from (int(number) if whole and number is not None else number for number in numbers)
