"""Number of cores that this process may use, for its threads and the processes that it starts."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Number of cores that this process may run on, at most what the environment variable NPROC says.

    NPROC is also where XLA gets its number of threads from: it is set for a process that has a part of the machine.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("NPROC", "")
    return min(cores, max(1, int(given))) if given.isdecimal() else cores
