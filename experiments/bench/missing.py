"""Points of a suite that its table lacks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

logger = logging.getLogger(__name__)

Point = TypeVar("Point")


def missing(
    points: Iterable[Point], is_measured: Callable[[Point], bool], redo: bool, kind: str = "points"
) -> list[Point]:
    """The points to measure, in order; the number of measured ones is logged.

    Args:
      points: every point of the suite.
      is_measured: whether the table has this point, with its settings and enough episodes.
      redo: whether to measure all of them again.
      kind: the plural noun for the log line.
    """
    requested = list(points)
    todo = [point for point in requested if redo or not is_measured(point)]
    logger.info("%d of %d %s are measured already", len(requested) - len(todo), len(requested), kind)
    return todo
