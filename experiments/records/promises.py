"""What a suite promises: the largest value that a case may have, kept in its config beside what it measures.

A suite with promises is a test: where one is broken the command exits with code 1, after every row was written.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from .results import Value


def broken(promises: Mapping[str, Any], values: Mapping[str, float]) -> list[str]:
    """One sentence for each promise that the values do not keep; none where all are kept.

    Args:
      promises: the largest value allowed, by case; `*` in a case stands for any characters.
      values: what was measured, by case.
    """
    complaints = []
    for pattern, most in promises.items():
        cases = [case for case in values if fnmatchcase(case, pattern)]
        if not cases:  # a case that was renamed or left out is not one that was kept
            complaints.append(f"{pattern} was promised to be at most {float(most):g}, and was not measured")
        for case in cases:
            if not values[case] <= float(most):  # NaN keeps no promise
                complaints.append(f"{case} is {values[case]:g}, and at most {float(most):g} was promised")
    return complaints


def require(suite: DictConfig, values: Iterable[Value]) -> None:
    """Print the broken promises of a suite, and end the command with code 1 if there are any.

    Args:
      suite: the suite's config, whose `promises` are checked.
      values: everything that was measured.

    Raises:
      SystemExit: with code 1, where a promise is broken.
    """
    complaints = broken(suite.get("promises") or {}, {each.case: each.value for each in values})
    if not complaints:
        return
    for complaint in complaints:
        Console(stderr=True).print(f"promise broken: {complaint}", style="bold red", markup=False, soft_wrap=True)
    raise SystemExit(1)


@contextmanager
def log_level(name: str, level: int) -> Iterator[None]:
    """A logger's level for as long as the block lasts: a suite that breaks things on purpose is not to log each."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
