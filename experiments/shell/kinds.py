"""Kinds of values that a setting may have, each of which names the requirement that a wrong value breaks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .did_you_mean import did_you_mean


@dataclass(frozen=True)
class Whole:
    """A whole number between two bounds, both included."""

    low: int = 0
    high: int | None = None

    def fault(self, value: Any) -> str | None:
        """The requirement that `value` breaks, as in `be finite`; None if it is valid."""
        if not isinstance(value, int) or isinstance(value, bool):
            return "be a whole number"
        if value < self.low:
            return f"be at least {self.low}"
        return None if self.high is None or value <= self.high else f"be at most {self.high}"


@dataclass(frozen=True)
class Number:
    """A finite number between two bounds, each of which may be excluded."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False  # strictly more than `low`
    below: bool = False  # strictly less than `high`

    def fault(self, value: Any) -> str | None:
        """The requirement that `value` breaks, as in `be finite`; None if it is valid."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return "be a number"
        if not math.isfinite(value):
            return "be finite"
        if (value > self.low if self.above else value >= self.low) and (
            value < self.high if self.below else value <= self.high
        ):
            return None
        if self.high == math.inf:
            return "be positive" if self.above else "not be negative" if self.low == 0 else f"be at least {self.low:g}"
        least, most = "more than" if self.above else "at least", "less than" if self.below else "at most"
        return f"be {least} {self.low:g} and {most} {self.high:g}"


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def fault(self, value: Any) -> str | None:
        """The requirement that `value` breaks, as in `be finite`; None if it is valid."""
        return None if isinstance(value, bool) else "be true or false"


@dataclass(frozen=True)
class Word:
    """A name, a path or an address; with `choices`, one of them."""

    choices: tuple[str, ...] = ()

    def fault(self, value: Any) -> str | None:
        """The requirement that `value` breaks, as in `be finite`; None if it is valid."""
        if isinstance(value, dict | list | bool):
            return "be a single word"
        if self.choices and value not in self.choices:
            return f"be one of {', '.join(self.choices)}{did_you_mean(str(value), self.choices)}"
        return None


@dataclass(frozen=True)
class Places:
    """A path, or a list of several."""

    def fault(self, value: Any) -> str | None:
        """The requirement that `value` breaks, as in `be finite`; None if it is valid."""
        every = value if isinstance(value, list) and value else [value]
        wrong = any(isinstance(each, dict | list | bool) for each in every)
        return "be a path, or a list of paths as in [a,b]" if wrong else None


@dataclass(frozen=True)
class Group:
    """Settings by name."""

    def fault(self, value: Any) -> str | None:
        """The requirement that `value` breaks, as in `be finite`; None if it is valid."""
        return None if isinstance(value, dict) else "be settings by name, as in {name: value}"


@dataclass(frozen=True)
class Named:
    """A name, or a class by its `_target_` with its settings."""

    def fault(self, value: Any) -> str | None:
        """The requirement that `value` breaks, as in `be finite`; None if it is valid."""
        if isinstance(value, dict):
            return None if "_target_" in value else "name its class, as in {_target_: my_module.MyClass}"
        return "be a single word" if isinstance(value, list | bool) else None


@dataclass(frozen=True)
class Several:
    """A list; a single value stands for a list of one."""

    each: Whole | Number | Word | Group | Named
    fewest: int = 0

    def fault(self, value: Any) -> str | None:
        """The requirement that `value` breaks, as in `be finite`; None if it is valid."""
        values = value if isinstance(value, list) else [value]
        faults = [fault for item in values if (fault := self.each.fault(item))]
        if faults:
            return f"be a list as in [a,b], and each in it must {faults[0]}"
        return None if len(values) >= self.fewest else f"be a list of at least {self.fewest}, as in [a,b]"


Kind = Whole | Number | Flag | Word | Places | Several | Group | Named
