"""Simulated goal-reaching tasks and the rollouts that models learn from."""

from __future__ import annotations

import difflib

from .task import Scene, Task

TASKS = ("two_room", "umaze", "medium_maze", "reacher", "fetch_reach")

__all__ = ["TASKS", "Scene", "Task", "make"]


def make(name: str, render_mode: str | None = None) -> Task:
    """Build the task called `name`, one of `TASKS`; outside suites are imported only when asked for.

    Raises:
      ValueError: a name that no task has.
    """
    if name == "two_room":
        from .two_room import TwoRoom

        return TwoRoom(render_mode)
    if name == "umaze":
        from .suites.point_maze import UMaze

        return UMaze(render_mode)
    if name == "medium_maze":
        from .suites.point_maze import MediumMaze

        return MediumMaze(render_mode)
    if name == "reacher":
        from .suites.dm_reacher import Reacher

        return Reacher(render_mode)
    if name == "fetch_reach":
        from .suites.fetch_reach import FetchReach

        return FetchReach(render_mode)
    close = difflib.get_close_matches(name, TASKS, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise ValueError(f"there is no task {name!r}{hint}: the tasks are {', '.join(TASKS)}")
