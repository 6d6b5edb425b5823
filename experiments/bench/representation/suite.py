"""Prediction of representations against reconstruction of pictures, clean and with distractors.

All methods of a task, seed and condition learn from the same data, and are measured on the same held-out pairs and
episodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

from omegaconf import DictConfig
from rich.table import Table

from worldmodel.models.checkpoint import Checkpoint

from ... import build
from ...build import goal_tasks
from ...engine.artifacts import TableFile
from ...records.manifest import command
from ..model_rows import ModelRows
from .cells import Cell, cells, check
from .measures import measures
from .rows import IDENTITY, RepresentationRow, table


def run(cfg: DictConfig) -> list[RepresentationRow]:
    """Measure the rows that the table lacks, write each immediately, and print the table.

    A stored row counts if it has the same settings and at least as many episodes.

    Raises:
      ValueError: a task, condition, method or setting does not exist.
      SystemExit: with code 1, once all other steps are done, if a step failed.
    """
    check(cfg)
    return Suite(cfg).run(__name__, list(cells(cfg)))


@final
class Suite(ModelRows[Cell, RepresentationRow]):
    """Success of models from pictures, and what their representations hold."""

    table = TableFile("representation.csv", RepresentationRow, IDENTITY)

    def task_of(self, cell: Cell, checkpoint: Checkpoint) -> Any:
        """See ModelRows; with what is in the pictures of the test."""
        return goal_tasks.of_model(checkpoint, cell.distractor)

    def row(self, cell: Cell, checkpoint: Checkpoint, task: Any, solved: Sequence[bool]) -> RepresentationRow:
        """See ModelRows; with measures on held-out episodes."""
        made, held_out = self.settings(cell), int(self.cfg.suite.held_out)
        behaviour = build.make(made.behaviour, "behaviour")
        found = measures(checkpoint.model, task, behaviour, held_out, int(made.collection.steps), cell.seed)
        return RepresentationRow(
            task=cell.task,
            condition=cell.condition,
            method=cell.method,
            updates=cell.updates,
            seed=cell.seed,
            episodes=len(solved),
            successes=sum(solved),
            success_rate=sum(solved) / len(solved),
            r2_position=found.r2_position,
            r2_velocity=found.r2_velocity,
            leak=found.leak,
            command=command(),
        )

    def shown(self, rows: Sequence[RepresentationRow]) -> Table:
        """See ModelRows."""
        return table(rows)
