"""Job: the settings of a suite in a file, from which a fresh process makes its steps again and runs one."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ..records.manifest import command
from ..shell.shadowing import ROOT

CORES = "JEPA_MPC_CORES"  # environment variable: numbers of the cores that a process is to stay on
_THREADS = ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # the first is XLA's
_KILLED = -int(signal.SIGKILL)


@dataclass(frozen=True)
class Job:
    """A suite to make steps of.

    Args:
      module: import path of the suite, whose `run` takes the settings.
      settings: of the suite, resolved.
      command: the command line that rows name.
    """

    module: str
    settings: dict[str, Any]
    command: str

    @classmethod
    def of(cls, module: str, cfg: DictConfig) -> Job:
        """The job of a suite with these settings."""
        settings: Any = OmegaConf.to_container(cfg, resolve=True)
        return cls(module, settings, command())

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read what `write` has written."""
        return cls(**json.loads(path.read_text()))

    def at(self, runs: str, results: str) -> Job:
        """The same job with other folders for models and rows."""
        return Job(self.module, {**self.settings, "runs": runs, "results": results}, self.command)


@dataclass(frozen=True)
class Outcome:
    """How an attempt at a step ended.

    Args:
      reason: why it failed, one sentence; None: it is done.
      seconds: that it took, without the start of its process.
      again: whether another attempt may do better: its process or machine ended.
      alone: whether that attempt needs all memory.
    """

    reason: str | None
    seconds: float = 0.0
    again: bool = False
    alone: bool = False


def words(job: Path, name: str, outcome: Path) -> list[str]:
    """Words of the command that runs one step in a process of its own."""
    return [sys.executable, "-m", "experiments.one_step", str(job), name, str(outcome)]


def environment(cores: int, at: tuple[int, ...] = ()) -> dict[str, str]:
    """Environment of a process with a number of threads.

    Args:
      cores: threads of XLA and of linear algebra.
      at: cores that it is to stay on; empty: any.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    threads = dict.fromkeys(_THREADS, str(cores))
    return {**os.environ, **threads, CORES: ",".join(map(str, at)), "PYTHONPATH": path}


def read_outcome(path: Path, code: int, log: Path) -> Outcome:
    """Outcome of a process that has ended.

    Args:
      path: where it writes its outcome.
      code: its exit code; below 0, the signal that ended it.
      log: its output.
    """
    try:
        return Outcome(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        ended = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        memory = ", which is how a machine ends it that has no memory left" if code == _KILLED else ""
        return Outcome(f"its process {ended}{memory}; its output: {log}", again=True, alone=code == _KILLED)
