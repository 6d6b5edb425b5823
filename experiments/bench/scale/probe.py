"""Suite of steps that take a given time and compute nothing, to measure engines with."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ...engine.artifacts import TableFile
from ...engine.run import run_steps
from ...engine.step import Step, exit_on_failure
from ...records import results
from ...records.results import Row

FILE = "probe.csv"


def settings(place: Path, engine: DictConfig, rows: int, seconds: float) -> DictConfig:
    """Settings of the suite.

    Args:
      place: folder of its files.
      engine: settings of the engine.
      rows: rows of its table; each needs a file that another step writes.
      seconds: that a step takes.
    """
    suite = {"name": "probe", "rows": rows, "seconds": seconds}
    folders = {"runs": str(place / "runs"), "results": str(place / "bench")}
    return OmegaConf.create({"engine": engine, "suite": suite, "dry_run": False, **folders})


def run(cfg: DictConfig) -> list[Row]:
    """Add the missing rows, and return all.

    Raises:
      SystemExit: with code 1, if a step failed.
    """
    path, known = Path(cfg.results) / FILE, {row.seed for row in results.read_csv(Path(cfg.results) / FILE)}
    steps = []
    for seed in (each for each in range(int(cfg.suite.rows)) if each not in known):
        file, data = Path(cfg.runs) / f"{seed}.txt", f"data {seed}"
        steps.append(Step(data, "data", partial(_write, cfg, file, seed)))
        steps.append(Step(f"row {seed}", "row", partial(_measure, cfg, path, file, seed), (data,), (file,)))
    exit_on_failure(run_steps(cfg, __name__, steps, TableFile(FILE, Row, results.IDENTITY, digits=None)))
    return results.read_csv(path)


def _write(cfg: DictConfig, file: Path, seed: int) -> None:
    time.sleep(float(cfg.suite.seconds))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(str(seed * seed))


def _measure(cfg: DictConfig, path: Path, file: Path, seed: int) -> None:
    time.sleep(float(cfg.suite.seconds))
    row = Row(task="probe", seed=seed, episodes=int(file.read_text()))
    results.append_csv(path, [row], {"command": "probe", "config": {}, "seeds": [seed]})
