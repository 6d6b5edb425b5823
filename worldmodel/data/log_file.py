"""One file of a robot's log, npz or csv, as arrays of the numbers in it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from . import log_time
from .csv_table import read_table

logger = logging.getLogger(__name__)

SUFFIXES = (".npz", ".csv")
_ARRAYS = ("observations", "actions", "positions")
_FRAME = "frame"  # the column with the number of each row's frame, of all cameras; `frame_front` is that of one


@dataclass(frozen=True)
class LogFile:
    """Content of a file, as logged; T may be -1, without even a first observation."""

    observations: ndarray  # [T+1, O]
    actions: ndarray  # [T, A]
    positions: ndarray | None  # [T+1, Q]
    times: tuple[str, Float[ndarray, "N"]] | None  # the name of the time column, and its values, T+1
    frames: Mapping[str, Float[ndarray, "N"]] = field(default_factory=dict)  # of each camera with such a column, T+1


def read_log(file: Path, settings: Mapping[str, Any]) -> LogFile:
    """Read a file as described by `dataset.json`.

    Raises:
      OSError: it cannot be read.
      ValueError: another kind of file, arrays or columns that are missing, or a cell that is not a number.
    """
    return _read_npz(file, settings) if file.suffix.lower() == ".npz" else _read_csv(file, settings)


def _read_npz(file: Path, settings: Mapping[str, Any]) -> LogFile:
    """Read arrays by name; others, such as text about the episode, are ignored."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            names = arrays.files
            clock = log_time.time_column(names, settings["time"], ())
            filmed = _frame_columns(names, settings["cameras"], ())
            found = {
                name: arrays[name]
                for name in (*_ARRAYS, *([clock] if clock else []), *filmed.values())
                if name in names
            }
    except Exception as error:  # zipfile, zlib and NumPy each raise their own
        raise ValueError(f"{file} is not an npz file of numbers ({type(error).__name__})") from error
    if "observations" not in found:
        raise ValueError(f"{file} has {', '.join(names) or 'nothing'}: expected observations [T+1, O], actions [T, A]")
    for name in _ARRAYS:
        if name in found and not _is_numeric(found[name]):
            raise ValueError(f"{file} has {name} of the type {found[name].dtype}: expected numbers")
        if name in found and found[name].ndim != 2:
            raise ValueError(
                f"{file} has {name} of the shape {found[name].shape}: expected observations [T+1, O], actions [T, A], "
                "positions [T+1, Q]"
            )
    numbers = {name: found[name].astype(np.float64) for name in _ARRAYS if name in found}
    observations = numbers["observations"]
    times = None
    if clock is not None and len(observations):
        if clock in found and not _is_numeric(found[clock]):
            _check_unnamed(file, clock, settings, f"array of the type {found[clock].dtype}")
        else:
            times = clock, log_time.npz_times(file, found, clock, len(observations))
    frames = {camera: _npz_frames(file, name, found[name], len(observations)) for camera, name in filmed.items()}
    unknown = np.full((max(len(observations) - 1, 0), len(settings["action_low"])), np.nan)
    return LogFile(observations, numbers.get("actions", unknown), numbers.get("positions"), times, frames)


def _npz_frames(file: Path, name: str, values: ndarray, rows: int) -> ndarray:
    if not _is_numeric(values) or values.shape != (rows,):
        raise ValueError(
            f"{file} has {name} of the shape {values.shape} and the type {values.dtype}: expected the number of a "
            f"frame for each of {rows} observations"
        )
    return values.astype(np.float64)


def _frame_columns(names: Collection[str], cameras: Collection[str], others: Collection[str]) -> dict[str, str]:
    """Return the column with the numbers of frames by camera, where there is one that is not a sensor or actuator."""
    free = [name for name in names if name not in others]
    found = {camera: [name for name in (f"{_FRAME}_{camera}", _FRAME) if name in free] for camera in cameras}
    return {camera: names[0] for camera, names in found.items() if names}


def _read_csv(file: Path, settings: Mapping[str, Any]) -> LogFile:
    """Read columns by name; the last row's actions are empty, because none was taken there.

    Actions that were not recorded are NaN: empty cells, or all of a file without a single column of actions.
    """
    sensors, actuators, position_names = (list(settings[words]) for words in ("sensors", "actuators", "positions"))
    if not (sensors or settings["cameras"]) or not actuators:
        raise ValueError(f"{file}: csv files need sensors and actuators in dataset.json, which name their columns")
    table = read_table(file, expected := [*sensors, *actuators, *position_names])
    acted = any(name in table.names for name in actuators)
    needed = expected if acted else [name for name in expected if name not in actuators]
    if table.names and (missing := [name for name in needed if name not in table.names]):
        raise ValueError(f"{file} has no column {missing[0]}, which dataset.json names")
    rows = len(table.rows)

    def numbers(names: list[str], count: int, optional: bool = False) -> ndarray:
        columns = [table.numbers(name, count, optional) if count else [] for name in names]
        return np.array(columns, np.float64).reshape(len(names), count).T

    clock = log_time.time_column(table.names, settings["time"], expected) if rows else None
    times = None
    if clock is not None:
        if clock not in table.names:
            raise ValueError(f"{file} has no column {clock}, which dataset.json names as its time")
        try:
            times = clock, np.array(table.numbers(clock), np.float64)
        except ValueError as error:
            _check_unnamed(file, clock, settings, str(error).removeprefix(f"{file}, "))
    positions = numbers(position_names, rows) if position_names else None
    filmed = _frame_columns(table.names, settings["cameras"], expected) if rows else {}
    frames = {camera: np.array(table.numbers(name), np.float64) for camera, name in filmed.items()}
    steps = max(rows - 1, 0)
    actions = numbers(actuators, steps, optional=True) if acted else np.full((steps, len(actuators)), np.nan)
    return LogFile(numbers(sensors, rows), actions, positions, times, frames)


def _check_unnamed(file: Path, clock: str, settings: Mapping[str, Any], what: str) -> None:
    """Raise ValueError where the named clock is not a number, and warn where an unnamed column only looks like one."""
    if settings["time"] is not None:
        raise ValueError(f"{file} has no numbers in {clock}, which dataset.json names as its time: {what}")
    logger.warning("%s: gaps are not detected, because its times are not numbers: %s", file, what)


def _is_numeric(array: ndarray) -> bool:
    return array.dtype.kind in "fiub"
