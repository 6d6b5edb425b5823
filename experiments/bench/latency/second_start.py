"""Start of `train` and `plan`: seconds from a new process to the first update and the first plan.

The first start of each command compiles, into a folder of its own. The later ones load what it compiled, with another
seed each, and train with other data: seed, data and statistics are arguments of the programs, so that nothing is
compiled again.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from ... import build
from ...records.manifest import manifest
from ...records.promises import require
from ...records.results import Value, append_values
from ...shell.shadowing import ROOT
from ...training.ensure import collect_data

# Programs that run a command until its first result, print its time, and end. A call of `Trainer.step` runs many
# updates: the first one counts as finished after its share of the call.
_TRAIN = """
import os, sys, time
from experiments import cli
cli.prepare_process()
import jax
from worldmodel.training.trainer import Trainer
step = Trainer.step
def first(self, state):
    result = step(self, state)
    began = time.time()
    jax.block_until_ready(result)
    print("first result", began + (time.time() - began) / self.config.updates_per_call, flush=True)
    os._exit(0)
Trainer.step = first
sys.exit(cli.main(sys.argv[1:]) or 3)
"""
_PLAN = """
import os, sys, time
from experiments import cli
cli.prepare_process()
from experiments.evaluation.policy import ModelPolicy
act = ModelPolicy.act
def first(self, observations, active):
    act(self, observations, active)
    print("first result", time.time(), flush=True)
    os._exit(0)
ModelPolicy.act = first
sys.exit(cli.main(sys.argv[1:]) or 3)
"""
_MARK = "first result"  # as printed by both programs
SCRIPTS = {"train": _TRAIN, "plan": _PLAN}
_CASES = {"train": "train_first_update", "plan": "plan_first_plan"}


@dataclass(frozen=True)
class Start:
    """One start of a command: seconds to the first result, and number of programs that it compiled."""

    seconds: float
    compiled: int


def run(cfg: DictConfig) -> list[Value]:
    """Start each command once without compiled programs and `repeats` times with them; print and write the medians.

    Raises:
      RuntimeError: a command failed.
      SystemExit: with code 1, if one of the suite's promises is broken.
    """
    suite = cfg.suite
    given = [f"task={suite.task}", *(str(each) for each in suite.overrides)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in (0, 1):
            collect_data(build.compose("collect", *given), number, folder / f"data-{number}")
        plans = ["checkpoint=published", "episodes=1", "policies=[model]", "latency_plans=0"]

        def begin(command: str, seed: int) -> Start:
            own = plans if command == "plan" else [f"data={folder}/data-{min(seed, 1)}"]
            return start(command, [*given, *own, f"seed={seed}", f"runs={folder}/{command}-{seed}"], folder / "xla")

        cold = {command: begin(command, 0) for command in SCRIPTS}
        seeds = range(1, int(suite.repeats) + 1)
        rounds = [{command: begin(command, seed) for command in SCRIPTS} for seed in seeds]
    values = []
    for command, case in _CASES.items():
        warm = [each[command] for each in rounds]
        values += [
            Value(f"{case}_cold_s", cold[command].seconds, "s"),
            Value(f"{case}_s", statistics.median(each.seconds for each in warm), "s"),
            Value(f"{command}_programs_compiled_again", max(each.compiled for each in warm), "programs"),
        ]
    append_values(Path(cfg.results) / "second_start.csv", values, manifest(cfg, [0, *seeds]))
    for each in values:
        Console().print(f"{each.case:32s} {each.value:8.2f} {each.unit}")
    require(suite, values)
    return values


def start(command: str, words: list[str], cache: Path) -> Start:
    """Run a command in a new process until its first result.

    Args:
      command: train or plan.
      words: its settings.
      cache: folder of compiled programs, which is created if missing.

    Raises:
      RuntimeError: the command ended without a result.
    """
    known = _programs(cache)
    began = time.time()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPTS[command], command, *words],
        cwd=ROOT,
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"},
        capture_output=True,
        text=True,
    )
    printed = done.stdout.rpartition(_MARK)[2]
    if done.returncode or not printed:
        raise RuntimeError(f"jepa-mpc {command} ended with {done.returncode}: {done.stderr[-500:]}")
    return Start(float(printed) - began, len(_programs(cache) - known))


def _programs(cache: Path) -> set[str]:
    """Names of the compiled programs in a folder."""
    return {path.name for path in cache.glob("*-cache")}
