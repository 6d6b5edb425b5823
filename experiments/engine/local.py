"""Steps in processes of this machine, as many at a time as it has cores for."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..records.manifest import cores as machine_cores
from .durations import expected, time_left
from .job import Job, Outcome, environment, read_outcome, words
from .schedule import Schedule
from .step import Step

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.05
GRACE_SECONDS = 1.0  # for processes to end after an interrupt
_MEMORY_GIB = 3.0  # of a step: the peak of training from pictures


@dataclass
class _Running:
    process: subprocess.Popen[bytes]
    outcome: Path
    log: Path
    slot: int


def slots(cores: int) -> int:
    """Steps that this machine can run at a time: by its cores, and by its free memory."""
    by_memory = int(free_gib() / _MEMORY_GIB)
    return max(1, min(machine_cores() // cores, by_memory))


def free_gib() -> float:
    """Memory that processes may still take; infinite where the system does not say."""
    with suppress(OSError, ValueError):
        found = re.search(r"MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text())
        if found:
            return int(found.group(1)) / 2**20
    return float("inf")


def run(
    job: Job,
    steps: Sequence[Step],
    cores: int,
    at_once: int,
    retries: int,
    folder: Path,
    spent: Mapping[str, Sequence[float]],
    on_done: Callable[[Step, float], None],
) -> dict[str, str]:
    """Run the steps, each in a fresh process; return the failed ones with their reasons.

    An interrupt ends the processes; what is finished stays.

    Args:
      job: of the suite.
      steps: each after those that it needs.
      cores: of each step.
      at_once: steps at a time.
      retries: attempts more for a step whose process ended without a result.
      folder: of the job, the outcomes and the output of the steps.
      spent: durations of earlier steps, by kind.
      on_done: gets each finished step and its seconds.
    """
    schedule = Schedule(steps, expected(steps, spent), retries)
    took = {kind: list(seconds) for kind, seconds in spent.items()}
    file = folder / "job.json"
    job.write(file)
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    free, running, count = list(range(at_once)), dict[str, _Running](), 0
    by_name = {step.name: step for step in steps}
    try:
        while not schedule.is_over:
            for step in schedule.start(at_once):
                count += 1
                left = time_left(schedule.left, took, at_once)
                logger.info("[%d/%d] %s%s", count, len(steps), step.name, f"; {left} left" if left else "")
                slot = free.pop(0)
                at = tuple(allowed[slot * cores : (slot + 1) * cores])
                running[step.name] = _started(file, step, folder, count, slot, environment(cores, at))
            time.sleep(POLL_SECONDS)
            for name, each in list(running.items()):
                if (code := each.process.poll()) is None:
                    continue
                del running[name]
                free.append(each.slot)
                ended = read_outcome(each.outcome, code, each.log)
                if settle(schedule, by_name[name], ended, each.log):
                    took.setdefault(by_name[name].kind, []).append(ended.seconds)
                    on_done(by_name[name], ended.seconds)
    finally:
        _end([each.process for each in running.values()])
    return schedule.failed


def settle(schedule: Schedule, step: Step, ended: Outcome, log: Path) -> bool:
    """Enter how a step ended into the schedule, and log it; return whether it is done."""
    if ended.reason is None:
        schedule.finish(step.name)
        logger.info("done: %s, %.1f s", step.name, ended.seconds)
        return True
    if schedule.fail(step.name, ended.reason, ended.again, ended.alone):
        logger.warning("%s is tried again%s: %s", step.name, ", alone" if ended.alone else "", ended.reason)
    else:
        logger.error("%s failed: %s (its output: %s)", step.name, ended.reason, log)
    return False


def log_file(folder: Path, number: int, step: Step) -> Path:
    """Path of the output of a step, the one that started as this number."""
    name = re.sub(r"[^\w.+-]+", "-", step.name)[:120]
    return folder / f"{number:04d}-{name}.log"


def _started(job: Path, step: Step, folder: Path, number: int, slot: int, environment: Mapping[str, str]) -> _Running:
    log = log_file(folder, number, step)
    outcome = log.with_suffix(".json")
    outcome.unlink(missing_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            words(job, step.name, outcome), stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
    return _Running(process, outcome, log, slot)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End processes: by an interrupt, so that they leave whole files, and after a while at once."""
    for process in processes:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
    until = time.monotonic() + GRACE_SECONDS
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))
        process.kill()
        process.wait()
