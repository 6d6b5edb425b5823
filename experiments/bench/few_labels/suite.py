"""Success against the share of labelled steps, jointly with unlabelled episodes and without.

All methods of a task and seed learn from the same episodes, of which the same ones keep their actions, and are measured
on the same held-out pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

from omegaconf import DictConfig
from rich.table import Table

from worldmodel.models.checkpoint import Checkpoint

from ...engine.artifacts import TableFile
from ...records.intervals import wilson
from ...records.manifest import command
from ..model_rows import ModelRows
from .cells import Cell, cells, check
from .rows import IDENTITY, FewLabelsRow, table


def run(cfg: DictConfig) -> list[FewLabelsRow]:
    """Measure the rows that the table lacks, write each immediately, and print the table.

    A stored row counts if it has the same settings and at least as many episodes.

    Raises:
      ValueError: a task, share, method or setting does not exist.
      SystemExit: with code 1, once all other steps are done, if a step failed.
    """
    check(cfg)
    return Suite(cfg).run(__name__, list(cells(cfg)))


@final
class Suite(ModelRows[Cell, FewLabelsRow]):
    """Success of models that learned from few labels."""

    table = TableFile("few_labels.csv", FewLabelsRow, IDENTITY)

    def row(self, cell: Cell, checkpoint: Checkpoint, task: Any, solved: Sequence[bool]) -> FewLabelsRow:
        """See ModelRows; with what the model learned from."""
        low, high = wilson(sum(solved), len(solved))
        return FewLabelsRow(
            task=cell.task,
            share=cell.share,
            method=cell.method,
            seed=cell.seed,
            episodes=len(solved),
            successes=sum(solved),
            success_rate=sum(solved) / len(solved),
            ci_low=low,
            ci_high=high,
            labelled_steps=int(checkpoint.metadata["labelled_steps"]),
            train_seconds=round(float(checkpoint.metadata["train_seconds"]), 1),
            command=command(),
        )

    def shown(self, rows: Sequence[FewLabelsRow]) -> Table:
        """See ModelRows."""
        return table(rows)
