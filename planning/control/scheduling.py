"""Before whom a process runs: what a control loop asks of Linux.

On a busy machine an ordinary thread waits some milliseconds whenever another one is in the middle of its turn. A
control loop that must not wait asks for a real-time priority.
"""

from __future__ import annotations

import os
from pathlib import Path


def real_time(priority: int) -> None:
    """Run all present threads of this process before all ordinary ones (`SCHED_FIFO`); 0: as an ordinary process.

    A higher priority comes before a lower one. Linux grants it to root, and to whom `limits.conf` allows an `rtprio`.
    Threads and processes that are started later inherit it; a planner process always takes its own,
    `Planning(priority=...)`.

    Raises:
      ValueError: the system knows no such priority, or does not grant it.
    """
    if not hasattr(os, "sched_setscheduler"):
        if priority:
            raise ValueError(f"priority={priority}: this system has no real-time priorities; leave it 0")
        return
    policy = os.SCHED_FIFO if priority else os.SCHED_OTHER
    try:
        for thread in [int(task.name) for task in Path("/proc/self/task").iterdir()]:
            try:
                os.sched_setscheduler(thread, policy, os.sched_param(priority))
            except ProcessLookupError:
                continue  # it has ended
    except PermissionError as error:
        raise ValueError(
            f"priority={priority} is not granted: run as root, or let /etc/security/limits.conf allow you an rtprio "
            "of that much"
        ) from error
    except OSError as error:
        highest = os.sched_get_priority_max(os.SCHED_FIFO)
        raise ValueError(f"priority={priority} must be 0, or from 1 to {highest}") from error
