"""Promises of a suite: the largest value that each case may have, stored in the suite's config.

A suite with promises is a test: if one is broken, the command exits with code 1 after writing all rows.
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
    """List one sentence for each broken promise; empty if all are kept.

    Args:
      promises: the largest value allowed, by case; `*` in a case stands for any characters.
      values: measured values, by case.
    """
    problems = []
    for pattern, most in promises.items():
        cases = [case for case in values if fnmatchcase(case, pattern)]
        if not cases:  # a renamed or missing case does not count as kept
            problems.append(f"{pattern} was promised to be at most {float(most):g}, and was not measured")
        for case in cases:
            if not values[case] <= float(most):  # NaN keeps no promise
                problems.append(f"{case} is {values[case]:g}, and at most {float(most):g} was promised")
    return problems


def require(suite: DictConfig, values: Iterable[Value]) -> None:
    """Print the broken promises of a suite, and end the command with code 1 if there are any.

    Args:
      suite: config of the suite, with the `promises` to check.
      values: the measured values.

    Raises:
      SystemExit: with code 1, if a promise is broken.
    """
    problems = broken(suite.get("promises") or {}, {each.case: each.value for each in values})
    if not problems:
        return
    for problem in problems:
        Console(stderr=True).print(f"promise broken: {problem}", style="bold red", markup=False, soft_wrap=True)
    raise SystemExit(1)


@contextmanager
def log_level(name: str, level: int) -> Iterator[None]:
    """Context with another level for a logger: a suite that breaks things on purpose should not log each of them."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
