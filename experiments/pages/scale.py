"""Axes of the charts on pages: where a value lies, and which values are labelled."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

WIDE = 30.0  # ratio of positive values from which an axis is logarithmic
MARGIN = 0.04  # share of a linear axis that is left free at each end
NARROW = 130.0  # pixels of the shortest axis, on a telephone
CHARACTER = 6.8  # pixels of a digit
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """Axis from `low` to `high`, linear or logarithmic."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def of(cls, values: Iterable[float], zero: bool = False, log: bool | None = None) -> Scale:
        """Scale that shows all finite values.

        Args:
          values: to be shown.
          zero: whether a linear axis has to contain zero.
          log: whether the axis is logarithmic; None: where positive values span more than a factor of `WIDE`.
        """
        finite = [value for value in values if math.isfinite(value)]
        low, high = min(finite, default=0.0), max(finite, default=1.0)
        if log is None:
            log = low > 0 and high > WIDE * low
        if log and low > 0:
            spread = (high / low) ** MARGIN if high > low else 2.0
            return cls(low / spread, high * spread, True)
        if zero:
            low, high = min(low, 0.0), max(high, 0.0)
            high = high if high > low else low + 1.0
        spread = MARGIN * (high - low) if high > low else max(abs(high), 1.0) * 0.5
        return cls(low if zero and low == 0 else low - spread, high if zero and high == 0 else high + spread)

    def at(self, value: float) -> float:
        """Place of a value, in per cent of the axis; outside of it, the nearer end."""
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Places and labels of at most `most` round values, apart enough to be read on a telephone."""
        marks: list[tuple[float, str]] = []
        for count in range(most, 1, -1):
            values = self._decades(count) if self.log else self._even(count)
            marks = [(self.at(value), number(value)) for value in values]
            pairs = list(zip(marks, marks[1:], strict=False))
            if pairs and all(_apart(one, other) for one, other in pairs):
                return marks
        kept = marks[:1]
        for mark in marks[1:]:
            kept += [mark] if _apart(kept[-1], mark) else []
        return kept

    def _even(self, most: int) -> list[float]:
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * each for each in _STEPS if power * each >= rough * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(index * step, 12) + 0.0 for index in range(first, last + 1)]

    def _decades(self, most: int) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        for marks in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
            values = [mark * 10.0**power for power in range(first, last + 1) for mark in marks]
            inside = [value for value in values if self.low <= value <= self.high]
            if len(inside) <= most:
                return inside if len(inside) > 1 else [self.low * 1.0001, self.high * 0.9999]
        return inside[:: -(-len(inside) // most)]


def _apart(one: tuple[float, str], other: tuple[float, str]) -> bool:
    """Whether two labels leave a gap on an axis that is `NARROW` pixels long."""
    room = CHARACTER * (len(one[1]) + len(other[1]) + 1) / 2
    return (other[0] - one[0]) / 100 * NARROW >= room


def number(value: float) -> str:
    """Text of a value, to three or four digits, thousands as k and millions as M."""
    size = abs(value)
    if size >= 1e9 or 0 < size < 1e-4:
        return f"{value:.2g}"
    if size >= 1e6:
        return f"{value / 1e6:.3g}M"
    if size >= 1e4:
        return f"{value / 1e3:.3g}k"
    return f"{value:,.0f}" if size >= 1e3 else f"{value:.3g}"
