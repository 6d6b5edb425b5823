"""Goal training of two versions of this program, on the same data and held-out pairs, in one alternating run.

Every run is a fresh process. Each version has its own cache of compiled programs, empty at first and kept between runs:
the first seed of a task compiles, as after an installation, and later seeds load. A cell is a task, a version and a
seed. Finished cells are in the table and are skipped; a cell that was interrupted starts again, because its time would
be that of two runs.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import jax
from omegaconf import DictConfig
from rich.console import Console

import envs
from worldmodel.data.dataset import load
from worldmodel.models.fingerprint import differing
from worldmodel.training.trainer import Trainer

from ... import build
from ...build.defaults import defaults
from ...build.recipes import Paths, recipe
from ...records import table_file
from ...records.manifest import command, manifest
from ...records.promises import require
from ...records.results import Row, read_csv
from ...shell.shadowing import ROOT
from ...training.ensure import ensure_data
from ...training.offline import prepare
from ..flops import gemm_flops, sgemm_gflops
from ..missing import missing
from ..steps import Step, exit_on_failure, run_all
from . import checkouts
from .checkouts import Checkout
from .rows import BEFORE, IDENTITY, NOW, SpeedRow, table, values

logger = logging.getLogger(__name__)

COMMITTED = ROOT / "experiments" / "results" / "goal.csv"
POLICIES = ("model", "reflex")


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
        if task not in envs.TASKS:
            raise ValueError(f"{task!r} is not a choice of suite.tasks: choose from {', '.join(envs.TASKS)}")
    suite = Suite(cfg)
    requested = list(cells(cfg))
    failed = run_all([Step(str(cell), cell.version, partial(suite.measure, cell)) for cell in suite.todo(requested)])
    wanted = {(cell.task, cell.version, cell.seed) for cell in requested}
    rows = [row for row in table_file.read(suite.path, SpeedRow) if row.identity in wanted]
    committed = committed_rows({cell.task: suite.settings(cell) for cell in requested})
    if rows:
        Console().print(table(rows, committed))
    exit_on_failure(failed)
    require(cfg.suite, values(rows, committed))
    return rows


def cells(cfg: DictConfig) -> Iterator[Cell]:
    """The cells in the order of measurement: versions alternate, in an order that is swapped from pair to pair."""
    for number, (task, seed) in enumerate(product(map(str, cfg.suite.tasks), map(int, cfg.suite.seeds))):
        order = [version for version in (BEFORE, NOW) if version in cfg.suite.versions]
        for version in reversed(order) if number % 2 else order:
            yield Cell(task, version, seed)


def committed_rows(tasks: dict[str, DictConfig]) -> list[Row]:
    """The committed rows of the suite `goal` under the same protocol, with the planner of each task's settings."""
    planners = {task: str(cfg.planner._target_).rpartition(".")[2].lower() for task, cfg in tasks.items()}
    return [
        row
        for row in (read_csv(COMMITTED) if COMMITTED.exists() else [])
        if (row.protocol, row.policy, row.variant) == ("honest", "model", "") and planners.get(row.task) == row.planner
    ]


class Suite:
    """Checkouts, data, training runs and rows of one run of the suite."""

    def __init__(self, cfg: DictConfig):
        self.cfg = cfg
        self.path = Path(cfg.results) / "training_speed.csv"
        self.commit = checkouts.commit_of(str(cfg.suite.before)) if BEFORE in cfg.suite.versions else ""
        self._root = Path(cfg.runs).absolute() / "training_speed"
        self._made = manifest(cfg, [int(seed) for seed in cfg.suite.seeds])
        self._flops = lru_cache(self._flops_of)
        self._composed = lru_cache(self._compose)

    def todo(self, requested: list[Cell]) -> list[Cell]:
        """The cells without a row of the same settings and enough episodes."""
        rows = {row.identity: row for row in table_file.read(self.path, SpeedRow)}
        stored = {
            tuple(identity): entry["manifest"].get("cell")
            for entry in table_file.read_entries(self.path)
            for identity in entry["rows"]
        }

        def is_measured(cell: Cell) -> bool:
            key = (cell.task, cell.version, cell.seed)
            enough = key in rows and rows[key].episodes >= int(self.cfg.suite.episodes)
            return enough and self._same_settings(cell, stored.get(key))

        return missing(requested, is_measured, bool(self.cfg.redo), "cells")

    def measure(self, cell: Cell) -> None:
        """Train and plan in one fresh folder, and write the row."""
        version, data = self._checkout(cell.version), self._data(cell)
        gflops = self._flops(cell.task, data) / 1e9 if cell.version == NOW else None
        name = Paths.of(self.settings(cell), cell.seed).model.stem
        place = self._root / version.name / name
        place.parent.mkdir(parents=True, exist_ok=True)
        for left in place.parent.glob(f"{name}.partly-*"):  # of a run that was killed
            shutil.rmtree(left)
        partly = Path(tempfile.mkdtemp(prefix=f"{name}.partly-", dir=place.parent))
        (partly / data.name).symlink_to(data, target_is_directory=True)
        words, log, cache = self._words(cell, partly), place.with_suffix(".log"), self._root / version.name / "compiled"
        log.unlink(missing_ok=True)
        peak = sgemm_gflops()
        version.run("train", words, log, cache)
        peak = max(peak, sgemm_gflops())  # a busy moment must not flatter the share
        plan = [f"episodes={int(self.cfg.suite.episodes)}", "latency_plans=1", f"policies=[{','.join(POLICIES)}]"]
        version.run("plan", [*words, *plan], log, cache)
        planned = {row["policy"]: row for row in json.loads((partly / f"{cell.task}-plan.json").read_bytes())["rows"]}
        shutil.rmtree(place, ignore_errors=True)
        partly.rename(place)
        model, seconds = planned["model"], float(planned["model"]["train_seconds"])
        row = SpeedRow(
            task=cell.task,
            version=cell.version,
            seed=cell.seed,
            train_seconds=seconds,
            successes=int(model["successes"]),
            episodes=int(model["episodes"]),
            gflops=gflops,
            sgemm_share=None if gflops is None else gflops / seconds / peak,
            command=command(),
        )
        made = {**self._made, "cell": self._cell(cell), "sgemm_gflops": round(peak, 1)}
        table_file.add(self.path, SpeedRow, [row], IDENTITY, made)
        reached = ", ".join(f"{name} {each['successes']}/{each['episodes']}" for name, each in planned.items())
        logger.info("%s: trained in %.1f s; %s", cell, seconds, reached)

    def _checkout(self, version: str) -> Checkout:
        return checkouts.current() if version == NOW else checkouts.checkout(self.commit, self._root / "checkouts")

    def _data(self, cell: Cell) -> Path:
        """The dataset, collected if missing; `now` learns from that of `before` where its own recipe is the same."""
        if self.commit:
            before = self._checkout(BEFORE)
            path = self._collected(before, cell)
            if cell.version == BEFORE or self._fits(before, cell):
                return path
        now = self._checkout(NOW)
        path = Paths.of(self.settings(cell, self._root / now.name / "data"), cell.seed).data
        if path.exists() and not self._fits(now, cell):
            shutil.rmtree(path)
        return self._collected(now, cell)

    def _collected(self, version: Checkout, cell: Cell) -> Path:
        """The dataset that a version collects."""
        runs = self._root / version.name / "data"
        path = Paths.of(self.settings(cell, runs), cell.seed).data
        if not path.exists():
            runs.mkdir(parents=True, exist_ok=True)
            version.run("collect", self._words(cell, runs), path.with_suffix(".log"), runs.parent / "compiled")
        return path

    def _fits(self, collector: Checkout, cell: Cell) -> bool:
        """Whether the dataset of a version is the one that the recipe of `now` would collect."""
        try:
            ensure_data(self.settings(cell, self._root / collector.name / "data"), cell.seed)
        except ValueError as error:
            logger.info("%s does not learn from the data of %s: %s", cell, collector.name, error)
            return False
        return True

    def _words(self, cell: Cell, runs: Path) -> list[str]:
        return [f"task={cell.task}", f"seed={cell.seed}", f"runs='{runs}'", *map(str, self.cfg.suite.overrides)]

    def settings(self, cell: Cell, runs: Path | None = None) -> DictConfig:
        """Settings of `now` for a cell, with its files in the folder `runs`."""
        found = self._composed(cell.task, cell.seed).copy()
        found.runs = str(runs or self._root)
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

    def _same_settings(self, cell: Cell, stored: Any) -> bool:
        if not isinstance(stored, dict):
            return False
        now = self._cell(cell)
        was, _ = differing(stored, now, {"recipe": defaults(now.get("recipe", {}))})
        return not was


def training_flops(trainer: Trainer) -> int:
    """FLOP of the matrix products of all updates, counted from the traced updates of each stage."""
    state, key, total = trainer.init(), jax.random.key(trainer.config.seed), 0
    for stage in trainer.stages:
        batches = trainer.batches(stage.name, state)
        traced = jax.make_jaxpr(partial(trainer.many_updates, stage.name))(state, batches, key)
        total += gemm_flops(traced) * stage.updates // trainer.config.updates_per_call
    return total
