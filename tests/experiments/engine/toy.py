"""Suite without JAX, for the engines: each step leaves a line, and the settings say which of them fail and how."""

import os
import signal
import time
from functools import partial
from pathlib import Path

from experiments.engine.artifacts import TableFile
from experiments.engine.run import run_steps
from experiments.engine.step import Step, exit_on_failure
from experiments.records import results

TABLE = TableFile("toy.csv", results.Row, results.IDENTITY, digits=None)


def run(cfg):
    runs, path = Path(cfg.runs), Path(cfg.results) / "toy.csv"
    known = {row.seed for row in results.read_csv(path)}
    steps = []
    for seed in range(cfg.suite.rows):
        data = f"data {seed}"
        if seed not in known:
            file = runs / f"data-{seed}.txt"
            steps.append(Step(data, "data", partial(write, file, cfg, data)))
            steps.append(Step(f"row {seed}", "row", partial(measure, path, file, seed, cfg), (data,), (file,)))
    failed = run_steps(cfg, "toy", steps, TABLE)
    exit_on_failure(failed)
    return results.read_csv(path)


def write(file, cfg, name):
    behave(cfg, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{len(name)}")


def measure(path, file, seed, cfg):
    behave(cfg, f"row {seed}")
    row = results.Row(task="toy", seed=seed, episodes=int(file.read_text()))
    results.append_csv(path, [row], {"command": "toy", "config": {}, "seeds": [seed]})


def behave(cfg, name):
    attempts = Path(cfg.suite.attempts) / name
    count = len(attempts.read_text()) if attempts.exists() else 0
    attempts.write_text("x" * (count + 1))
    how = cfg.suite.faults.get(name)
    if how == "raise":
        raise ValueError("the disk is full")
    if how == "killed once" and not count:
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "sleep" or (how == "sleep once" and not count):
        while True:
            time.sleep(0.05)
