"""Rows that are lost when workers, machines or the driver of a Ray cluster are killed: none should be."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ...engine.job import Job
from ...records.results import read_csv
from ...shell.shadowing import ROOT
from . import probe

NODES, ROWS, SECONDS = 4, 6, 0.3
PATIENCE = 180.0  # seconds until a rerun counts as stuck
VICTIMS = ("worker", "node", "driver")
_NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "memory": 8 * 2**30}
_DRIVER = """
import sys
from pathlib import Path
from omegaconf import OmegaConf
from experiments.bench.scale import probe
from experiments.engine.job import Job
probe.run(OmegaConf.create(Job.read(Path(sys.argv[1])).settings))
"""


@contextmanager
def nodes() -> Iterator[Any]:
    """Give a cluster of one-core nodes, which are processes of this machine; they end with the context."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    found = Cluster()
    try:
        for _ in range(NODES):
            found.add_node(**_NODE)
        yield found
    finally:
        ray.shutdown()
        found.shutdown()


def lost_rows(cluster: Any, engine: DictConfig, place: Path, moments: int, seed: int) -> int:
    """Kill something at random moments of a run, run it again, and count rows that were there and are not, or differ.

    Args:
      cluster: of `nodes`.
      engine: settings that name it.
      place: folder for all files.
      moments: kills.
      seed: of moments and victims.
    """
    rng, lost = random.Random(seed), 0
    for number in range(moments):
        cfg = probe.settings(place / str(number), engine, ROWS, SECONDS)
        job = place / f"{number}.json"
        Job.of(probe.__name__, cfg).write(job)
        victim = VICTIMS[number % len(VICTIMS)]
        driver = _started(job)
        time.sleep(rng.uniform(1.0, 8.0))
        before = _kill(victim, driver, cluster, rng, Path(cfg.results) / probe.FILE)
        code = _end(driver)
        if victim == "driver" or code:
            code = _end(_started(job))
        after = {row.seed: row.episodes for row in read_csv(Path(cfg.results) / probe.FILE)}
        complete = {seed: seed * seed for seed in range(ROWS)}
        lost += sum(after.get(seed) != value for seed, value in before.items())
        lost += sum(after.get(seed) != value for seed, value in complete.items() if seed not in before)
        if victim == "node":
            cluster.add_node(**_NODE)
    return lost


def _started(job: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _DRIVER, str(job)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _kill(
    victim: str, driver: subprocess.Popen[bytes], cluster: Any, rng: random.Random, table: Path
) -> dict[Any, Any]:
    """Kill the victim; return the rows that were there just before."""
    before = {row.seed: row.episodes for row in read_csv(table)}
    if victim == "driver":
        driver.kill()
    elif victim == "node" and cluster.worker_nodes:
        cluster.remove_node(rng.choice(sorted(cluster.worker_nodes, key=id)), allow_graceful=False)
    else:
        for pid in _steps()[:1]:
            os.kill(pid, signal.SIGKILL)
    return before


def _steps() -> list[int]:
    """PIDs of processes that run a step of the probe now."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"experiments.one_step" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def _end(driver: subprocess.Popen[bytes]) -> int:
    """Wait for a driver; one that does not end counts as failed."""
    try:
        return driver.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        driver.kill()
        return driver.wait()
