"""Goal training of two versions of this program, on the same data and held-out pairs, in one alternating run.

Every run is a fresh process. Each version has its own cache of compiled programs, empty at first and kept between runs:
the first seed of a task compiles, as after an installation, and later seeds load. A cell is a task, a version and a
seed. Finished cells are in the table and are skipped. A training run that was interrupted resumes from its last state,
and its time is the sum of its parts.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

import envs
from worldmodel.data.dataset import load
from worldmodel.files import write_atomically
from worldmodel.models.checkpoint import load_model
from worldmodel.training.trainer import Trainer

from ... import build
from ...build.recipes import Paths, recipe
from ...engine import here
from ...engine.step import Step, exit_on_failure
from ...records import table_file
from ...records.manifest import command, manifest
from ...records.promises import require
from ...records.results import Row, read_csv
from ...shell.shadowing import ROOT
from ...training.ensure import ensure_data
from ...training.prepared import prepare
from ..flops import SGEMM_SIZE, sgemm_gflops
from ..missing import missing
from . import checkouts
from .checkouts import Checkout
from .profile import update_flops
from .rows import BEFORE, IDENTITY, NOW, SpeedRow, table, values
from .settings import same_settings, stored_cells

logger = logging.getLogger(__name__)

COMMITTED = ROOT / "experiments" / "results" / "goal.csv"


@dataclass(frozen=True)
class Cell:
    """One training run."""

    task: str
    version: str
    seed: int

    def __str__(self) -> str:
        return f"{self.version}, {self.task}, seed {self.seed}"


def run(cfg: DictConfig) -> list[SpeedRow]:
    """Measure the cells that the table lacks, write each row immediately, and print the table.

    Raises:
      ValueError: a task does not exist, or `before` is no commit.
      SystemExit: with code 1, if a cell failed or a promise is broken.
    """
    for task in cfg.suite.tasks:
        if task not in envs.task_names():
            raise ValueError(f"{task!r} is not a choice of suite.tasks: choose from {', '.join(envs.task_names())}")
    suite = Suite(cfg)
    requested = list(cells(cfg))
    failed = here.run([Step(str(cell), cell.version, partial(suite.measure, cell)) for cell in suite.todo(requested)])
    wanted = {(cell.task, cell.version, cell.seed) for cell in requested}
    rows = [row for row in table_file.read(suite.path, SpeedRow) if row.identity in wanted]
    committed = committed_rows({cell.task: suite.settings(cell) for cell in requested})
    if rows:
        Console().print(table(rows, committed))
    exit_on_failure(failed)
    require(cfg.suite, values(rows, committed))
    return rows


def cells(cfg: DictConfig) -> Iterator[Cell]:
    """The cells in the order of measurement: seed by seed, with the order of versions swapped from pair to pair."""
    seeds = {BEFORE: list(map(int, cfg.suite.before_seeds)), NOW: list(map(int, cfg.suite.seeds))}
    all_seeds = dict.fromkeys([*seeds[NOW], *seeds[BEFORE]])
    for number, (seed, task) in enumerate(product(all_seeds, map(str, cfg.suite.tasks))):
        for version in (NOW, BEFORE) if number % 2 else (BEFORE, NOW):
            if seed in seeds[version]:
                yield Cell(task, version, seed)


def committed_rows(tasks: dict[str, DictConfig]) -> list[Row]:
    """The committed rows of the suite `goal` under the same protocol, with the planner of each task's settings."""
    planners = {task: str(cfg.planner._target_).rpartition(".")[2].lower() for task, cfg in tasks.items()}
    return [
        row
        for row in (read_csv(COMMITTED) if COMMITTED.exists() else [])
        if (row.observation, row.protocol, row.policy, row.variant) == ("state", "honest", "model", "")
        and planners.get(row.task) == row.planner
    ]


class Suite:
    """Checkouts, data, training runs and rows of one run of the suite."""

    def __init__(self, cfg: DictConfig):
        self.cfg = cfg
        self.path = Path(cfg.results) / "training_speed.csv"
        self.commit = checkouts.commit_of(str(cfg.suite.before)) if cfg.suite.before_seeds else ""
        self._root = Path(cfg.runs).absolute() / "training_speed"
        self._made = manifest(cfg, [int(seed) for seed in cfg.suite.seeds])
        self._flops = lru_cache(self._flops_of)
        self._composed = lru_cache(self._compose)

    def todo(self, requested: list[Cell]) -> list[Cell]:
        """The cells without a row of the same settings and enough episodes."""
        rows = {row.identity: row for row in table_file.read(self.path, SpeedRow)}
        stored = stored_cells(self.path)

        def is_measured(cell: Cell) -> bool:
            key = (cell.task, cell.version, cell.seed)
            enough = key in rows and rows[key].episodes >= int(self.cfg.suite.episodes)
            return enough and same_settings(stored.get(key), self._cell(cell))

        return missing(requested, is_measured, bool(self.cfg.redo), "cells")

    def measure(self, cell: Cell) -> None:
        """Train and plan, and write the row; what an interrupted run has finished is kept."""
        version, data = self._checkout(cell.version), self._data(cell)
        gflops = self._flops(cell.task, data) / 1e9 if cell.version == NOW else None
        files, words = self._files(cell), self._words(cell)
        log, cache = files.model.with_suffix(".log"), self._folder(cell.version) / "compiled"
        begun, notes = self._begun(cell, data), files.model.with_suffix(".cell.json")
        if not files.model.exists():
            peak = max(begun["sgemm_gflops"], sgemm_gflops(SGEMM_SIZE, seconds=1.0))
            write_atomically(notes, table_file.as_json({**begun, "sgemm_gflops": peak}))
            version.run("train", words, log, cache)
            peak = max(peak, sgemm_gflops(SGEMM_SIZE, seconds=1.0))  # a busy moment must not flatter the share
            begun = {**begun, "sgemm_gflops": peak}
            write_atomically(notes, table_file.as_json(begun))
        else:
            logger.info("%s: its model is there already; redo=true trains it again", cell)
        trained = load_model(files.model)
        policies = ["model"] if trained.model.heads.policy is None else ["model", "reflex"]
        plan = [f"episodes={int(self.cfg.suite.episodes)}", "latency_plans=1", f"policies=[{','.join(policies)}]"]
        version.run("plan", [*words, *plan], log, cache)
        planned = json.loads((self._folder(cell.version) / f"{cell.task}-plan.json").read_bytes())["rows"]
        reached = {row["policy"]: row for row in planned}
        seconds, peak = float(trained.metadata["train_seconds"]), float(begun["sgemm_gflops"])
        row = SpeedRow(
            task=cell.task,
            version=cell.version,
            seed=cell.seed,
            train_seconds=seconds,
            successes=int(reached["model"]["successes"]),
            episodes=int(reached["model"]["episodes"]),
            gflops=gflops,
            sgemm_share=None if gflops is None else gflops / seconds / peak,
            command=command(),
        )
        made = {**self._made, "cell": self._cell(cell), "sgemm_gflops": round(peak, 1)}
        table_file.add(self.path, SpeedRow, [row], IDENTITY, made)
        words = [f"{name} {each['successes']}/{each['episodes']}" for name, each in reached.items()]
        logger.info("%s: trained in %.1f s; %s", cell, seconds, ", ".join(words))

    def _begun(self, cell: Cell, data: Path) -> dict[str, Any]:
        """Notes on a training run that began, beside its files.

        Those of other settings or data are removed, and with `redo` also those of a run that had finished.
        """
        files = self._files(cell)
        notes, settings = files.model.with_suffix(".cell.json"), {**self._cell(cell), "data": str(data.resolve())}
        begun = json.loads(notes.read_bytes()) if notes.exists() else {}
        same = same_settings(begun.get("cell"), settings)
        if not same or (self.cfg.redo and files.model.exists()):
            for left in (files.model, files.training, files.model.with_suffix(".log"), notes):
                left.unlink(missing_ok=True)
            begun = {}
        return {"cell": settings, "sgemm_gflops": 0.0, **begun}

    def _checkout(self, version: str) -> Checkout:
        return checkouts.current() if version == NOW else checkouts.checkout(self.commit, self._root / "checkouts")

    def _folder(self, version: str) -> Path:
        """Folder of a version's data, models and logs: the setting `runs` of its commands."""
        return self._root / (NOW if version == NOW else self.commit[:12])

    def _files(self, cell: Cell) -> Paths:
        return Paths.of(self.settings(cell), cell.seed)

    def _data(self, cell: Cell) -> Path:
        """The dataset, collected if missing; `now` learns from that of `before` where its own recipe is the same."""
        if cell.version == BEFORE:
            return self._collected(cell)
        path = self._files(cell).data
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.commit:
            before = replace(cell, version=BEFORE)
            shared = self._collected(before)
            if self._fits(cell, self._folder(BEFORE)):
                if path.resolve() != shared.resolve():
                    _remove(path)
                    path.symlink_to(shared, target_is_directory=True)
                return path
        if not path.exists() or not self._fits(cell, path.parent):
            _remove(path)
        return self._collected(cell)

    def _collected(self, cell: Cell) -> Path:
        """The dataset that a version collects."""
        path = self._files(cell).data
        if not path.exists():
            folder = path.parent
            folder.mkdir(parents=True, exist_ok=True)
            log = path.with_suffix(".log")
            self._checkout(cell.version).run("collect", self._words(cell), log, folder / "compiled")
        return path

    def _fits(self, cell: Cell, folder: Path) -> bool:
        """Whether the dataset in a folder is the one that the recipe of `now` would collect."""
        settings = self.settings(cell)
        settings.runs = str(folder)
        try:
            ensure_data(settings, cell.seed)
        except ValueError as error:
            logger.info("%s does not learn from the data in %s: %s", cell, folder, error)
            return False
        return True

    def _words(self, cell: Cell) -> list[str]:
        runs = self._folder(cell.version)
        return [f"task={cell.task}", f"seed={cell.seed}", f"runs='{runs}'", *map(str, self.cfg.suite.overrides)]

    def settings(self, cell: Cell) -> DictConfig:
        """Settings of the current checkout for a cell, with the files of the cell's version."""
        found = self._composed(cell.task, cell.seed).copy()
        found.runs = str(self._folder(cell.version))
        return found

    def _compose(self, task: str, seed: int) -> DictConfig:
        return build.compose("plan", f"task={task}", f"seed={seed}", *map(str, self.cfg.suite.overrides))

    def _flops_of(self, task: str, data: Path) -> int:
        """FLOP of all updates of `now` on a dataset."""
        seed = int(self.cfg.suite.seeds[0])
        settings = self.settings(Cell(task, NOW, seed))
        return training_flops(prepare(settings, seed, load(data), data).trainer)

    def _cell(self, cell: Cell) -> dict[str, Any]:
        """What determines the result of a cell, for the manifest."""
        overrides = [str(each) for each in self.cfg.suite.overrides]
        if cell.version == BEFORE:
            return {"commit": self.commit, "overrides": overrides}
        return {"recipe": recipe(self.settings(cell), cell.seed), "overrides": overrides}


def _remove(dataset: Path) -> None:
    """Remove a dataset, or the link to one; nothing if there is none."""
    if dataset.is_symlink():
        dataset.unlink()
    elif dataset.exists():
        shutil.rmtree(dataset)


def training_flops(trainer: Trainer) -> int:
    """FLOP of the matrix products of all updates, counted from the traced updates of each stage."""
    return sum(round(update_flops(trainer, name) * len(updates)) for name, updates in trainer.stages.items())
