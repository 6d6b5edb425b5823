"""`jepa-mpc bench`: run a suite of measurements, and write a new table with its manifest."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from ..bench import shipped
from ..records.document import rows_of

# The module of each suite, imported on demand.
SUITES = {
    "constraints": "goal.constraints",
    "delay": "robot.delay",
    "expectation": "expectation.suite",
    "few_labels": "few_labels.suite",
    "fine_tuning": "rewards.fine_tuning",
    "goal": "goal.suite",
    "goal_ablations": "goal.suite",
    "hostile_bundles": "robot.hostile.suite",
    "latency": "latency.suite",
    "loop": "robot.real_time",
    "memory": "goal.suite",
    "missing_sensor": "robot.missing_sensor",
    "mutants": "robot.mutants",
    "overhead": "latency.overhead",
    "paired": "goal.paired",
    "partial_goals": "goal.partial_goals",
    "planners": "planners.suite",
    "representation": "representation.suite",
    "rewards": "rewards.suite",
    "scale": "scale.suite",
    "second_start": "latency.second_start",
    "sensors": "goal.sensors",
    "soak": "robot.soak.suite",
    "start": "robot.start",
    "stderr": "robot.stderr",
    "stirred_tank": "goal.set_points",
    "storm": "robot.storm",
    "surprise": "robot.surprise",
    "training_curve": "goal.suite",
    "training_profile": "training.profile",
    "training_speed": "training.speed",
}
# Suites whose steps an engine places; the others measure times or a robot loop, in this process.
PLACED = (
    *("expectation", "few_labels", "fine_tuning", "goal", "goal_ablations", "memory", "paired", "planners"),
    *("representation", "rewards", "training_curve"),
)

_SHARDED = ("few_labels", "goal", "goal_ablations", "memory", "representation", "training_curve")
# By setting of the engine: the suites whose work it divides.
SHARDED = {"collection_shards": (*_SHARDED, "planners"), "evaluation_shards": _SHARDED}


def run(cfg: DictConfig) -> list[Any]:
    """Run the suite `cfg.suite` and return its rows or values; for a grid, earlier rows of the table too.

    With `cfg.shipped` nothing is measured or written: the shipped rows are printed and returned.

    Raises:
      ValueError: an unknown suite, planner or setting.
    """
    name = str(cfg.suite.name)
    if name not in SUITES:
        raise ValueError(f"suite={name} is not known: choose from {', '.join(SUITES)}")
    if cfg.shipped:
        return shipped.show(name)
    if name not in PLACED and (cfg.dry_run or cfg.engine.name != "local"):
        setting = "dry_run=true" if cfg.dry_run else f"engine={cfg.engine.name}"
        raise ValueError(
            f"{setting} is for suites of steps, and suite={name} measures in one process: leave it out, or choose from "
            f"{', '.join(PLACED)}"
        )
    for shards, suites in SHARDED.items():
        if int(cfg.engine[shards]) > 1 and name not in suites:
            raise ValueError(
                f"engine.{shards}={cfg.engine[shards]} divides nothing in suite={name}: leave it out, or choose from "
                f"{', '.join(suites)}"
            )
    rows: list[Any] = importlib.import_module(f"..bench.{SUITES[name]}", __package__).run(cfg)
    if cfg.results and not cfg.suite.get("export"):  # which measures nothing
        path = Path(cfg.results) / shipped.TABLES[name].file
        Console().print(f"rows: {path}", markup=False, soft_wrap=True)
    return rows


def document(cfg: DictConfig, result: Any) -> dict[str, Any]:
    """Content of the JSON document: the rows of the suite, each with its `machine`.

    They are those that its table now holds, also where a broken promise has ended the suite.
    """
    folder = shipped.FOLDER if cfg.shipped else Path(cfg.results)
    found = shipped.by_machine(str(cfg.suite.name), folder)
    rows = [{**row, "machine": machine} for machine, measured in found.items() for row in rows_of(measured)]
    return {"suite": str(cfg.suite.name), "rows": rows}
