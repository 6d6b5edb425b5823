"""`jepa-mpc bench suite=hostile_bundles`: count broken bundles that crash, hang or act out of bounds.

A tiny bundle is broken in `suite.files` ways, half of them with a valid hash of the changed content. Separate processes
load each file and act with those that load: a crash ends only its process, and is counted.
"""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import jax
from omegaconf import DictConfig
from rich.console import Console

from planning import CEM, ActionSpec, Agent, Cost, Effort, GoalDistance
from planning.control import Bundle
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector

from ....records.manifest import manifest
from ....records.promises import require
from ....records.results import Value, append_values
from ....shell.progress import progress_bar
from ....shell.shadowing import ROOT

logger = logging.getLogger(__name__)

RESTART = 150  # files after which a process is restarted, since compiled programs accumulate


def run(cfg: DictConfig) -> dict[str, int]:
    """Count the outcomes of `suite.files` broken bundles and add the rows to `robot_loop.csv`.

    Raises:
      ValueError: files, workers or seconds are not positive.
      SystemExit: with code 1, if one of the suite's promises is broken.
    """
    files, workers, seconds = int(cfg.suite.files), int(cfg.suite.workers), float(cfg.suite.seconds)
    if files < 1 or workers < 1 or not seconds > 0:
        raise ValueError(
            f"files, workers and seconds must be positive; got files={files}, workers={workers}, seconds={seconds:g}"
        )
    with tempfile.TemporaryDirectory(prefix="jepa-mpc-") as folder, progress_bar("broken bundles", files) as bar:
        intact = Path(folder) / "intact.bundle"
        tiny().save(intact)
        outcomes = judge_all(intact, files, workers, seconds, int(cfg.seed), bar)
    counts = Counter(outcome["outcome"] for outcome in outcomes)
    rehashed = sum(bool(outcome.get("hash")) for outcome in outcomes)
    bad = {name: counts[name] for name in ("crash", "hang", "unclean")}
    values = [
        Value("hostile_bundles", float(sum(bad.values())), "crashes, hangs and unclean errors"),
        Value("hostile_bundles_files", float(files), "files"),
        Value("hostile_bundles_rehashed", float(rehashed), "files"),
        Value("hostile_bundles_refused", float(counts["refused"]), "files"),
        Value("hostile_bundles_acted", float(counts["acted"]), "files"),
        *(Value(f"hostile_bundles_{name}", float(count), "files") for name, count in bad.items()),
    ]
    append_values(Path(cfg.results) / "robot_loop.csv", values, manifest(cfg, [int(cfg.seed)]))
    by_kind = Counter((outcome["kind"], outcome["outcome"]) for outcome in outcomes)
    Console().print({" ".join(key): count for key, count in sorted(by_kind.items())})
    Console().print(f"{files} files: {dict(counts)}")
    require(cfg.suite, values)
    return dict(counts)


def tiny() -> Bundle:
    """A minimal bundle that has all parts."""
    config = ModelConfig(
        observation=vector(3), action_size=2, probe_size=2, latent_size=4, width=8, head_width=8, depth=1
    )
    planner = CEM(horizon=6, num_samples=12, num_elites=4, iterations=2, num_keep=2, num_best=3)
    spec = ActionSpec.of([-1.0, -2.0], [1.0, 0.5], 0.1)
    costs: dict[str, Cost] = {"goal": GoalDistance(), "effort": Effort()}
    agent = Agent(freeze(create(config, 0), config), planner, costs, {"goal": 1.0, "effort": 0.1}, spec)
    return Bundle.of(agent, task="tiny", sensors=("x", "y", "z"), guards={"threshold": 1.0})


def judge_all(
    intact: Path, files: int, workers: int, seconds: float, seed: int, progress: Any = None
) -> list[dict[str, Any]]:
    """The outcome of every file, in order: the answer of its process, or `crash` or `hang`."""
    numbers, lock = iter(range(files)), threading.Lock()
    outcomes: dict[int, dict[str, Any]] = {}

    def work() -> None:
        process, left = None, 0
        for number in iter(lambda: _next(numbers, lock), None):
            if process is None or left == 0:
                _kill(process)
                process, left = _start(intact, seed), RESTART
            outcomes[number] = outcome = _request(process, number, seconds)
            left -= 1
            if outcome["outcome"] in ("crash", "hang"):
                logger.warning("file %d: %s", number, outcome)
                _kill(process)
                process = None
            elif outcome["outcome"] == "unclean":
                logger.warning("file %d: %s", number, outcome)
            if progress is not None:
                progress(len(outcomes), files)
        _kill(process)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [outcomes[number] for number in sorted(outcomes)]


def _next(numbers: Any, lock: threading.Lock) -> int | None:
    with lock:
        return next(numbers, None)


def _start(intact: Path, seed: int) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "experiments.bench.robot.hostile.worker",
        str(intact),
        str(intact.parent),
        str(seed),
    ]
    settings = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "JAX_PLATFORMS": jax.default_backend(),
        "JAX_COMPILATION_CACHE_DIR": str(intact.parent / "cache"),  # most files have unchanged programs
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=null, text=True, env={**os.environ, **settings})


def _request(process: subprocess.Popen[str], number: int, seconds: float) -> dict[str, Any]:
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(f"{number}\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], seconds)
        line = process.stdout.readline() if ready else None
    except OSError:
        line = ""
    if line is None:
        return {"outcome": "hang", "words": f"no answer in {seconds:g} s", "kind": "?"}
    if not line:
        return {"outcome": "crash", "words": f"the process ended with {process.wait()}", "kind": "?"}
    return json.loads(line)


def _kill(process: subprocess.Popen[str] | None) -> None:
    if process is None:
        return
    process.kill()
    process.communicate()
