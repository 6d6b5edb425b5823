"""`jepa-mpc bench`: a suite of measurements, into a table of one's own with its manifest."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from . import shipped

# The module of each suite, imported when it is asked for.
SUITES = {
    "constraints": "bench_constraints",
    "delay": "bench_delay",
    "fine_tuning": "bench_fine_tuning",
    "goal": "bench_goal",
    "goal_ablations": "bench_goal",
    "hostile_bundles": "hostile_bundles",
    "latency": "bench_latency",
    "loop": "bench_loop",
    "mutants": "mutants",
    "overhead": "bench_overhead",
    "paired": "bench_paired",
    "partial_goals": "bench_partial_goals",
    "planners": "bench_planners",
    "rewards": "bench_rewards",
    "soak": "soak",
    "start": "bench_start",
    "stderr": "bench_stderr",
    "storm": "storm",
    "surprise": "bench_surprise",
}


def run(cfg: DictConfig) -> list[Any]:
    """The rows or values of the suite that `cfg.suite` names; of a table over a grid, those measured before too.

    With `cfg.shipped` nothing is measured or written: the shipped rows are printed and returned.

    Raises:
      ValueError: a suite, planner or setting that does not exist.
    """
    name = str(cfg.suite.name)
    if name not in SUITES:
        raise ValueError(f"suite={name} is not known: choose from {', '.join(SUITES)}")
    if cfg.shipped:
        return shipped.show(name)
    rows: list[Any] = importlib.import_module(f".{SUITES[name]}", __package__).run(cfg)
    if cfg.results:
        path = Path(cfg.results) / shipped.TABLES[name].file
        Console().print(f"rows: {path}", markup=False, soft_wrap=True)
    return rows
