"""Steps of a suite, run where `engine` says; one of them, in an engine's process; or none, to see what is left."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from ..records.file_lock import locked
from ..records.manifest import cores as machine_cores
from . import durations, here, local, ray_cluster
from .artifacts import Merged
from .durations import Duration
from .job import Job, Outcome
from .ray_cluster import RayConfig
from .schedule import makespan
from .step import Step

logger = logging.getLogger(__name__)


class StepEnded(BaseException):
    """Raised in the process of one step when that has ended: nothing else of the suite is to run there."""

    def __init__(self, outcome: Outcome):
        super().__init__(outcome)
        self.outcome = outcome


def run_steps(cfg: DictConfig, module: str, steps: Sequence[Step], table: Merged | None = None) -> dict[str, str]:
    """Run the steps of a suite as `cfg.engine` says; return the failed ones with their reasons.

    Args:
      cfg: of the suite.
      module: import path of the suite. Its `run(cfg)` makes the same steps from the same settings, anywhere.
      steps: each after those that it needs.
      table: that they add rows to.

    Raises:
      StepEnded: in a process that an engine has started for one of them.
      ValueError: settings that no engine can follow, or another run that fills the same table.
    """
    if cfg.engine.name == "step":
        raise StepEnded(_one(steps, str(cfg.engine.step)))
    engine, suite, runs = cfg.engine, str(cfg.suite.name), Path(cfg.runs)
    cores = int(engine.cores or machine_cores())
    record = durations.durations_file(runs)
    spent = durations.known(record, suite, cores)
    if cfg.dry_run:
        show(steps, spent, _slots(cfg, cores))
        return {}

    def on_done(step: Step, seconds: float) -> None:
        step.clear()
        durations.record(record, Duration(suite=suite, step=step.name, kind=step.kind, cores=cores, seconds=seconds))

    folder, job = runs / "engine" / suite, Job.of(module, cfg)
    at_once = _slots(cfg, cores)
    if engine.name == "local" and at_once == 1 and not engine.apart:
        return here.run(steps, spent, on_done)
    with only_run(Path(cfg.results) / f"{suite}.engine"):
        if engine.name == "local":
            return local.run(job, steps, cores, at_once, int(engine.retries), folder, spent, on_done)
        config = RayConfig(
            address=engine.address,
            artifacts=str(engine.artifacts),
            cores=cores,
            gpus=float(engine.gpus),
            memory_gib=float(engine.memory_gib),
            retries=int(engine.retries),
        )
        return ray_cluster.run(job, steps, config, folder, table, spent, on_done)


def show(steps: Sequence[Step], spent: Mapping[str, Sequence[float]], slots: int) -> None:
    """Print what would run, and how long it should take.

    Args:
      steps: of the suite that are left.
      spent: durations of finished ones, by kind.
      slots: steps at a time.
    """
    console = Console()
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for column in ("step", "kind", "s"):
        table.add_column(column, justify="right" if column == "s" else "left", overflow="fold")
    seconds = durations.expected(steps, spent)
    for step in steps:
        table.add_row(step.name, step.kind, f"{seconds[step.name]:.0f}" if spent.get(step.kind) else "")
    if not steps:
        console.print("nothing is left to run")
        return
    console.print(table)
    whole = makespan(steps, seconds, slots)
    known = "" if all(spent.get(step.kind) for step in steps) else ", where kinds that never ran count as the others"
    estimate = f"{durations.words(whole)}{known}" if any(spent.values()) else "how long it takes is not known yet"
    console.print(f"{len(steps)} steps, {slots} at a time: {estimate}", highlight=False)


@contextmanager
def only_run(table: Path) -> Iterator[None]:
    """Hold a table for this run alone; it is free again when the process ends, however it ends.

    Raises:
      ValueError: another run has it.
    """
    try:
        with locked(table, wait=False):
            yield
    except BlockingIOError:
        raise ValueError(
            f"another run of this suite fills the tables in {table.parent}: wait for it, or choose another folder with "
            "results=FOLDER"
        ) from None


def _slots(cfg: DictConfig, cores: int) -> int:
    """Steps at a time on this machine."""
    workers = cfg.engine.get("workers")
    return int(workers) if workers is not None else local.slots(cores)


def _one(steps: Sequence[Step], name: str) -> Outcome:
    """Run the step of this name; one that is not among them is done already."""
    found = next((step for step in steps if step.name == name), None)
    if found is None:
        logger.info("%s is done already", name)
        return Outcome(None)
    began = time.monotonic()
    reason = here.attempt(found)
    alone = reason is not None and ("RESOURCE_EXHAUSTED" in reason or "MemoryError" in reason)
    return Outcome(reason, time.monotonic() - began, again=alone, alone=alone)
