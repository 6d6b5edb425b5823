"""The table of `jepa-mpc bench suite=planners`: its runs, its rows and its files.

An episode ends at its first success, so one run gives success within its task's budget of environment steps and within
any smaller one. The manifest stores the runs, episode by episode; the rows are derived from them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ...engine.artifacts import Files, unpack
from ...records import table_file
from ...records.file_lock import locked
from ...records.intervals import wilson


@dataclass(frozen=True, kw_only=True)
class PlannerRow:
    """Success of one planner with one budget of evaluations, on one model, within one budget of environment steps."""

    task: str
    policy: str  # model, or oracle: planning over the true dynamics with the model's encoder and cost
    planner: str  # its file in configs/planner, or an entry of the suite
    seed: int  # of the model and of the held-out pairs
    plan_budget: int  # maximum number of evaluations per plan
    evaluations: int  # evaluations that a plan takes
    num_samples: int  # candidates of the first iteration; starts for the gradient planner
    iterations: int
    budget: int  # environment steps within which the goal must be reached
    episodes: int
    successes: int
    success_rate: float
    ci_low: float  # 95 % interval, Wilson
    ci_high: float
    steps_mean: float | None  # environment steps of the successful episodes
    plan_ms_p50: float | None  # of one control step, if timed
    command: str


COLUMNS = tuple(field.name for field in fields(PlannerRow))
IDENTITY = ("task", "policy", "planner", "seed", "plan_budget")


@dataclass(frozen=True, kw_only=True)
class Run:
    """Result of one point: the steps to success of each episode, None if there was none within `budget`."""

    task: str
    policy: str
    planner: str
    seed: int
    plan_budget: int
    evaluations: int
    num_samples: int
    iterations: int
    budget: int  # environment steps, the task's own
    settings: str  # all settings of the planner
    steps: tuple[int | None, ...]
    plan_ms_p50: float | None

    def identity(self) -> tuple[str | int, ...]:
        """The fields of `IDENTITY`; a new run with the same identity replaces the old one."""
        return tuple(getattr(self, name) for name in IDENTITY)

    def row(self, budget: int, command: str) -> PlannerRow:
        """The row for success within `budget` steps, at most the task's own number."""
        steps = [each for each in self.steps if each is not None and each <= budget]
        low, high = wilson(len(steps), len(self.steps))
        shared = set(COLUMNS) & {field.name for field in fields(Run)} - {"budget"}
        return PlannerRow(
            **{name: getattr(self, name) for name in shared},
            budget=budget,
            episodes=len(self.steps),
            successes=len(steps),
            success_rate=len(steps) / len(self.steps),
            ci_low=low,
            ci_high=high,
            steps_mean=float(np.mean(steps)) if steps else None,
            command=command,
        )


@dataclass(frozen=True)
class Entry:
    """The runs of one command, and its manifest."""

    manifest: Mapping[str, Any]
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class PlannersTable:
    """The table, to which runs are added that another machine made.

    Args:
      name: of its file.
      tight: tight number of steps, by task.
    """

    name: str
    tight: Mapping[str, int]

    def merge(self, files: Files, results: Path) -> None:
        """Add runs that another machine made.

        Args:
          files: the table and its manifest, as `packed` read them.
          results: folder of the table.
        """
        with tempfile.TemporaryDirectory() as place:
            unpack(files, Path(place), ())
            for entry in read_entries(Path(place) / self.name):
                add(results / self.name, entry, self.tight)


def read(path: Path) -> list[PlannerRow]:
    """The rows at `path`; empty if there is no file.

    Raises:
      ValueError: the file is not a table of planners, or a row is damaged.
    """
    return table_file.read(path, PlannerRow)


def read_entries(path: Path) -> list[Entry]:
    """The runs behind the table at `path`, from its manifest; empty if there is no table.

    Raises:
      ValueError: the manifest is missing or damaged, or lacks the run of a row.
    """
    manifest_file = path.with_suffix(".manifest.json")
    fix = f"restore it, or remove {path.name} to measure again"
    rows = read(path)
    if not manifest_file.exists():
        if rows:
            raise ValueError(f"{manifest_file.name}, which holds the episodes behind {path.name}, is missing: {fix}")
        return []
    try:
        stored = table_file.read_beside(path)
        entries = [Entry(each["manifest"], tuple(map(_run, each["runs"]))) for each in stored]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{manifest_file.name} is not the manifest of a table of planners ({error!r}): {fix}"
        ) from error
    known = {run.identity() for entry in entries for run in entry.runs}
    for row in rows:
        if (identity := tuple(getattr(row, name) for name in IDENTITY)) not in known:
            raise ValueError(f"{manifest_file.name} has no run for the row {identity} of {path.name}: {fix}")
    return entries


def add(path: Path, entry: Entry, tight: Mapping[str, int]) -> None:
    """Add runs and their rows, in place of those of the same identities, one process at a time.

    Args:
      path: of the table.
      entry: the runs; with no runs, only the rows are made again.
      tight: tight number of steps, by task.
    """
    with locked(path):
        new = {run.identity() for run in entry.runs}
        left = [
            Entry(each.manifest, tuple(run for run in each.runs if run.identity() not in new))
            for each in read_entries(path)
        ]
        _write(path, _grouped([*left, entry]), tight)


def rows_of(entries: Sequence[Entry], tight: Mapping[str, int]) -> list[PlannerRow]:
    """The rows of runs: success at each task's own step budget and at its tight one."""
    found = [
        run.row(budget, entry.manifest["command"])
        for entry in entries
        for run in entry.runs
        for budget in sorted({run.budget, tight.get(run.task, run.budget)}, reverse=True)
    ]
    return sorted(found, key=lambda row: (row.task, row.policy, row.planner, row.plan_budget, row.seed, -row.budget))


def _write(path: Path, entries: Sequence[Entry], tight: Mapping[str, int]) -> None:
    """Write the runs, and then their rows, so that no row lacks its run."""
    stored = [{"manifest": dict(each.manifest), "runs": [_plain(run) for run in each.runs]} for each in entries]
    table_file.write_beside(path, stored)
    table_file.write(path, PlannerRow, rows_of(entries, tight))


def _grouped(entries: Sequence[Entry]) -> list[Entry]:
    """Entries that have runs, those that differ in nothing but the time as one, so that the file stays small."""
    found: list[Entry] = []
    for entry in entries:
        if not entry.runs:
            continue
        same = next((at for at, each in enumerate(found) if _untimed(each) == _untimed(entry)), None)
        if same is None:
            found.append(entry)
        else:
            found[same] = Entry(found[same].manifest, (*found[same].runs, *entry.runs))
    return found


def _untimed(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in entry.manifest.items() if name != "time"}


def _run(stored: Mapping[str, Any]) -> Run:
    steps = tuple(None if each == "-" else int(each) for each in stored["steps"].split())
    if not steps:
        raise ValueError("a run without episodes")
    return Run(**{**stored, "steps": steps})


def _plain(run: Run) -> dict[str, Any]:
    """The run as JSON, with its episodes in one string, so that the manifest of hundreds of runs stays small."""
    return {**asdict(run), "steps": " ".join("-" if each is None else str(each) for each in run.steps)}
