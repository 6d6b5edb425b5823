"""Promises of the engines: what they cost, and that where a suite runs does not matter."""

from __future__ import annotations

import dataclasses
import subprocess
import tempfile
import time
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from ... import build
from ...engine.job import Job, environment, words
from ...records.manifest import manifest
from ...records.promises import require
from ...records.results import Row, Value, append_values, read_csv
from ...shell.folders import RESULTS
from ..goal import suite as goal
from . import kills, probe, replay

FILE = "scale.csv"
_TIMES = ("train_seconds", "plan_ms_p50", "plan_ms_p95", "plan_ms_p99")


def run(cfg: DictConfig) -> list[Value]:
    """Measure the cases that the suite names, write and print them.

    Raises:
      ImportError: Ray is not installed, and a case needs it.
      SystemExit: with code 1, if a promise is broken.
    """
    found: list[Value] = []
    measured = {"overhead": overhead, "speedup": speedup, "equal": equal, "kills": killed, "makespan": makespans}
    for name in map(str, cfg.suite.only or measured):
        if name not in measured:
            raise ValueError(f"{name!r} is not a choice of suite.only: choose from {', '.join(measured)}")
        new = measured[name](cfg)
        append_values(Path(cfg.results) / FILE, new, manifest(cfg, [0]))
        for each in new:
            Console().print(f"{each.case:24s} {each.value:8.3f} {each.unit}", highlight=False)
        found += new
    chosen = cfg.suite.copy()
    if cfg.suite.only:
        cases = {each.case for each in found}
        chosen.promises = {case: most for case, most in cfg.suite.promises.items() if case in cases}
    require(chosen, found)
    return found


def overhead(cfg: DictConfig) -> list[Value]:
    """Seconds that `engine=local` adds to a step beyond the start of its process."""
    rows = int(cfg.suite.steps)
    with tempfile.TemporaryDirectory() as place:
        steps = [f"{kind} {seed}" for seed in range(rows) for kind in ("data", "row")]
        alone = probe.settings(Path(place) / "alone", _processes(1), rows, 0.0)
        file = Path(place) / "alone.json"
        Job.of(probe.__name__, alone).write(file)
        began = time.perf_counter()
        for number, name in enumerate(steps):
            outcome = Path(place) / f"{number}.json"
            subprocess.run(words(file, name, outcome), env=environment(1), check=True, capture_output=True)
        bare = time.perf_counter() - began
        began = time.perf_counter()
        probe.run(probe.settings(Path(place) / "engine", _processes(1), rows, 0.0))
        whole = time.perf_counter() - began
    return [Value("overhead_s", (whole - bare) / len(steps), "s")]


def speedup(cfg: DictConfig) -> list[Value]:
    """How much sooner two processes of one core each fill a table of evaluations than one such process.

    A first table is not timed: it leaves models and compiled programs, which the other two find alike.
    """
    with tempfile.TemporaryDirectory() as place:
        took = []
        for number, at_once in enumerate((2, 1, 2)):
            made = _composed(cfg, Path(place), list(cfg.suite.evaluation))
            made.engine, made.results = _processes(at_once), str(Path(place) / f"table{number}")
            began = time.perf_counter()
            goal.run(made)
            took.append(time.perf_counter() - began)
    return [Value("two_core_speedup", took[1] / took[2], "")]


def equal(cfg: DictConfig) -> list[Value]:
    """Whether a Ray cluster of four one-core nodes measures the rows that this machine does, but for times."""
    with tempfile.TemporaryDirectory() as place, kills.nodes() as cluster:
        tables = []
        for name, engine in (("local", _processes(2)), ("ray", _ray(cluster.address))):
            made = _composed(cfg, Path(place) / name, list(cfg.suite.smoke))
            made.engine = engine
            goal.run(made)
            tables.append(sorted(map(_without_times, read_csv(Path(made.results) / "goal.csv")), key=repr))
        local_rows, ray_rows = tables
    apart = sum(each not in ray_rows for each in local_rows) + sum(each not in local_rows for each in ray_rows)
    return [
        Value("ray_equals_local", float(not apart and bool(local_rows)), ""),
        Value("ray_rows_that_differ", float(apart), "rows"),
        Value("ray_rows", float(len(ray_rows)), "rows"),
    ]


def killed(cfg: DictConfig) -> list[Value]:
    """Rows that are lost when a worker, a node or the driver is killed at random moments."""
    with tempfile.TemporaryDirectory() as place, kills.nodes() as cluster:
        lost = kills.lost_rows(cluster, _ray(cluster.address), Path(place), int(cfg.suite.kills), seed=0)
    return [Value("kills_lost_cells", float(lost), "rows"), Value("kills", float(cfg.suite.kills), "")]


def makespans(cfg: DictConfig) -> list[Value]:
    """Makespans of the shipped benchmark on many machines, over the least possible ones."""
    rows = [row for row in read_csv(RESULTS / "goal.csv") if row.protocol == "honest"]
    copies = int(cfg.suite.copies)
    return [
        Value(f"makespan_ratio_{slots}", replay.ratio(rows, slots, copies), "")
        for slots in map(int, cfg.suite.machines)
    ]


def _composed(cfg: DictConfig, place: Path, overrides: list[str]) -> DictConfig:
    """Settings of the suite `goal` with folders of their own."""
    return build.compose("bench", "suite=goal", *overrides, f"runs={place / 'runs'}", f"results={place / 'bench'}")


def _processes(at_once: int) -> DictConfig:
    return OmegaConf.create({"name": "local", "workers": at_once, "apart": True, "cores": 1, "retries": 0})


def _ray(address: str) -> DictConfig:
    small = {"cores": 1, "gpus": 0, "memory_gib": 0.5, "retries": 3}
    return OmegaConf.create({"name": "ray", "address": address, "artifacts": "shared", **small})


def _without_times(row: Row) -> Row:
    times = dict.fromkeys(_TIMES)
    return dataclasses.replace(row, command="", **times)  # type: ignore[arg-type]
