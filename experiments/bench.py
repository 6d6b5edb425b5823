"""`jepa-mpc bench`: a suite of measurements over a grid, into a committed table with its manifest and its figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig

from . import bench_delay, bench_latency, bench_loop, hostile_bundles, soak


def run(cfg: DictConfig) -> Any:
    """What the suite that `cfg.suite` names gives: of latency, all rows, those measured before among them.

    Raises:
      ValueError: a suite, planner or setting that does not exist.
    """
    suites: dict[str, Callable[[DictConfig], Any]] = {
        "latency": bench_latency.run,
        "hostile_bundles": hostile_bundles.run,
        "soak": soak.run,
        "loop": bench_loop.run,
        "delay": bench_delay.run,
    }
    if cfg.suite.name not in suites:
        raise ValueError(f"suite={cfg.suite.name} is not known: choose from {', '.join(suites)}")
    return suites[cfg.suite.name](cfg)
