"""What a machine of a cluster does for an engine: run one step in a fresh process, and return how it ended.

Ray's processes import this module; JAX runs in the step's own process alone, since it does not survive a fork.
"""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from ..shell.shadowing import PROGRAM
from .artifacts import Files, packed, unpack
from .job import Job, Outcome, environment, read_outcome, words

_LAST = 2_000  # characters of a failed step's output that come back


@dataclass(frozen=True)
class Order:
    """A step for a machine.

    Args:
      job: of the suite.
      step: name of the step.
      cores: threads of its process.
      versions: of Python and jepa-mpc, on the machine that orders.
      folder: the working folder, where all machines share it; None: a new one.
      token: name and content of a file in that folder.
      units: folders below `runs` that are of use whole alone.
    """

    job: Job
    step: str
    cores: int
    versions: tuple[str, str]
    folder: str | None
    token: tuple[str, str]
    units: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """How a step ended on a machine.

    Args:
      outcome: of the step.
      output: the end of what it wrote, where it failed.
      files: new ones below `runs`, where the machine shares no folder.
      rows: its table and manifests, likewise.
    """

    outcome: Outcome
    output: str = ""
    files: Files = field(default_factory=dict)
    rows: Files = field(default_factory=dict)


def versions() -> tuple[str, str]:
    """Versions of Python (two parts) and jepa-mpc."""
    return ".".join(platform.python_version_tuple()[:2]), importlib.metadata.version(PROGRAM)


def execute(order: Order, *inputs: Files) -> Answer:
    """Run one step.

    Args:
      order: of the step.
      inputs: files that it reads, below `runs`; none where the folder is shared.
    """
    if versions() != order.versions:
        theirs, ours = (f"Python {each[0]} with {PROGRAM} {each[1]}" for each in (versions(), order.versions))
        return Answer(Outcome(f"the machine {platform.node()} has {theirs}, and this one {ours}: install the same"))
    with tempfile.TemporaryDirectory(prefix="jepa-mpc-") as place:
        if order.folder is not None:
            return _in(Path(order.folder), order, Path(place))
        for files in inputs:
            unpack(files, Path(place) / "runs", order.units)
        given = {name for files in inputs for name in files}
        answer = _in(Path(place), order, Path(place))
        found = packed(Path(place) / "runs", Path(place) / "runs")
        new = {name: content for name, content in found.items() if name not in given}
        rows = packed(Path(place) / "results", Path(place) / "results")
        return Answer(answer.outcome, answer.output, new, rows)


def _in(folder: Path, order: Order, place: Path) -> Answer:
    """Run a step in a working folder; `place` is for files that end with it."""
    name, content = order.token
    if order.folder is not None and not _is(folder / name, content):
        return Answer(
            Outcome(
                f"the machine {platform.node()} does not see {folder}, where this run started: start it in a folder "
                "that all machines share, or have the cluster carry the files, with engine.artifacts=store"
            )
        )
    job, outcome, log = place / "job.json", place / "outcome.json", place / "output.log"
    (order.job if order.folder is not None else order.job.at("runs", "results")).write(job)
    with log.open("wb") as output:
        done = subprocess.run(
            words(job, order.step, outcome),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment(order.cores),
            check=False,
        )
    ended = read_outcome(outcome, done.returncode, log)
    return Answer(ended, "" if ended.reason is None else log.read_text(errors="replace")[-_LAST:])


def _is(path: Path, content: str) -> bool:
    try:
        return path.read_text() == content
    except OSError:
        return False
