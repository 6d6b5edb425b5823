"""The points of a suite that its table does not have yet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

logger = logging.getLogger(__name__)

Point = TypeVar("Point")


def missing(
    points: Iterable[Point], is_measured: Callable[[Point], bool], redo: bool, kind: str = "points"
) -> list[Point]:
    """The points to measure, in their order; how many are left out is logged.

    Args:
      points: every point that the suite asks for.
      is_measured: whether the table has this point, with its settings and enough episodes.
      redo: measure all of them again.
      kind: the plural noun for the log line.
    """
    wanted = list(points)
    todo = [point for point in wanted if redo or not is_measured(point)]
    logger.info("%d of %d %s are measured already", len(wanted) - len(todo), len(wanted), kind)
    return todo
