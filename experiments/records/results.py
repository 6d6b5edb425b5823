"""Measured results: the row, and the files it is written to.

A row is one measurement with its identity; next to the rows, a file stores the manifest of each. Files are
written whole or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from worldmodel.files import write_atomically

from . import table_file
from .file_lock import locked


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement. Fields that do not apply are empty: "" for strings, None for numbers.

    Raises:
      ValueError: a number that is not finite.
    """

    task: str = ""
    observation: str = ""  # state, pixels, pixels_proprio
    protocol: str = ""
    goal_offset: int | None = None  # environment steps from start to goal, if fixed by the protocol
    budget: int | None = None  # budget of environment steps to reach the goal
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
    env_steps: int | None = None  # of the training
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
        """Identity of the measurement: a new row with the same identity replaces the old one."""
        return tuple(getattr(self, name) for name in IDENTITY)


COLUMNS = tuple(field.name for field in fields(Row))
IDENTITY = ("task", "observation", "protocol", "policy", "planner", "model", "variant", "seed", "goal_offset")


@dataclass(frozen=True)
class Value:
    """One measured number that is not a row of a suite."""

    case: str
    value: float
    unit: str
    command: str = ""  # set when the value is written to its table


def write_json(path: Path, rows: Sequence[Row], manifest: Mapping[str, Any]) -> None:
    """Write the rows of one run with their common manifest: `{"rows": [...], "manifest": {...}}`."""
    write_atomically(path, table_file.as_json({"rows": [asdict(row) for row in rows], "manifest": manifest}))


def append_csv(path: Path, rows: Sequence[Row], manifest: Mapping[str, Any]) -> None:
    """Add rows to a suite's table, replacing older rows with the same identity.

    `<suite>.manifest.json` next to it lists every manifest with the identities of its rows: rows that are added
    one by one with the same manifest share it.

    Raises:
      ValueError: `path` is not a CSV file, or holds another kind of table.
    """
    if path.suffix != ".csv":
        raise ValueError(f"a table of results is a .csv file; got {path.name}")
    table_file.add(path, Row, rows, IDENTITY, manifest, digits=None)


def read_manifests(path: Path) -> dict[tuple[str | int | None, ...], dict[str, Any]]:
    """Read the manifest of each row of a suite's table, by the row's identity; empty if there is no table.

    Raises:
      ValueError: the table, or the manifest file next to it, is broken.
    """
    return table_file.manifests_by_row(path, [row.identity() for row in read_csv(path)]) if path.exists() else {}


def append_values(path: Path, values: Sequence[Value], manifest: Mapping[str, Any]) -> None:
    """Add measured values that are not rows of a suite, as `case, value, unit, command`; a case replaces its older one.

    `<name>.manifest.json` next to the table has the manifest of each case.

    Raises:
      ValueError: `path` holds another kind of table.
    """
    with locked(path):
        known = {each.case: each for each in table_file.read(path, Value)}
        known |= {each.case: replace(each, command=manifest["command"]) for each in values}
        manifests = table_file.read_beside(path) or {}
        if not isinstance(manifests, dict):
            raise ValueError(
                f"the manifests beside {path.name} are those of another table: restore them, or remove both"
            )
        table_file.write_beside(path, {**manifests, **{each.case: manifest for each in values}})
        table_file.write(path, Value, list(known.values()), digits=6)


def read_csv(path: Path) -> list[Row]:
    """Read a table of results; no rows if there is no file.

    Raises:
      ValueError: columns that are not those of a result, or a cell that is not a number where one is expected.
    """
    return table_file.read(path, Row)
