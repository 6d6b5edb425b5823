"""Real-time priority and cores of a process on Linux.

On a busy machine an ordinary thread waits some milliseconds whenever another thread is using its time slice. A
control loop that must not wait requests a real-time priority. But Linux reserves a share of each core for ordinary
threads: a planner that never sleeps is stopped for up to 50 ms a second, and with it every thread that is woken on its
core. So loop and planner should each have dedicated cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path


def real_time(priority: int, cores: Collection[int] = ()) -> None:
    """Run all present threads of this process before all ordinary ones (`SCHED_FIFO`); 0: with ordinary priority.

    From now on they run only on `cores`; empty: as before.
    A higher priority comes before a lower one. Linux grants it to root, and to users with an `rtprio` in `limits.conf`.
    Threads and processes that are started later inherit it; a planner process always sets its own,
    `Planning(priority=...)`.

    Raises:
      ValueError: the system has no such priority or core, or does not grant it.
    """
    if not hasattr(os, "sched_setscheduler"):
        if priority or cores:
            raise ValueError(f"priority={priority}, cores={list(cores)}: this system has neither; leave them out")
        return
    if cores:
        try:
            _all_threads(lambda thread: os.sched_setaffinity(thread, cores))
        except (OSError, ValueError) as error:
            there = sorted(os.sched_getaffinity(0))
            raise ValueError(f"cores={list(cores)} must be some of those available to this process: {there}") from error
    policy = os.SCHED_FIFO if priority else os.SCHED_OTHER
    try:
        _all_threads(lambda thread: os.sched_setscheduler(thread, policy, os.sched_param(priority)))
    except PermissionError as error:
        raise ValueError(
            f"priority={priority} is not granted: run as root, or let /etc/security/limits.conf allow you an rtprio "
            "of that much"
        ) from error
    except OSError as error:
        highest = os.sched_get_priority_max(os.SCHED_FIFO)
        raise ValueError(f"priority={priority} must be 0, or from 1 to {highest}") from error


def _all_threads(change: Callable[[int], None]) -> None:
    for thread in [int(task.name) for task in Path("/proc/self/task").iterdir()]:
        try:
            change(thread)
        except ProcessLookupError:
            continue  # it has ended
