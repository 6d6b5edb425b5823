"""`jepa-mpc bench`: a suite of measurements over a grid, into a committed table with its manifest and its figure."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from . import bench_latency, hostile_bundles


def run(cfg: DictConfig) -> Any:
    """What the suite that `cfg.suite` names gives: of latency, all rows, those measured before among them.

    Raises:
      ValueError: a suite, planner or setting that does not exist.
    """
    suites = {"latency": bench_latency.run, "hostile_bundles": hostile_bundles.run}
    if cfg.suite.name not in suites:
        raise ValueError(f"suite={cfg.suite.name} is not known: choose from {', '.join(suites)}")
    return suites[cfg.suite.name](cfg)
