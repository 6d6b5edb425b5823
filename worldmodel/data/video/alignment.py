"""The frame of a video that belongs to each row of its log: the newest one at the moment, never one in between."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from .reel import Reel

_GAP = 1.5  # frame intervals: a longer one has a frame missing
_OTHER_RATE = 0.15  # share by which the durations of a log and its video may differ without a word
_LATE = 0.1  # frame intervals that a frame may be later than its moment: time stamps are rounded


@dataclass(frozen=True)
class Alignment:
    """Frames of the N rows of a log."""

    frames: Int[ndarray, "N"]  # indices into a reel
    dropped: int = 0  # frames missing within the time of the log
    note: str = ""  # what a user should know, as part of a sentence


def align(log: Path, rows: int, reel: Reel, moments: Float[ndarray, "N"] | None, named: ndarray | None) -> Alignment:
    """Return the frame of each row.

    A column with frames' numbers counts before anything else. A video with one frame a row and even time stamps is
    taken row by row, as are PNGs whose numbers run through all rows. Otherwise times decide; the log and the video
    start together.

    Args:
      log: named in messages.
      rows: N, of the log.
      reel: the video.
      moments: times of the rows in seconds, increasing; None: the log has none.
      named: number of the frame of each row, as logged; None: the log has none.

    Raises:
      ValueError: a number that no frame has, counts that differ where no time decides, or a video that ends before its
        log.
    """
    if named is not None:
        return Alignment(_by_number(log, reel, named))
    count = len(reel.numbers)
    if reel.stamps is None:
        return _by_name(log, rows, reel)
    if (np.diff(reel.stamps) <= 0).any():
        frame = int(np.flatnonzero(np.diff(reel.stamps) <= 0)[0]) + 1
        raise ValueError(
            f"{reel.path} has a time stamp at frame {frame} that is not later than the one before: write the video "
            "again, with the times at which frames were taken"
        )
    if count == rows and _is_even(reel.stamps):
        return Alignment(np.arange(rows), note=_other_rate(reel.stamps, moments))
    if moments is None:
        raise _counts_differ(log, rows, reel, "log the times of its rows in a column time, or the number of each row's")
    return _by_time(log, reel, reel.stamps - reel.stamps[0], moments - moments[0])


def _by_number(log: Path, reel: Reel, named: ndarray) -> Int[ndarray, "N"]:
    found = np.searchsorted(reel.numbers, named)
    wrong = ~np.isfinite(named) | (reel.numbers[np.minimum(found, len(reel.numbers) - 1)] != named)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"{log} has {named[row]:g} as the frame of row {row + 1}, and the frames of {reel.path} have the numbers "
            f"{reel.numbers[0]} to {reel.numbers[-1]}{_holes(reel)}: correct the column, or leave that row out"
        )
    if (np.diff(found) < 0).any():
        row = int(np.flatnonzero(np.diff(found) < 0)[0]) + 1
        raise ValueError(f"{log} goes back to an earlier frame at row {row + 1}: correct its column of frames")
    return found


def _holes(reel: Reel) -> str:
    missing = int(reel.numbers[-1] - reel.numbers[0]) + 1 - len(reel.numbers)
    return f", of which {missing} are missing" if missing else ""


def _by_name(log: Path, rows: int, reel: Reel) -> Alignment:
    """Frames without times: their numbers count rows, where they run through all of them."""
    numbers = reel.numbers - reel.numbers[0]
    if numbers[-1] != rows - 1:
        raise _counts_differ(log, rows, reel, "the names of PNGs tell no time; log the number of each row's")
    found = np.searchsorted(numbers, np.arange(rows), side="right") - 1
    return Alignment(found, rows - len(numbers))


def _by_time(log: Path, reel: Reel, stamps: ndarray, moments: ndarray) -> Alignment:
    interval = float(np.median(np.diff(stamps))) if len(stamps) > 1 else 0.0
    if moments[-1] > stamps[-1] + _GAP * interval:
        raise ValueError(
            f"{reel.path} ends after {stamps[-1]:.3g} s, and {log.name} after {moments[-1]:.3g} s: cut the log there, "
            "write the video with its true frame rate, or log the number of each row's frame in a column frame"
        )
    found = np.searchsorted(stamps, moments + _LATE * interval, side="right") - 1
    gaps = np.diff(stamps[: found[-1] + 2])
    missing = np.rint(gaps[gaps > _GAP * interval] / interval) - 1
    return Alignment(found, int(missing.sum()))


def _other_rate(stamps: ndarray, moments: ndarray | None) -> str:
    """Sentence about a video with one frame a row that is played faster or slower than its log."""
    lasts, logged = (0.0 if times is None else float(times[-1] - times[0]) for times in (stamps, moments))
    if moments is None or abs(lasts - logged) <= _OTHER_RATE * logged:
        return ""
    return f"lasts {lasts:.3g} s, its log {logged:.3g} s; with one frame a row, it is read row by row"


def _is_even(stamps: ndarray) -> bool:
    """Whether all frames are equally far apart."""
    steps = np.diff(stamps)
    return len(steps) == 0 or bool(steps.max() < _GAP * np.median(steps) and _GAP * steps.min() > np.median(steps))


def _counts_differ(log: Path, rows: int, reel: Reel, fix: str) -> ValueError:
    count = len(reel.numbers)
    return ValueError(
        f"{reel.path} has {count} frame{'s' * (count != 1)}, and {log.name} has {rows} rows: {fix} frame in a column "
        "frame"
    )
