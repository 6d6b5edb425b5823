"""Suites whose rows each judge one model of a goal task: from data to a model to a row.

Models of one task and seed share their data, and are measured on the same held-out pairs. Finished datasets, models,
rows and batches of episodes are reused: a run that was killed goes on where it stopped, and a step that fails is
reported while the others continue.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import jax
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from worldmodel.models.checkpoint import Checkpoint

from .. import build
from ..build import goal_tasks
from ..build.recipes import Paths
from ..engine.artifacts import TableFile
from ..engine.run import run_steps
from ..engine.step import Step, exit_on_failure
from ..evaluation.goals.measure import make_policy
from ..evaluation.goals.protocols import Pairs, honest
from ..evaluation.goals.rollout import GoalEpisodes
from ..evaluation.policy import Policy
from ..records import table_file
from ..records.manifest import manifest
from ..shell.progress import progress_bar
from ..training.ensure import ensure_model
from .data_steps import data_steps
from .goal.outcomes import Outcomes
from .missing import missing
from .training.settings import same_settings, stored_cells

TOGETHER = 25  # episodes that advance together


class ModelCell(Protocol):
    """One row of such a suite; its words name it in logs."""

    @property
    def task(self) -> str:
        """Name of the task."""

    @property
    def seed(self) -> int:
        """Seed of data, weights, training and held-out pairs."""

    @property
    def identity(self) -> tuple[Any, ...]:
        """Identity of the row."""

    @property
    def model_identity(self) -> Hashable:
        """Identity of its model: cells that share it share the settings."""

    @property
    def data_step(self) -> str:
        """Name of the step that collects the data."""

    @property
    def model_step(self) -> str:
        """Name of the step that trains the model."""

    @property
    def model_kind(self) -> str:
        """Kind of that step: models that take about the same time."""

    def settings(self, cfg: DictConfig) -> DictConfig:
        """Settings of `jepa-mpc plan` for the model, from those of the suite."""

    def model_file(self, made: DictConfig) -> Path:
        """Path of the model with the settings `made`."""

    def identified(self, cfg: DictConfig, made: DictConfig) -> dict[str, Any]:
        """What determines the row, for its manifest: from the settings of the suite and those of the model."""


Cell = TypeVar("Cell", bound=ModelCell)
Row = TypeVar("Row")


class ModelRows(ABC, Generic[Cell, Row]):
    """Data, models and rows of one run of a suite, each created if missing.

    Attributes:
      table: of the rows, which have `identity` and `episodes`. The name of its file is that of the suite.
    """

    table: TableFile

    def __init__(self, cfg: DictConfig):
        self.cfg = cfg
        self.name, self.path = Path(self.table.name).stem, Path(cfg.results) / self.table.name
        self._made = manifest(cfg, list(map(int, cfg.suite.seeds)))
        self._settings: dict[Hashable, DictConfig] = {}
        self._task = ""

    @abstractmethod
    def row(self, cell: Cell, checkpoint: Checkpoint, task: Any, solved: Sequence[bool]) -> Row:
        """Row of a cell, with the suite's own measures.

        Args:
          cell: of the row.
          checkpoint: of the model.
          task: as the model was tested on it.
          solved: whether each episode succeeded.
        """

    @abstractmethod
    def shown(self, rows: Sequence[Row]) -> Table:
        """Table of the rows, to print."""

    def task_of(self, cell: Cell, checkpoint: Checkpoint) -> Any:
        """Task that a model is tested on: the one that it was trained for."""
        return goal_tasks.of_model(checkpoint)

    def run(self, module: str, requested: Sequence[Cell]) -> list[Row]:
        """Measure the rows that the table lacks, write each immediately, and print the table.

        Args:
          module: import path of the suite, for processes of its steps.
          requested: every cell of the suite.

        Raises:
          ValueError: a setting does not exist.
          SystemExit: with code 1, once all other steps are done, if a step failed.
        """
        for cell in requested:
            self.settings(cell)  # a setting that does not exist is found before anything is trained
        failed = run_steps(self.cfg, module, self.steps(self.to_measure(requested)), self.table)
        wanted = {cell.identity for cell in requested}
        rows = [row for row in table_file.read(self.path, self.table.kind) if row.identity in wanted]
        if rows:
            Console().print(self.shown(rows))
        exit_on_failure(failed)
        return rows

    def settings(self, cell: Cell) -> DictConfig:
        """Settings of a cell's model, composed once for all its rows."""
        if cell.model_identity not in self._settings:
            self._settings[cell.model_identity] = cell.settings(self.cfg)
        return self._settings[cell.model_identity]

    def to_measure(self, requested: Sequence[Cell]) -> list[Cell]:
        """The cells without a row of the same settings and enough episodes; all of them with `redo`."""
        rows = {row.identity: row for row in table_file.read(self.path, self.table.kind)}
        stored = stored_cells(self.path)

        def is_measured(cell: Cell) -> bool:
            row = rows.get(cell.identity)
            enough = row is not None and row.episodes >= int(self.cfg.suite.episodes)
            return enough and same_settings(stored.get(cell.identity), cell.identified(self.cfg, self.settings(cell)))

        return missing(requested, is_measured, bool(self.cfg.redo), "rows")

    def steps(self, todo: Sequence[Cell]) -> list[Step]:
        """Steps for the rows of `todo` and what they need, each before the first row that needs it."""
        found: dict[str, Step] = {}
        for cell in todo:
            made, needs = self.settings(cell), tuple[str, ...]()
            file = cell.model_file(made)
            if not file.exists():
                data, model = cell.data_step, cell.model_step
                if data not in found:
                    found |= {step.name: step for step in data_steps(self.cfg, data, made, cell.seed)}
                train, read = partial(ensure_model, made, cell.seed, file), (Paths.of(made, cell.seed).data,)
                found.setdefault(model, Step(model, f"model {cell.model_kind}", train, (data,), read))
                needs = (model,)
            row = Step(str(cell), "row", partial(self.measure, cell), needs, (file,))
            found |= {step.name: step for step in self.outcomes(cell).steps(row, partial(self.measure_shard, cell))}
        return list(found.values())

    def outcomes(self, cell: Cell) -> Outcomes:
        """Outcomes of a row's episodes."""
        words = "-".join(map(str, cell.identity)).replace("/", "-")
        path = Path(self.cfg.runs) / self.name / f"{words}.json"
        text = json.dumps(cell.identified(self.cfg, self.settings(cell)), sort_keys=True)
        return Outcomes(path, text, int(self.cfg.suite.episodes), TOGETHER, int(self.cfg.engine.evaluation_shards))

    def measure_shard(self, cell: Cell, part: range) -> None:
        """Measure some episodes of a row and leave their outcomes in a file."""
        checkpoint, task, policy, pairs = self._tested(cell)
        with progress_bar(str(cell), len(part), compiles=True) as bar:
            self.outcomes(cell).measure(part, task, policy, pairs, bar, checkpoint.model)
        task.close()

    def measure(self, cell: Cell) -> None:
        """Measure one row and write it."""
        checkpoint, task, policy, pairs = self._tested(cell)
        outcomes = self.outcomes(cell)
        with progress_bar(str(cell), len(pairs), compiles=True) as bar:
            solved = outcomes.measure_all(task, policy, pairs, bar, checkpoint.model)
        row = self.row(cell, checkpoint, task, solved)
        task.close()
        made = {**self._made, "cell": cell.identified(self.cfg, self.settings(cell))}
        table_file.add(self.path, self.table.kind, [row], self.table.identity, made)
        outcomes.path.unlink(missing_ok=True)

    def _tested(self, cell: Cell) -> tuple[Checkpoint, Any, Policy[GoalEpisodes], Pairs]:
        """The model of a cell, the task that it is tested on, its policy, and the held-out pairs."""
        made = self.settings(cell)
        if cell.task != self._task:  # compiled programs of other tasks accumulate
            jax.clear_caches()
            self._task = cell.task
        checkpoint = ensure_model(made, cell.seed, cell.model_file(made))
        task = self.task_of(cell, checkpoint)
        policy = make_policy("model", task, build.agent(made, checkpoint.model, task), cell.seed)
        return checkpoint, task, policy, honest(task, int(self.cfg.suite.episodes), cell.seed)
