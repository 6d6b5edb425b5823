"""Process that runs one step of a suite: `python -m experiments.one_step JOB STEP OUTCOME`, for the engines."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import shlex
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from omegaconf import OmegaConf, open_dict

from .cli import prepare_process
from .engine.job import CORES, Job
from .engine.run import StepEnded
from .shell import interrupt

_PR_SET_PDEATHSIG = 1  # of prctl(2)


def main(job_file: str, name: str, outcome: str) -> int:
    """Make the steps of a job's suite, run one of them, and write how it ended.

    Args:
      job_file: the job.
      name: of the step.
      outcome: path of the file to write.
    """
    end_with_parent()
    job = Job.read(Path(job_file))
    stay_on(os.environ.get(CORES, ""))
    sys.argv = shlex.split(job.command) or sys.argv
    prepare_process()
    cfg = OmegaConf.create(job.settings)
    with open_dict(cfg):
        cfg.engine = {**cfg.get("engine", {}), "name": "step", "step": name}
    try:
        importlib.import_module(job.module).run(cfg)
    except StepEnded as ended:
        Path(outcome).write_text(json.dumps(asdict(ended.outcome)))
        return int(ended.outcome.reason is not None)
    raise RuntimeError(f"{job.module} has not run its steps with engine.run.run_steps")


def end_with_parent() -> None:
    """Have Linux end this process when the one that started it ends, however it ends."""
    parent = os.getppid()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def stay_on(cores: str) -> None:
    """Keep this process on these cores: their numbers, separated by commas; empty: any."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(each) for each in cores.split(",")})


if __name__ == "__main__":
    interrupt.watch()
    sys.exit(main(*sys.argv[1:]))
