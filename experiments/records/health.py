"""Health figures of a representation."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Health:
    """Figure about a representation, its healthy range (`None`: no bound), and its meaning.

    `fix` describes the fix if the value lies outside.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    meaning: str
    fix: str = ""

    @property
    def bounded(self) -> bool:
        """Whether the range has a bound."""
        return self.low is not None or self.high is not None

    @property
    def ok(self) -> bool:
        """Whether the value is finite and within the range, ends included."""
        above = self.low is None or self.value >= self.low
        below = self.high is None or self.value <= self.high
        return math.isfinite(self.value) and above and below
