"""Checks of plans outside the planner."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

Check = Callable[[ndarray], float]


@dataclass(frozen=True)
class Validator:
    """Checks the best plans again, outside the planner, and takes the first that passes.

    `checks` are functions of a plan's actions [T, A] in NumPy that return a margin, safe at or below 0; a dotted name,
    `module:function`, stands for one that a planner process imports itself. A check that raises does not pass. A margin
    of the objective passes up to `tolerance`. The loop also applies the checks to the reflex policy's action and to an
    action that it holds, as to a plan that repeats that action: keep them fast.

    Raises:
      ValueError: a check that is neither a function nor a name, or a tolerance that is not a number.
    """

    checks: tuple[Check | str, ...] = ()
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        for check in self.checks:
            if not (isinstance(check, str) or callable(check)):
                raise ValueError(f"checks must be functions of a plan's actions, or module:function; got {check!r}")
        if not np.isfinite(self.tolerance):
            raise ValueError(f"tolerance must be a finite margin; got {self.tolerance!r}")

    def resolved(self) -> Validator:
        """Return the validator with functions in place of names.

        Raises:
          ValueError: a name that cannot be imported.
        """
        return Validator(
            tuple(named(check) if isinstance(check, str) else check for check in self.checks), self.tolerance
        )

    def first(
        self, sequences: ndarray, costs: Sequence[float] | ndarray, margins: dict[str, ndarray]
    ) -> tuple[int | None, list[str]]:
        """Return the first of `sequences` [k, T, A] that passes, or None; and why those before it did not."""
        objections: list[str] = []
        for rank, sequence in enumerate(sequences):
            objection = self._objection(rank, sequence, float(costs[rank]), margins)
            if objection is None:
                return rank, objections
            objections.append(objection)
        return None, objections

    def _objection(self, rank: int, sequence: ndarray, cost: float, margins: dict[str, ndarray]) -> str | None:
        if not np.isfinite(sequence).all() or not np.isfinite(cost):
            return "nonfinite"
        for name, margin in margins.items():
            if not margin[rank] <= self.tolerance:  # NaN does not pass
                return name
        return self.objection(sequence)

    def objection(self, sequence: ndarray) -> str | None:
        """Return the check that a sequence of actions [T, A] does not pass; None where it passes all of them."""
        for check in self.checks:
            assert not isinstance(check, str)
            try:
                passed = bool(check(sequence) <= 0)  # NaN does not pass
            except Exception:  # a check that raises does not prove that it is safe
                passed = False
            if not passed:
                return getattr(check, "__name__", "check")
        return None


def named(name: str) -> Any:
    """Import the object that `module:attribute` names.

    Raises:
      ValueError: it cannot be imported.
    """
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{name!r} cannot be imported: give module:function") from error
