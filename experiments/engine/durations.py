"""Durations of finished steps, kept for the estimates of later runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from ..records import table_file
from ..records.file_lock import locked
from .step import Step

UNKNOWN = 60.0  # seconds of a step where none has finished yet: only the order of steps depends on it


@dataclass(frozen=True, kw_only=True)
class Duration:
    """How long a step took when it was last done."""

    suite: str
    step: str
    kind: str
    cores: int
    seconds: float


def durations_file(runs: Path) -> Path:
    """Path of the table in the folder of models and data."""
    return runs / "engine" / "steps.csv"


def known(path: Path, suite: str, cores: int) -> dict[str, list[float]]:
    """Durations of a suite's steps with this number of cores, by kind."""
    found: dict[str, list[float]] = {}
    for each in table_file.read(path, Duration):
        if each.suite == suite and each.cores == cores:
            found.setdefault(each.kind, []).append(each.seconds)
    return found


def record(path: Path, new: Duration) -> None:
    """Write the duration of a finished step; it replaces the earlier one."""
    with locked(path):
        kept = [each for each in table_file.read(path, Duration) if (each.suite, each.step) != (new.suite, new.step)]
        table_file.write(path, Duration, [*kept, new])


def expected(steps: Sequence[Step], spent: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Expected seconds of each step: the mean of its kind; where that is not known, the mean of all.

    Args:
      steps: any.
      spent: durations by kind.
    """
    everything = [seconds for kind in spent.values() for seconds in kind]
    usual = fmean(everything) if everything else UNKNOWN
    return {step.name: fmean(spent[step.kind]) if spent.get(step.kind) else usual for step in steps}


def time_left(ahead: Sequence[Step], spent: Mapping[str, Sequence[float]], slots: int = 1) -> str:
    """Estimated time of the steps ahead, in words; empty where nothing is known yet."""
    if not any(spent.values()):
        return ""
    return words(sum(expected(ahead, spent).values()) / slots)


def words(seconds: float) -> str:
    """A duration in words, as in "about 18 min"."""
    return f"about {seconds / 3600:.1f} h" if seconds > 5400 else f"about {max(1, round(seconds / 60))} min"
