"""Recorded data of any kind as a LeRobot dataset."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from ...observation import PRESENT
from ..dataset import load
from ..episodes import EpisodeData
from ..logs import DESCRIPTION, WORDS, Logs, Recording, are_words, is_period, read_logs
from ..video.recorded_pictures import PIXELS, aligned_frames
from ..video.reel import decode, read_frames
from .info import is_lerobot
from .layout import ACTION, IMAGES, OBSERVATION, POSITIONS, STATE
from .read import lerobot_logs
from .writer import Column, Frames, LeRobotWriter

_SMALL = 8  # size of the pictures by which frames are aligned
_SCRATCH = "scratch"


@dataclass(frozen=True)
class _Source:
    """Data to be written: the columns, the cameras, and the episodes one by one."""

    name: str
    description: Mapping[str, Any]  # in the format of a task's `describe`
    columns: dict[str, Column]
    cameras: tuple[str, ...]
    episodes: Iterator[tuple[dict[str, ndarray], dict[str, Frames]]]
    count: int
    sensors: list[str] = field(default_factory=list)  # keys of the columns that are sensors


@dataclass(frozen=True)
class Converted:
    """Summary of a dataset that was written."""

    path: Path
    episodes: int
    rows: int
    fps: float
    megabytes: float


def to_lerobot(
    source: str | Path,
    out: Path,
    *,
    instruction: str | None = None,
    lossless: bool = False,
    control_period: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Converted:
    """Write a Minari dataset, a folder of logs or a LeRobot dataset as a new LeRobot dataset.

    An episode of T actions has T+1 rows; the action of the last one, which was never taken, repeats the one before.
    Frames of logs have their full size.

    Args:
      source: folder or id of the data.
      out: folder of the dataset; it must not exist yet.
      instruction: what the robot does, in words; None: the name of the task.
      lossless: whether pictures are stored as PNGs in the rows, in place of videos.
      control_period: seconds between two actions; None: as the data say.
      on_progress: called with the number of episodes that are written, and of all of them.

    Raises:
      FileExistsError: something is at `out` already.
      FileNotFoundError: no dataset at `source`.
      ImportError: pyarrow or PyAV is not installed.
      ValueError: data that cannot be read, or that LeRobot has no place for.
    """
    if out.exists():
        raise FileExistsError(f"there is something at {out} already: choose another folder with out=, or remove it")
    folder = Path(source)
    with tempfile.TemporaryDirectory(prefix="jepa-mpc-") as scratch:
        if is_lerobot(folder) or (folder / DESCRIPTION).is_file():
            logs = lerobot_logs(folder) if is_lerobot(folder) else read_logs(folder)
            given = _of_logs(str(source), logs, Path(scratch))
        else:
            given = _of_data(str(source), load(source))
        period = control_period or given.description.get("control_period")
        if not is_period(period):
            raise ValueError(f"the data in {source} do not say how often actions are taken: add control_period=SECONDS")
        assert period is not None
        words = instruction or str(given.description.get("task") or "custom")
        with LeRobotWriter(out, 1 / period, given.columns, given.cameras, lossless) as writer:
            for number, (columns, pictures) in enumerate(given.episodes, start=1):
                writer.add(words, columns, pictures)
                if on_progress is not None:
                    on_progress(number, given.count)
            writer.attach(DESCRIPTION, _settings(given))
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return Converted(out, given.count, writer.rows, 1 / period, size / 1e6)


def _settings(given: _Source) -> dict[str, Any]:
    """Return what LeRobot's own files have no place for, as the reader takes it from `dataset.json`."""
    known = given.description
    found: dict[str, Any] = {
        "task": str(known.get("task") or "custom"),
        "sensors": given.sensors,
        "positions": [POSITIONS] if POSITIONS in given.columns else [],
        "cameras": list(given.cameras),
    }
    for name in ("action_low", "action_high"):
        if np.isfinite(known[name]).all():
            found[name] = [float(each) for each in known[name]]
    sizes = {
        "sensor_units": sum(given.columns[key].size for key in given.sensors),
        "action_units": known["action_size"],
    }
    return found | {name: known[name] for name, size in sizes.items() if size and len(known.get(name) or []) == size}


def _of_logs(name: str, logs: Logs, scratch: Path) -> _Source:
    recordings = [each for each in logs.recordings if any(len(episode.actions) for episode in each.episodes)]
    kept = [(each, episode) for each in recordings for episode in each.episodes if len(episode.actions)]
    if not kept:
        raise ValueError(f"dataset {name}: it holds no episode with a step")
    known, first = logs.description, kept[0][1]
    columns = {ACTION: _column("float32", len(known["action_low"]), known.get("actuators"))}
    if first.observations.shape[1]:
        columns[STATE] = _column("float32", first.observations.shape[1], known.get("sensors"))
    if first.positions is not None:
        columns[POSITIONS] = Column("float32", first.positions.shape[1])

    def episodes() -> Iterator[tuple[dict[str, ndarray], dict[str, Frames]]]:
        for recording in recordings:
            rows = {camera: _frames_of(recording, camera, logs, scratch) for camera in logs.cameras}
            tapes = {camera: _Tape(recording.path.videos[camera]) for camera in logs.cameras}
            for each in recording.episodes:
                if not len(each.actions):
                    continue
                values = {ACTION: _padded(name, each.name, each.actions), STATE: each.observations}
                if each.positions is not None:
                    values[POSITIONS] = each.positions
                shown: dict[str, Frames] = {
                    IMAGES + camera: tapes[camera].frames(at[each.rows]) for camera, at in rows.items()
                }
                yield {key: values[key] for key in columns}, shown

    cameras = tuple(IMAGES + camera for camera in logs.cameras)
    sensors = [STATE] if STATE in columns else []
    return _Source(name, known, columns, cameras, episodes(), len(kept), sensors)


def _frames_of(recording: Recording, camera: str, logs: Logs, scratch: Path) -> ndarray:
    """Return the number of the frame of each row."""
    reel = decode(recording.path.videos[camera], _SMALL, scratch / _SCRATCH)
    return aligned_frames(recording, camera, reel, logs)[0]


class _Tape:
    """A video that is decoded once for all episodes in it, as far as these follow one another."""

    def __init__(self, video: Any):
        self._video, self._left = video, read_frames(video)
        self._at, self._frame = -1, np.empty(0)

    def frames(self, numbers: ndarray) -> Iterator[ndarray]:
        """Iterate over the frames with these numbers, as they are in the video; it ends where the video does."""
        for number in numbers:
            if number < self._at:
                self._left, self._at = read_frames(self._video), -1
            while self._at < number:
                if (following := next(self._left, None)) is None:
                    return
                self._at, self._frame = self._at + 1, following[1]
            yield self._frame


def _of_data(name: str, data: EpisodeData) -> _Source:
    known = _known(data)
    vectors, cameras = data.spec.vectors, data.spec.pictures
    for sensor in data.spec.sensors:
        flags = data.readings.get(sensor.name + PRESENT)
        if flags is not None and not flags.all():
            raise ValueError(
                f"the sensor {sensor.name} of {name} is missing at {int((flags == 0).sum())} moments, and LeRobot has "
                "no missing readings: leave those episodes out"
            )
        if not sensor.is_vector and (sensor.dtype != "uint8" or len(sensor.shape) != 3 or sensor.shape[-1] != 3):
            raise ValueError(f"the sensor {sensor.name} of {name} reads {sensor.shape}: LeRobot has colours [H, W, 3]")
    words: Any = known.get("sensors")
    named = words if are_words(words) and len(words) == sum(sensor.size for sensor in vectors) else []
    columns = {ACTION: _column("float32", len(data.action_low), known.get("actuators"))}
    at = 0
    for sensor in vectors:
        columns[OBSERVATION + sensor.name] = _column("float32", sensor.size, named[at : at + sensor.size])
        at += sensor.size
    if data.states is not None:
        columns[POSITIONS] = Column(data.states.dtype.name, data.states.shape[1])
    keys = {IMAGES + (each.name.removeprefix(f"{PIXELS}_")): each.name for each in cameras}

    def episodes() -> Iterator[tuple[dict[str, ndarray], dict[str, Frames]]]:
        for episode in range(data.episodes):
            rows = data.of_episode(episode)
            values = {OBSERVATION + sensor.name: data.readings[sensor.name][rows] for sensor in vectors}
            values[ACTION] = _padded(name, data.name(episode), data.actions[rows][:-1])
            if data.states is not None:
                values[POSITIONS] = data.states[rows]
            yield values, {key: data.readings[sensor][rows] for key, sensor in keys.items()}

    sensors = [key for key in columns if key.startswith(OBSERVATION)]
    return _Source(name, known, columns, tuple(keys), episodes(), data.episodes, sensors)


def _known(data: EpisodeData) -> dict[str, Any]:
    """Return the description of the robot that is stored with the data, with the bounds and size of its actions."""
    try:
        stored = json.loads(data.metadata.get("task", "{}"))
    except (TypeError, ValueError):  # metadata of another program under that name
        stored = {}
    known = {key: value for key, value in stored.items() if key not in WORDS or are_words(value)} if stored else {}
    bounds = {"action_low": data.action_low.tolist(), "action_high": data.action_high.tolist()}
    return {**known, **bounds, "action_size": len(data.action_low)}


def _column(dtype: str, size: int, words: Any) -> Column:
    return Column(dtype, size, tuple(words) if are_words(words) and len(words) == size else ())


def _padded(source: str, episode: str, actions: ndarray) -> ndarray:
    """Return actions [T, A] with the last one twice.

    Raises:
      ValueError: one was not recorded.
    """
    if np.isnan(actions).any():
        raise ValueError(
            f"{source} has no action at a step of {episode}, and LeRobot needs each: leave the episode out"
        )
    return np.concatenate([actions, actions[-1:]])
