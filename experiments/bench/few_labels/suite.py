"""Success against the share of labelled steps, jointly with unlabelled episodes and without.

All methods of a task and seed learn from the same episodes, of which the same ones keep their actions, and are measured
on the same held-out pairs. Finished datasets, models, rows and batches of episodes are reused: a run that was killed
goes on where it stopped, and a step that fails is reported while the others continue.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import jax
from omegaconf import DictConfig
from rich.console import Console

from ... import build
from ...build import goal_tasks
from ...build.recipes import Paths
from ...engine.artifacts import TableFile
from ...engine.run import run_steps
from ...engine.step import Step, exit_on_failure
from ...evaluation.goals.measure import make_policy
from ...evaluation.goals.protocols import honest
from ...records import table_file
from ...records.intervals import wilson
from ...records.manifest import command, manifest
from ...shell.progress import progress_bar
from ...training.ensure import ensure_data, ensure_model
from ..goal.outcomes import outcomes
from ..missing import missing
from ..training.settings import same_settings, stored_cells
from .cells import Cell, cells, check
from .rows import IDENTITY, FewLabelsRow, table

FILE = "few_labels.csv"
TOGETHER = 25  # episodes that advance together


def run(cfg: DictConfig) -> list[FewLabelsRow]:
    """Measure the rows that the table lacks, write each immediately, and print the table.

    A stored row counts if it has the same settings and at least as many episodes.

    Raises:
      ValueError: a task, share, method or setting does not exist.
      SystemExit: with code 1, once all other steps are done, if a step failed.
    """
    check(cfg)
    suite, requested = Suite(cfg), list(cells(cfg))
    for cell in requested:
        suite.settings(cell)  # a setting that does not exist is found before anything is trained
    table_of_rows = TableFile(FILE, FewLabelsRow, IDENTITY)
    failed = run_steps(cfg, __name__, suite.steps(suite.to_measure(requested)), table_of_rows)
    wanted = {cell.identity for cell in requested}
    rows = [row for row in table_file.read(suite.path, FewLabelsRow) if row.identity in wanted]
    if rows:
        Console().print(table(rows))
    exit_on_failure(failed)
    return rows


class Suite:
    """Data, models and rows of one run of the suite, each created if missing."""

    def __init__(self, cfg: DictConfig):
        self.cfg = cfg
        self.path = Path(cfg.results) / FILE
        self._made = manifest(cfg, list(map(int, cfg.suite.seeds)))
        self._settings: dict[Cell, DictConfig] = {}
        self._task = ""

    def settings(self, cell: Cell) -> DictConfig:
        """Settings of a cell's model, composed once."""
        if cell not in self._settings:
            self._settings[cell] = cell.settings(self.cfg)
        return self._settings[cell]

    def to_measure(self, requested: Sequence[Cell]) -> list[Cell]:
        """The cells without a row of the same settings and enough episodes; all of them with `redo`."""
        rows = {row.identity: row for row in table_file.read(self.path, FewLabelsRow)}
        stored = stored_cells(self.path)

        def is_measured(cell: Cell) -> bool:
            row = rows.get(cell.identity)
            enough = row is not None and row.episodes >= int(self.cfg.suite.episodes)
            return enough and same_settings(stored.get(cell.identity), cell.identified(self.settings(cell)))

        return missing(requested, is_measured, bool(self.cfg.redo), "rows")

    def steps(self, todo: Sequence[Cell]) -> list[Step]:
        """Steps for the rows of `todo` and what they need, each before the first row that needs it."""
        found: dict[str, Step] = {}
        for cell in todo:
            made, needs = self.settings(cell), tuple[str, ...]()
            data, model = f"data of {cell.task}, seed {cell.seed}", f"{cell}: model"
            file = cell.model_file(made)
            if not file.exists():
                found.setdefault(data, Step(data, "data", partial(ensure_data, made, cell.seed)))
                train, read = partial(ensure_model, made, cell.seed, file), (Paths.of(made, cell.seed).data,)
                found[model] = Step(model, f"model {cell.method} {cell.share}", train, (data,), read)
                needs = (model,)
            found[str(cell)] = Step(str(cell), "row", partial(self.measure, cell), needs, (file,))
        return list(found.values())

    def measure(self, cell: Cell) -> None:
        """Measure one row and write it."""
        made = self.settings(cell)
        if cell.task != self._task:  # compiled programs of other tasks accumulate
            jax.clear_caches()
            self._task = cell.task
        checkpoint = ensure_model(made, cell.seed, cell.model_file(made))
        task, model = goal_tasks.of_model(checkpoint), checkpoint.model
        policy = make_policy("model", task, build.agent(made, model, task), cell.seed)
        pairs = honest(task, int(self.cfg.suite.episodes), cell.seed)
        identified = cell.identified(made)
        words = "-".join(map(str, cell.identity)).replace("/", "-")
        partly = Path(self.cfg.runs) / "few_labels" / f"{words}.json"
        with progress_bar(str(cell), len(pairs), compiles=True) as bar:
            text = json.dumps(identified, sort_keys=True)
            solved = outcomes(task, policy, pairs, TOGETHER, partly, text, bar, model)
        task.close()
        low, high = wilson(sum(solved), len(solved))
        row = FewLabelsRow(
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
        table_file.add(self.path, FewLabelsRow, [row], IDENTITY, {**self._made, "cell": identified})
        partly.unlink(missing_ok=True)
