"""Measured results: the row, and the files it is written to.

A row is one measurement with everything that names it; a file keeps, beside the rows, the manifest of each. Files are
written whole or not at all.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from worldmodel.files import write_atomically


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement. What does not apply is empty: "" for words, None for numbers.

    Raises:
      ValueError: a number that is not finite.
    """

    task: str = ""
    observation: str = ""  # state, pixels, pixels_proprio
    protocol: str = ""
    goal_offset: int | None = None  # environment steps from start to goal, where a protocol fixes them
    budget: int | None = None  # environment steps in which the goal has to be reached
    policy: str = ""  # model, oracle, ceiling, random, noop, replay, reflex, or a baseline's name
    planner: str = ""
    model: str = ""
    variant: str = ""  # empty for the default recipe
    seed: int | None = None  # of the training; None for a row pooled over seeds
    episodes: int | None = None
    successes: int | None = None
    success_rate: float | None = None
    ci_low: float | None = None  # 95 % interval
    ci_high: float | None = None
    return_mean: float | None = None
    env_steps: int | None = None  # that the training saw
    train_seconds: float | None = None
    parameters: int | None = None
    plan_ms_p50: float | None = None
    plan_ms_p95: float | None = None
    plan_ms_p99: float | None = None
    command: str = ""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} of a result row must be a finite number or None; got {value}")

    def identity(self) -> tuple[str | int | None, ...]:
        """What is measured: a new measurement of the same replaces the old one."""
        return tuple(getattr(self, name) for name in IDENTITY)


COLUMNS = tuple(field.name for field in fields(Row))
IDENTITY = ("task", "observation", "protocol", "policy", "planner", "model", "variant", "seed")
_TYPES = {field.name: str(field.type).removesuffix(" | None") for field in fields(Row)}


def write_json(path: Path, rows: Sequence[Row], manifest: Mapping[str, Any]) -> None:
    """Write the rows of one run with the manifest of all of them: `{"rows": [...], "manifest": {...}}`."""
    write_atomically(path, _json({"rows": [asdict(row) for row in rows], "manifest": manifest}))


def append_csv(path: Path, rows: Sequence[Row], manifest: Mapping[str, Any]) -> None:
    """Add rows to a suite's table, in place of older rows that measure the same.

    `<suite>.manifest.json` beside it lists every manifest with the identities of the rows it made: rows that are added
    one by one with the same manifest share it.

    Raises:
      ValueError: `path` is no CSV file, or holds another kind of table.
    """
    if path.suffix != ".csv":
        raise ValueError(f"a table of results is a .csv file; got {path.name}")
    new = {row.identity(): row for row in rows}
    kept = [row for row in (read_csv(path) if path.exists() else []) if row.identity() not in new]
    beside = path.with_suffix(".manifest.json")
    known = {row.identity() for row in kept}
    entries = []
    for entry in json.loads(beside.read_text()) if beside.exists() else []:
        identities = [identity for identity in entry["rows"] if tuple(identity) in known]
        if identities:
            entries.append({"rows": identities, "manifest": entry["manifest"]})
    same = json.loads(_json(manifest))
    before = [identity for entry in entries if entry["manifest"] == same for identity in entry["rows"]]
    entries = [entry for entry in entries if entry["manifest"] != same]
    entries.append({"rows": [*before, *new], "manifest": manifest})
    # The manifests go first: after a failure between the two there may be one too many, but no row without its own.
    write_atomically(beside, _json(entries))
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in (*kept, *new.values()))
    write_atomically(path, table.getvalue())


def read_manifests(path: Path) -> dict[tuple[str | int | None, ...], dict[str, Any]]:
    """The manifest of each row of a suite's table, by the row's identity; none where there is no table.

    Raises:
      ValueError: the file beside the table is broken.
    """
    beside = path.with_suffix(".manifest.json")
    try:
        entries = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else []
        return {tuple(identity): entry["manifest"] for entry in entries for identity in entry["rows"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{beside.name} is broken ({error!r}): restore it, or remove {path.name} as well") from error


def append_values(path: Path, values: Sequence[tuple[str, float, str]], manifest: Mapping[str, Any]) -> None:
    """Add measured values that are no row of a suite, as `case, value, unit, command`; a case replaces its older one.

    Raises:
      ValueError: `path` holds another kind of table.
    """
    columns = ["case", "value", "unit", "command"]
    known: dict[str, dict[str, Any]] = {}
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if list(reader.fieldnames or ()) != columns:
                raise ValueError(f"{path.name} is no table of values: its columns are not {', '.join(columns)}")
            known = {cells["case"]: cells for cells in reader}
    for case, value, unit in values:
        known[case] = {"case": case, "value": f"{value:.6g}", "unit": unit, "command": manifest["command"]}
    beside = path.with_suffix(".manifest.json")
    manifests = json.loads(beside.read_text()) if beside.exists() else {}
    write_atomically(beside, _json({**manifests, **{case: manifest for case, _, _ in values}}))
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(known.values())
    write_atomically(path, table.getvalue())


def read_csv(path: Path) -> list[Row]:
    """Read a table of results.

    Raises:
      ValueError: columns that are not those of a result, or a cell that is no number where one belongs.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        found = tuple(reader.fieldnames or ())
        if found != COLUMNS:
            foreign = sorted(set(found) - set(COLUMNS)) or "none"
            missing = sorted(set(COLUMNS) - set(found)) or "none"
            raise ValueError(f"{path.name} is no table of results: foreign columns {foreign}, missing {missing}")
        return [_row(cells, f"{path.name}, line {reader.line_num}") for cells in reader]


def _row(cells: Mapping[str, str | None], place: str) -> Row:
    values: dict[str, Any] = {}
    for name, cell in cells.items():
        kind = _TYPES.get(name)
        if kind is None or cell is None:
            raise ValueError(f"{place} has another number of cells than the {len(COLUMNS)} columns")
        try:
            values[name] = (
                cell if kind == "str" else None if cell == "" else int(cell) if kind == "int" else float(cell)
            )
        except ValueError:
            raise ValueError(f"{place}: {name} must be a number or empty; got {cell!r}") from None
    return Row(**values)


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
