"""Learning curves: one row per evaluation during training, in tables such as `results/dmc_curves.csv`.

Runs append their rows while training, also several jobs concurrently. `env_steps` counts control steps, action repeats
included, and a return is the mean undiscounted return of the evaluation episodes at that step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from . import table_file
from .file_lock import locked

IDENTITY = ("method", "task", "seed", "env_steps")
Key = tuple[str, str, int]  # method, task, seed


@dataclass(frozen=True, kw_only=True)
class CurveRow:
    """One evaluation during a training run.

    Raises:
      ValueError: a return or a time that is not finite, a negative count, or a row without method or task.
    """

    method: str
    task: str  # dmc/<domain>-<task> or gym/<id>
    seed: int
    env_steps: int
    gradient_steps: int | None  # None if not counted
    wall_s: float | None  # seconds of training so far, without evaluations
    mean_return: float = field(metadata={"column": "return"})
    action_repeat: int
    command: str

    def __post_init__(self) -> None:
        if not self.method or not self.task:
            raise ValueError("a row of a learning curve needs a method and a task; one of them is empty")
        for column, name in table_file.columns(CurveRow).items():
            value = getattr(self, name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{column} of a learning curve must be a finite number; got {value}")
        for name, least in (("env_steps", 0), ("gradient_steps", 0), ("wall_s", 0), ("action_repeat", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} of a learning curve must be {least} or more; got {value}")

    def key(self) -> Key:
        """Key of the run that this row belongs to."""
        return self.method, self.task, self.seed


@dataclass(frozen=True, eq=False)
class Run:
    """One training run, its evaluations in the order of their environment steps; NaN for what was not counted."""

    method: str
    task: str
    seed: int
    action_repeats: tuple[int, ...]
    env_steps: Float[ndarray, "M"]
    gradient_steps: Float[ndarray, "M"]
    wall_s: Float[ndarray, "M"]
    returns: Float[ndarray, "M"]

    def reaches(self, env_steps: int) -> bool:
        """Whether the evaluations span `env_steps`."""
        return bool(self.env_steps[0] <= env_steps <= self.env_steps[-1])

    def at(self, env_steps: float, axis: str = "returns") -> float:
        """Value of a column at `env_steps`, linear between evaluations."""
        return float(np.interp(env_steps, self.env_steps, getattr(self, axis)))


@dataclass(frozen=True, eq=False)
class MeanCurve:
    """Mean, lowest and highest curve of several runs of one method on one task, where all of them were evaluated."""

    env_steps: Float[ndarray, "M"]
    gradient_steps: Float[ndarray, "M"]
    wall_s: Float[ndarray, "M"]
    returns: Float[ndarray, "M"]
    low: Float[ndarray, "M"]
    high: Float[ndarray, "M"]

    @classmethod
    def of(cls, runs: Sequence[Run], until: float = math.inf) -> MeanCurve:
        """Mean over runs at every step at which one of them was evaluated, up to `until`.

        Raises:
          ValueError: no runs, or runs that have no step in common.
        """
        if not runs:
            raise ValueError("there are no runs to take the mean of")
        first, last = max(run.env_steps[0] for run in runs), min(until, *(run.env_steps[-1] for run in runs))
        steps = np.unique(np.concatenate([*(run.env_steps for run in runs), [first, last]]))
        steps = steps[(first <= steps) & (steps <= last)]
        if steps.size == 0:
            names = ", ".join(f"{run.method} on {run.task}, seed {run.seed}" for run in runs)
            raise ValueError(f"these runs were never evaluated at the same step: {names}")
        of = {
            axis: np.stack([np.interp(steps, run.env_steps, getattr(run, axis)) for run in runs])
            for axis in ("gradient_steps", "wall_s", "returns")
        }
        returns = of["returns"]
        means = {axis: values.mean(axis=0) for axis, values in of.items()}
        return cls(env_steps=steps, low=returns.min(axis=0), high=returns.max(axis=0), **means)


def read(path: Path) -> list[CurveRow]:
    """Read the rows at `path`; empty if there is no file.

    Raises:
      ValueError: the file is not a table of learning curves, or one of its rows is broken.
    """
    return table_file.read(path, CurveRow)


def append(path: Path, row: CurveRow, manifest: Mapping[str, Any]) -> None:
    """Add one row, in place of an older one of the same run and step; the rows of one manifest share it.

    Raises:
      ValueError: `path` holds another table.
    """
    table_file.add(path, CurveRow, [row], IDENTITY, manifest, digits=7)


def discard(path: Path, key: Key) -> None:
    """Remove the rows of an interrupted run before it restarts.

    Raises:
      ValueError: `path` holds another table.
    """
    with locked(path):
        rows = read(path)
        kept = [row for row in rows if row.key() != key]
        if len(kept) == len(rows):
            return
        entries = [
            {**entry, "rows": found}
            for entry in table_file.read_entries(path)
            if (found := [each for each in entry["rows"] if tuple(each[:3]) != key])
        ]
        # The rows are removed first, so that none is ever without its manifest.
        table_file.write(path, CurveRow, kept, digits=7)
        table_file.write_beside(path, entries)


def runs_of(rows: Sequence[CurveRow]) -> list[Run]:
    """Group the rows into runs, by method and task in order of first appearance, then by seed.

    Raises:
      ValueError: a step of a run occurs twice.
    """
    methods = {name: place for place, name in enumerate(dict.fromkeys(row.method for row in rows))}
    tasks = {name: place for place, name in enumerate(dict.fromkeys(row.task for row in rows))}
    ordered = sorted(rows, key=lambda row: (methods[row.method], tasks[row.task], row.seed, row.env_steps))
    return [_run(key, list(group)) for key, group in groupby(ordered, key=CurveRow.key)]


def _run(key: Key, rows: Sequence[CurveRow]) -> Run:
    steps = [row.env_steps for row in rows]
    twice = next((step for step, following in zip(steps, steps[1:], strict=False) if step == following), None)
    if twice is not None:
        method, task, seed = key
        raise ValueError(f"{method} on {task}, seed {seed}, has two rows at {twice} environment steps: keep one")
    return Run(
        *key,
        tuple(sorted({row.action_repeat for row in rows})),
        np.asarray(steps, np.float64),
        np.asarray([row.gradient_steps for row in rows], np.float64),
        np.asarray([row.wall_s for row in rows], np.float64),
        np.asarray([row.mean_return for row in rows], np.float64),
    )
