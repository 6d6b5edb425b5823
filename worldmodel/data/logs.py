"""Robot logs as episodes: a folder with `dataset.json` and one npz or csv file per episode. docs/own_logs.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from . import log_time
from .float32 import Float32Columns, as_float32
from .log_file import LogFile, read_log
from .video.clip import clip_moments
from .video.layout import LogPath, find_logs

DESCRIPTION = "dataset.json"
_REQUIRED = {"control_period", "action_low", "action_high"}
UNKNOWN = "not recorded"  # the only actuator of a robot whose actions nobody recorded
WORDS = ("sensors", "sensor_units", "actuators", "action_units")  # names and units of a robot's parts


@dataclass(frozen=True)
class LoggedEpisode:
    """One episode of T actions: a file, or a part of it between two gaps."""

    name: str
    observations: ndarray  # [T+1, O]
    actions: ndarray  # [T, A]
    positions: ndarray | None  # [T+1, Q]
    rows: slice  # of its file


@dataclass(frozen=True)
class Recording:
    """One file with its episodes, and what aligns videos with its N rows. A clip is a file with a single episode."""

    path: LogPath
    episodes: Sequence[LoggedEpisode]
    moments: Float[ndarray, "N"] | None  # seconds since the first row
    frames: Mapping[str, Float[ndarray, "N"]]  # number of each row's frame by camera, where they are logged
    actions: ndarray  # [N-1, A]
    rows: int  # N


@dataclass(frozen=True)
class Logs:
    """Content of the folder."""

    description: dict[str, Any]  # in the format of a task's `describe`: name, control period, bounds, sizes, words
    recordings: Sequence[Recording]
    cameras: tuple[str, ...] = ()

    @property
    def episodes(self) -> list[LoggedEpisode]:
        """Episodes of all files."""
        return [episode for each in self.recordings for episode in each.episodes]


def read_logs(folder: Path, clips: bool = False) -> Logs:
    """Read a folder of logged episodes, without their videos. Actions that were not logged are NaN.

    Args:
      folder: with `dataset.json`.
      clips: whether videos without a log are episodes, too.

    Raises:
      ImportError: there are such videos, and PyAV is not installed.
      ValueError: a description or a file that does not follow the schema, in one sentence that names it.
    """
    settings = _description(folder)
    paths = find_logs(folder, settings["cameras"], clips)
    if not paths:
        raise ValueError(f"{folder} holds no episode: put one .npz or .csv file an episode next to {DESCRIPTION}")
    clipped = [clip(path, folder, settings["control_period"], settings) for path in paths if path.is_clip]
    logged = ((path, read_log(path.file, settings)) for path in paths if not path.is_clip)
    recordings = recorded(folder, logged, settings)
    columns = recordings[0].episodes[0].observations.shape[1] if recordings else len(settings["sensors"])
    for words, size in (("sensors", columns), ("sensor_units", columns)):
        if len(settings[words]) not in (0, size):
            raise ValueError(f"{folder / DESCRIPTION}: {words} has {len(settings[words])} words for {size} sensors")
    return Logs(described(settings, columns), [*recordings, *clipped], tuple(settings["cameras"]))


def recorded(folder: Path, logged: Iterable[tuple[LogPath, LogFile]], settings: Mapping[str, Any]) -> list[Recording]:
    """Return logs as recordings of float32, checked against one another and against the bounds of the actions.

    Args:
      folder: of the dataset, named in warnings.
      logged: each log with its content.
      settings: of the dataset, as in `dataset.json`.

    Raises:
      ValueError: a log that cannot be used, in one sentence that names it.
    """
    found: list[Recording] = []
    sensors, places = Float32Columns("sensor", settings["sensors"]), Float32Columns("position", settings["positions"])
    for path, log in logged:
        observations, actions = sensors.cast(log.observations, path.name), as_float32(log.actions)
        positions = log.positions if log.positions is None else places.cast(log.positions, path.name)
        _check(path, settings, observations, actions, positions, found[0].episodes[0] if found else None)
        found.append(_recording(path, log, observations, actions, positions, settings["control_period"]))
    sensors.warn(folder)
    places.warn(folder)
    return found


def described(settings: Mapping[str, Any], columns: int) -> dict[str, Any]:
    """Return the robot of a dataset in the format of a task's `describe`.

    Args:
      settings: of the dataset, as in `dataset.json`.
      columns: number of its sensors.
    """
    return {
        "task": settings["task"],
        "control_period": settings["control_period"],
        "action_low": settings["action_low"],
        "action_high": settings["action_high"],
        "action_size": len(settings["action_low"]),
        "observation_size": columns,
        **{words: settings[words] for words in WORDS},
    }


def clip(path: LogPath, folder: Path, period: float, settings: Mapping[str, Any]) -> Recording:
    """Return a video without a log as an episode of no sensor but its cameras, and no known action.

    Args:
      path: of the video.
      folder: of the dataset, in which the episode is named.
      period: control period, in seconds.
      settings: of the dataset, with the bounds of the actions.

    Raises:
      ImportError: PyAV is not installed.
      ValueError: a video that cannot be used.
    """
    moments = clip_moments(path.file, period)
    rows, name = len(moments), path.file.relative_to(folder).as_posix()
    actions = np.full((rows - 1, len(settings["action_low"])), np.nan, np.float32)
    episode = LoggedEpisode(name, np.zeros((rows, 0), np.float32), actions, None, slice(0, rows))
    return Recording(path, [episode], None if path.file.is_dir() else moments, {}, actions, rows)


def is_period(value: Any) -> bool:
    """Whether the value can be a control period, in seconds."""
    return type(value) in (int, float) and 0 < value < 1e6


def are_words(value: Any) -> bool:
    """Whether the value is a list of strings."""
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def out_of_bounds(actions: ndarray, low: ndarray, high: ndarray) -> ndarray:
    """Mask of the actions [T, A] outside their bounds [A] by more than rounding."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    tolerance = 1e-3 * np.where(np.isfinite(high - low), high - low, 0.0)
    return (actions < low - tolerance) | (actions > high + tolerance)


def _description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    try:
        values = json.loads(path.read_bytes())  # in UTF-8, 16 or 32, with a byte order mark or without
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}): see docs/own_logs.md") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must be an object with {', '.join(sorted(_REQUIRED))}: see docs/own_logs.md")
    if not {"action_low", "action_high", "actuators"} & set(values):  # no action was logged at all
        values |= {"action_low": [-1.0], "action_high": [1.0], "actuators": [UNKNOWN]}
    if missing := sorted(_REQUIRED - set(values)):
        raise ValueError(f"{path} lacks {', '.join(missing)}: see docs/own_logs.md")
    lists = (*WORDS, "positions", "cameras")
    if unknown := sorted(set(values) - _REQUIRED - {*lists, "task", "time"}):
        raise ValueError(f"{path} has the unknown field {unknown[0]}: it may have task, time, {', '.join(lists)}")
    for name in lists:
        if not are_words(values.setdefault(name, [])):
            raise ValueError(f"{path}: {name} must be a list of strings")
    cameras = values["cameras"]
    if len(set(cameras)) < len(cameras) or not all(name.isidentifier() for name in cameras):
        raise ValueError(f"{path}: cameras must be different names of letters, digits and _; got {cameras}")
    name = values.setdefault("task", "custom")
    if not isinstance(name, str) or not name:
        raise ValueError(f"{path}: task must be a string")
    if not isinstance(values.setdefault("time", None), str | None):
        raise ValueError(f"{path}: time must be the name of a column; got {values['time']!r}")
    period = values["control_period"]
    if not is_period(period):
        raise ValueError(f"{path}: control_period must be positive seconds; got {period!r}")
    try:
        low, high = (np.asarray(values[key], np.float32) for key in ("action_low", "action_high"))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: action_low and action_high must be lists of numbers") from error
    usable = low.ndim == 1 and low.shape == high.shape and low.size > 0 and np.isfinite([low, high]).all()
    if not usable or (low > high).any():
        raise ValueError(f"{path}: action_low and action_high must be two finite lists of one length, in this order")
    for words in ("actuators", "action_units"):
        if len(values[words]) not in (0, len(low)):
            raise ValueError(f"{path}: {words} has {len(values[words])} words for {len(low)} actuators")
    return values


def _recording(
    path: LogPath, log: LogFile, observations: ndarray, actions: ndarray, positions: ndarray | None, period: float
) -> Recording:
    """Return the episodes of a file: one, or several where its times have gaps. The action before a gap is left out.

    Args:
      path: of the file.
      log: its content.
      observations: [T+1, O].
      actions: [T, A].
      positions: [T+1, Q], or None.
      period: control period, in seconds.
    """
    file, times = path.file, log.times
    rows = [slice(0, len(observations))] if times is None else log_time.parts(path, *times, period)
    inside = not path.part and not file.parent.joinpath(DESCRIPTION).is_file()
    called = f"{file.parent.name}/{file.name}" if inside else path.name
    episodes = [
        LoggedEpisode(
            called if len(rows) == 1 else f"{called} from row {part.start + 1}",
            observations[part],
            actions[part.start : part.stop - 1],
            None if positions is None else positions[part],
            part,
        )
        for part in rows
    ]
    moments = None if times is None else log_time.seconds(*times, period)
    return Recording(path, episodes, moments, log.frames, actions, len(observations))


def _check(
    path: LogPath,
    settings: Mapping[str, Any],
    observations: ndarray,
    actions: ndarray,
    positions: ndarray | None,
    first: LoggedEpisode | None,
) -> None:
    low, high = np.asarray(settings["action_low"], np.float32), np.asarray(settings["action_high"], np.float32)
    if observations.ndim != 2 or actions.ndim != 2 or actions.shape[1] != len(low):
        raise ValueError(
            f"{path} has observations {observations.shape} and actions {actions.shape}: expected [T+1, O] and "
            f"[T, {len(low)}]"
        )
    if len(observations) != len(actions) + 1 and len(observations) + len(actions) > 0:
        raise ValueError(
            f"{path} has {len(observations)} observations for {len(actions)} actions: expected one more observation "
            "than actions"
        )
    if first is not None and observations.shape[1] != first.observations.shape[1]:
        raise ValueError(
            f"{path} has {observations.shape[1]} sensors, and {first.name} has {first.observations.shape[1]}: log the "
            "same ones in each file, or put them into separate folders"
        )
    if positions is not None and (positions.ndim != 2 or len(positions) != len(observations)):
        raise ValueError(f"{path} has positions {positions.shape}: expected one row for each observation")
    if first is not None and (positions is None) != (first.positions is None):
        raise ValueError(f"{path} and {first.name} must both have positions, or neither")
    known = None if first is None else first.positions
    if first is not None and positions is not None and known is not None and positions.shape[1] != known.shape[1]:
        raise ValueError(f"{path} has {positions.shape[1]} positions a step, and {first.name} has {known.shape[1]}")
    for name, values in (("observations", observations), ("actions", actions), ("positions", positions)):
        if values is None:
            continue
        usable = np.isfinite(values).all(axis=1)
        if name == "actions":  # one that is missing as a whole was not recorded
            partly = np.isnan(values).any(axis=1) & ~np.isnan(values).all(axis=1)
            if partly.any():
                raise ValueError(
                    f"{path} has only a part of the action at step {int(partly.argmax())}: log all of its components, "
                    "or leave all of them empty where the action was not recorded"
                )
            usable |= np.isnan(values).all(axis=1)
        if not usable.all():
            step = int((~usable).argmax())
            raise ValueError(
                f"{path} has a value in its {name} at step {step} that is not finite: leave the file out, or cut it "
                "there"
            )
    outside = out_of_bounds(actions, low, high)
    if outside.any():
        step, which = (int(index) for index in np.argwhere(outside)[0])
        raise ValueError(
            f"{path}: the action at step {step} is {actions[step, which]:g} in dimension {which}, and its bounds are "
            f"{low[which]:g} and {high[which]:g}"
        )
