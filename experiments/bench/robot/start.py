"""Startup time of a robot's planner: from a new process through imports, bundle and compilation to the first action."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from ... import build
from ...build.bundles import make_bundle
from ...records.manifest import manifest
from ...records.results import Value, append_values
from ...shell.shadowing import ROOT
from ...training.ensure import ensure_model

START = """
import sys
import numpy as np
from planning.control import Controller
controller = Controller.load(sys.argv[1], cache=True)
controller.warmup()
zeros = np.zeros(controller.engine.contract.observation_size, np.float32)
controller.reset(goal=zeros, seed=0)
controller.act(zeros)
"""


def run(cfg: DictConfig) -> list[Value]:
    """Export the recipe's model, time one start with a cold cache and several with a warm one, print and write them."""
    suite = cfg.suite
    settings = build.compose("plan", f"task={suite.task}", f"runs={cfg.runs}", f"seed={suite.seed}")
    checkpoint = ensure_model(settings, int(suite.seed))
    exported = build.compose("export", "checkpoint=of-the-recipe", f"task={suite.task}")
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / f"{suite.task}.bundle"
        make_bundle(exported, checkpoint).save(bundle)
        cold = seconds(bundle)
        warm = [seconds(bundle) for _ in range(int(suite.repeats))]
        size = bundle.stat().st_size / 1e6
    values = [
        Value("start_to_ready_cold_s", cold, "s"),
        Value("start_to_ready_s", statistics.median(warm), "s"),
        Value("bundle_mb", size, "MB"),
    ]
    append_values(Path(cfg.results) / "robot_loop.csv", values, manifest(cfg, [int(suite.seed)]))
    for each in values:
        Console().print(f"{each.case:24s} {each.value:8.2f} {each.unit}")
    return values


def seconds(bundle: Path) -> float:
    """Seconds from the start of a process to its first action.

    Raises:
      RuntimeError: the process failed.
    """
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", START, str(bundle)], cwd=ROOT, capture_output=True, text=True)
    elapsed = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"the process that loads the bundle ended with {done.returncode}: {done.stderr[-500:]}")
    return elapsed
