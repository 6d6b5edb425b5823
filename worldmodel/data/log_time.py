"""Times of a log's rows: the gaps of an episode, and whether its steps last one control period."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

logger = logging.getLogger(__name__)

_UNITS = {"": 1.0, "_s": 1.0, "_ms": 1e-3, "_us": 1e-6, "_ns": 1e-9}  # seconds, by the name's suffix
_BASES = ("time", "times", "t", "timestamp", "timestamps", "stamp", "stamps")
_OBVIOUS = {base + ending: scale for base in _BASES for ending, scale in _UNITS.items()}
_GAP = 1.5  # periods: a longer step has a row missing
_WINDOW = 20  # steps over which a period is measured: jitter of single stamps cancels out
_TOLERANCE = 0.15  # of the period, over a whole window; larger for fewer steps, by one half of a period
_REGULAR = 3  # consecutive equal gaps: another period


def time_column(names: Collection[str], named: str | None, others: Collection[str]) -> str | None:
    """Return which of a log's columns (or arrays) holds its times, or None.

    Args:
      names: of the log's columns or arrays.
      named: the column that dataset.json gives as `time`, if any.
      others: columns that dataset.json uses for something else: a sensor called `t` is not a clock.
    """
    if named is not None:
        return named
    found = [name for name in names if name.lower() in _OBVIOUS and name not in others]
    return min(found, key=lambda name: list(_OBVIOUS).index(name.lower()), default=None)


def parts(file: object, column: str, times: Float[ndarray, "N"], period: float) -> list[slice]:
    """Return the rows of each episode: `times` cut where rows are missing.

    Args:
      file: named in messages.
      column: the name of the times, named in messages.
      times: in the unit that the column's name ends with (`_ms`, `_us`, `_ns`), else in seconds, or in the one of these
        units in which the steps last the period.
      period: control period, in seconds.

    Raises:
      ValueError: times that are not finite or do not increase, or steps of another period; the row is named, the first
        one being 1.
    """
    if not np.isfinite(times).all():
        row = int(np.flatnonzero(~np.isfinite(times))[0])
        raise ValueError(f"{file} has no time in its column {column} at row {row + 1}: leave that row out")
    steps = np.diff(times) * _scale(column, times, period)
    if (steps <= 0).any():
        row = int(np.flatnonzero(steps <= 0)[0])
        raise ValueError(
            f"{file}: {column} does not increase from row {row + 1} to row {row + 2}: sort the rows by time, and leave "
            "out duplicates"
        )
    gaps = np.flatnonzero(steps > _GAP * period)
    _check_gaps(file, column, steps, gaps, period)
    cuts = [0, *(gaps + 1).tolist(), len(times)]
    found = [slice(begin, end) for begin, end in zip(cuts, cuts[1:], strict=False)]
    for part in found:
        _check_period(file, column, steps[part.start : part.stop - 1], part.start, period)
    if len(gaps):
        more = f" and {len(gaps) - 1} more" if len(gaps) > 1 else ""
        logger.warning(
            "%s: %g s pass between rows %d and %d%s, and a step lasts %g s: it is read as %d episodes",
            file,
            steps[gaps[0]],
            gaps[0] + 1,
            gaps[0] + 2,
            more,
            period,
            len(found),
        )
    return found


def seconds(column: str, times: Float[ndarray, "N"], period: float) -> Float[ndarray, "N"]:
    """Return the times since the first row in seconds; the unit is found as in `parts`."""
    return (times - times[:1]) * _scale(column, times, period)


def _scale(column: str, times: ndarray, period: float) -> float:
    """Return the seconds in one unit of the times."""
    ending = next((end for end in ("_ms", "_us", "_ns", "_s") if column.lower().endswith(end)), "")
    if ending or len(times) < 2:
        return _UNITS[ending]
    usual = float(np.median(np.diff(times)))
    # No robot acts every 50 s: where the period is 0.05 s, steps of 50 are milliseconds.
    fits = (scale for scale in (1e-3, 1e-6, 1e-9) if abs(usual * scale / period - 1) < _TOLERANCE)
    return next(fits, 1.0)


def _check_gaps(file: object, column: str, steps: ndarray, gaps: ndarray, period: float) -> None:
    """Raise ValueError where consecutive gaps are equal."""
    for first in range(len(gaps) - _REGULAR + 1):
        several = gaps[first : first + _REGULAR]
        if several[-1] - several[0] == _REGULAR - 1 and np.ptp(steps[several]) < _TOLERANCE * steps[several].mean():
            raise _other_period(file, column, int(several[0]), float(steps[several].mean()), period)


def _check_period(file: object, column: str, steps: ndarray, begin: int, period: float) -> None:
    """Raise ValueError where the steps between two gaps do not last the control period, measured over windows."""
    if not len(steps):
        return
    window = min(_WINDOW, len(steps))
    total = np.concatenate([[0.0], np.cumsum(steps)])
    usual = (total[window:] - total[:-window]) / window
    wrong = np.flatnonzero(np.abs(usual / period - 1) > _TOLERANCE + 0.5 * (window < _WINDOW) / window)
    if len(wrong):
        worst = wrong[np.abs(usual[wrong] / period - 1).argmax()]
        raise _other_period(file, column, begin + int(worst), float(usual[worst]), period)


def _other_period(file: object, column: str, row: int, found: float, period: float) -> ValueError:
    return ValueError(
        f"{file}: the rows from row {row + 1} on are {found:.3g} s apart by their {column}, and control_period is "
        f"{period:g} s: resample them, or put logs of each period into a separate folder"
    )


def npz_times(file: Path, arrays: Mapping[str, ndarray], column: str, rows: int) -> Float[ndarray, "N"]:
    """Return the times of an npz file's rows, float64.

    Args:
      file: where the arrays come from, for messages.
      arrays: of the file, by name.
      column: name of the array of times.
      rows: of the observations; times of the actions alone, one less, suffice.

    Raises:
      ValueError: the array is missing, or has another length.
    """
    if column not in arrays:
        raise ValueError(f"{file} has no array {column}, which dataset.json names as its time")
    times = np.ravel(np.asarray(arrays[column], np.float64))
    if len(times) == rows - 1 > 1:
        times = np.append(times, times[-1] + np.median(np.diff(times)))
    if len(times) != rows:
        raise ValueError(
            f"{file} has {len(times)} numbers as its {column}: expected one for each of {rows} observations"
        )
    return times
