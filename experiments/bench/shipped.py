"""Measured rows that ship with jepa-mpc, grouped by machine: `jepa-mpc bench shipped=true`.

They are read-only. Your own runs write to the folder of the setting `results`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ..records import curves, results, table_file
from ..records.manifest import machine_of
from ..records.results import Row
from .expectation import rows as expectation_rows
from .few_labels import rows as few_labels_rows
from .goal import paired as bench_paired
from .goal import table as goal_table
from .latency import rows as latency_table
from .planners import rows as planners_table
from .representation import rows as representation_rows
from .training import profile_rows
from .training import rows as training_rows

FOLDER = Path(__file__).resolve().parents[1] / "results"


@dataclass(frozen=True)
class Source:
    """A table: its file, the dataclass of its rows, and the fields that identify a row."""

    file: str
    kind: type[Any]
    identity: tuple[str, ...]


_VALUES = ("case",)
_ROBOT_LOOP = Source("robot_loop.csv", results.Value, _VALUES)
# The table that each suite writes.
TABLES = {
    "constraints": _ROBOT_LOOP,
    "delay": _ROBOT_LOOP,
    "expectation": Source("expectation.csv", expectation_rows.ExpectationRow, expectation_rows.IDENTITY),
    "few_labels": Source("few_labels.csv", few_labels_rows.FewLabelsRow, few_labels_rows.IDENTITY),
    "fine_tuning": Source("fine_tuning.csv", curves.CurveRow, curves.IDENTITY),
    "goal": Source("goal.csv", Row, results.IDENTITY),
    "goal_ablations": Source("goal_ablations.csv", Row, results.IDENTITY),
    "hostile_bundles": _ROBOT_LOOP,
    "latency": Source("latency.csv", latency_table.LatencyRow, latency_table.IDENTITY),
    "loop": _ROBOT_LOOP,
    "memory": Source("memory.csv", Row, results.IDENTITY),
    "missing_sensor": _ROBOT_LOOP,
    "mutants": _ROBOT_LOOP,
    "overhead": Source("planning.csv", results.Value, _VALUES),
    "paired": Source("paired.csv", bench_paired.PairedRow, bench_paired.IDENTITY),
    "partial_goals": Source("partial_goals.csv", results.Value, _VALUES),
    "planners": Source("planners.csv", planners_table.PlannerRow, planners_table.IDENTITY),
    "representation": Source("representation.csv", representation_rows.RepresentationRow, representation_rows.IDENTITY),
    "rewards": Source("dmc_curves.csv", curves.CurveRow, curves.IDENTITY),
    "scale": Source("scale.csv", results.Value, _VALUES),
    "second_start": Source("second_start.csv", results.Value, _VALUES),
    "sensors": Source("sensors.csv", Row, results.IDENTITY),
    "soak": _ROBOT_LOOP,
    "start": _ROBOT_LOOP,
    "stderr": _ROBOT_LOOP,
    "stirred_tank": Source("stirred_tank.csv", results.Value, _VALUES),
    "storm": _ROBOT_LOOP,
    "surprise": _ROBOT_LOOP,
    "training_curve": Source("training_curve.csv", Row, results.IDENTITY),
    "training_profile": Source("training_profile.csv", profile_rows.ProfileRow, profile_rows.IDENTITY),
    "training_speed": Source("training_speed.csv", training_rows.SpeedRow, training_rows.IDENTITY),
}


def show(suite: str, folder: Path = FOLDER) -> list[Any]:
    """Print the shipped rows of one suite, one table for each machine, and return them."""
    found = by_machine(suite, folder)
    console = Console()
    for machine, rows in found.items():
        console.print(f"shipped with jepa-mpc, measured on {machine}, not here:", markup=False, soft_wrap=True)
        if isinstance(rows[0], Row):
            goal_table.show(rows)
        else:
            console.print(_table(rows))
    if not found:
        console.print(f"jepa-mpc ships no rows of suite={suite}")
    return [row for rows in found.values() for row in rows]


def by_machine(suite: str, folder: Path = FOLDER) -> dict[str, list[Any]]:
    """The rows of one suite, grouped by the machine in their manifests.

    Raises:
      ValueError: a table or a file of manifests is damaged.
    """
    source = TABLES[suite]
    path = folder / source.file
    rows = table_file.read(path, source.kind)
    made_by = dict(manifests(path, source.identity, rows))
    groups: dict[str, list[Any]] = {}
    for row in rows:
        made = made_by[tuple(getattr(row, name) for name in source.identity)]
        if source.kind is results.Value and made["config"]["suite"]["name"] != suite:
            continue  # several suites share a table of values
        groups.setdefault(machine_of(made), []).append(row)
    return groups


def manifests(
    path: Path, identity: Sequence[str], rows: Sequence[Any]
) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Identity and manifest of each of the rows of a table; the tables store them in four forms."""
    known = {tuple(getattr(row, name) for name in identity) for row in rows}
    stored = table_file.read_beside(path) or []
    if isinstance(stored, dict):
        yield from (((case,), made) for case, made in stored.items())
        return
    for entry in stored:
        for each in entry.get("rows") or entry["runs"]:
            if isinstance(each, list):
                if (full := table_file.among(each, known)) is not None:
                    yield full, entry["manifest"]
            elif "identity" in each:
                yield tuple(each["identity"]), entry["manifest"]
            else:
                yield tuple(each[name] for name in identity), entry["manifest"]


def _table(rows: Sequence[Any]) -> Table:
    """A table of all columns that are not empty, without the commands."""
    columns = [name for name in vars(rows[0]) if name != "command" and any(vars(row)[name] != "" for row in rows)]
    table = Table(box=SIMPLE_HEAD)
    for name in columns:
        words = isinstance(getattr(rows[0], name), str)
        table.add_column(name, justify="left" if words else "right", no_wrap=words)
    for row in rows:
        table.add_row(*(_cell(getattr(row, name)) for name in columns))
    return table


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
