"""Simulated goal-reaching tasks and the rollouts that models learn from."""

from __future__ import annotations

import difflib
import warnings
from importlib.util import find_spec
from pathlib import Path

from .task import Scene, Task

# A user's own `experiments` beside a notebook hides ours, and only a package that is found can say so.
_experiments = find_spec("experiments")
_ours = Path(__file__).resolve().parents[1] / "experiments" / "__init__.py"
if _experiments is not None and _experiments.origin is not None and Path(_experiments.origin).resolve() != _ours:
    warnings.warn(
        f"{_experiments.origin} hides jepa-mpc's own package `experiments`: rename it, or move it out of the folder "
        "that Python searches first, to use jepa-mpc's",
        stacklevel=2,
    )

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
