"""Where the time of an update goes, in each stage of goal training.

Updates are timed first and traced afterwards, since tracing slows small operations down.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import jax
from omegaconf import DictConfig
from rich.console import Console

import envs
from worldmodel.training.trainer import Trainer

from ... import build
from ...build.recipes import named, recipe
from ...engine import here
from ...engine.step import Step, exit_on_failure
from ...records import table_file
from ...records.manifest import command, manifest
from ...training.ensure import ensure_data
from ...training.given_data import load_given
from ...training.prepared import prepare
from ..flops import SGEMM_SIZE, gemm_flops, sgemm_gflops
from ..missing import missing
from .profile_rows import IDENTITY, UPDATE, ProfileRow, table
from .settings import same_settings, stored_cells
from .trace import Spent, by_kind, record

logger = logging.getLogger(__name__)

WARM_UP = 2  # calls: the first compiles


def run(cfg: DictConfig) -> list[ProfileRow]:
    """Profile the tasks that the table lacks, write their rows, and print the table.

    Raises:
      ValueError: a task does not exist.
      SystemExit: with code 1, if a task failed.
    """
    tasks, path = [str(task) for task in cfg.suite.tasks], Path(cfg.results) / "training_profile.csv"
    for task in tasks:
        if task not in envs.task_names():
            raise ValueError(f"{task!r} is not a choice of suite.tasks: choose from {', '.join(envs.task_names())}")
    stored = {identity[0]: cell for identity, cell in stored_cells(path).items()}

    def is_measured(task: str) -> bool:
        return same_settings(stored.get(task), _cell(cfg, task))

    todo = missing(tasks, is_measured, bool(cfg.redo), "tasks")
    failed = here.run([Step(f"profile of {task}", "profile", partial(measure, cfg, task, path)) for task in todo])
    rows = [row for row in table_file.read(path, ProfileRow) if row.task in tasks]
    if rows:
        Console().print(table(rows))
    exit_on_failure(failed)
    return rows


def measure(cfg: DictConfig, task: str, path: Path) -> None:
    """Profile all stages of a task, and replace its rows in the table at `path`."""
    settings, seed = _settings(cfg, task), int(cfg.suite.seed)
    source = ensure_data(settings, seed)
    trainer = prepare(settings, seed, load_given(source), named(source)).trainer
    peak, profiles = sgemm_gflops(SGEMM_SIZE, seconds=1.0), dict[str, Profile]()
    for stage in trainer.stages:
        logger.info("%s, stage %s", task, stage)
        profiles[stage] = profile(trainer, stage, int(cfg.suite.repeats))
        peak = max(peak, sgemm_gflops(SGEMM_SIZE, seconds=1.0))  # a busy moment must not flatter the share
    rows = [row for name, each in profiles.items() for row in rows_of(each, task, name, peak)]
    made = {**manifest(cfg, [seed]), "cell": _cell(cfg, task), "sgemm_gflops": round(peak, 1)}
    table_file.add(path, ProfileRow, rows, IDENTITY, made, replaced=("task",))  # a stage may be gone


@dataclass(frozen=True)
class Profile:
    """Measurements of one stage, per update."""

    seconds: float  # wall time, without the profiler
    flops: float  # of matrix products
    spent: dict[str, Spent]  # by kind of operation, summed over threads, under the profiler
    updates: int  # that `spent` is about


def profile(trainer: Trainer, stage: str, repeats: int) -> Profile:
    """Time and trace updates of a stage, from the weights before training.

    Args:
      trainer: of the recipe.
      stage: its name.
      repeats: number of timed calls of `updates_per_call` updates.
    """
    state, key, updates = trainer.init(), jax.random.key(trainer.config.seed), trainer.config.updates_per_call
    batches = trainer.batches(stage, state)
    step = jax.jit(partial(trainer.many_updates, stage), donate_argnums=0)  # `Trainer.step` compiles the same

    def call() -> None:
        nonlocal state
        state, metrics = step(state, batches, key)
        jax.block_until_ready((state, metrics))

    for _ in range(WARM_UP):
        call()
    seconds = median(_timed(call) for _ in range(repeats)) / updates
    return Profile(seconds, update_flops(trainer, stage), by_kind(record(call)), updates)


def update_flops(trainer: Trainer, stage: str) -> float:
    """FLOP of the matrix products of one update, counted in the traced program."""
    state, key = trainer.init(), jax.random.key(trainer.config.seed)
    traced = jax.make_jaxpr(partial(trainer.many_updates, stage))(state, trainer.batches(stage, state), key)
    return gemm_flops(traced) / trainer.config.updates_per_call


def rows_of(profile: Profile, task: str, stage: str, peak: float) -> list[ProfileRow]:
    """One row for the whole update, and one for each kind of operation.

    Args:
      profile: the measurements.
      task: its name.
      stage: its name.
      peak: rate of a plain product in GFLOP/s.
    """
    names: Any = {"task": task, "stage": stage, "command": command()}
    total = sum(each.seconds for each in profile.spent.values())
    rate = profile.flops / profile.seconds / 1e9
    whole = ProfileRow(
        **names,
        part=UPDATE,
        ms=1e3 * profile.seconds,
        operations=sum(each.operations for each in profile.spent.values()) / profile.updates,
        gflop=profile.flops / 1e9,
        gflop_per_s=rate,
        sgemm_share=rate / peak,
    )
    parts = [
        ProfileRow(
            **names,
            part=kind,
            ms=1e3 * each.seconds / profile.updates,
            share=each.seconds / total,
            operations=each.operations / profile.updates,
        )
        for kind, each in profile.spent.items()
    ]
    return [whole, *parts]


def _timed(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _settings(cfg: DictConfig, task: str) -> DictConfig:
    words = (f"task={task}", f"seed={int(cfg.suite.seed)}", *map(str, cfg.suite.overrides))
    found = build.compose("train", *words, f"training.updates_per_call={int(cfg.suite.updates_per_call)}")
    found.runs = str(cfg.runs)
    return found


def _cell(cfg: DictConfig, task: str) -> dict[str, Any]:
    """What determines the rows of a task, for the manifest."""
    return {"recipe": recipe(_settings(cfg, task), int(cfg.suite.seed))}
