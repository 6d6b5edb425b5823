"""A robot's own logs, with their videos, as a dataset."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from ..observation import PRESENT, ObservationSpec, Sensor, vector
from .episodes import EpisodeData
from .logs import DESCRIPTION, UNKNOWN, LoggedEpisode, Logs, clip, read_logs
from .video.clip import clip_period
from .video.layout import find_clips
from .video.recorded_pictures import Progress, RecordedPictures, picture_sensor, recorded_pictures

logger = logging.getLogger(__name__)

STATE = "state"  # the sensor that all logged columns are
_CAMERA = "video"  # of a folder that holds nothing but videos
_OTHER_RATE = 0.05  # share by which the rates of videos may differ


def load_logs(folder: Path, picture_size: int, on_progress: Progress | None = None, clips: bool = False) -> EpisodeData:
    """Read a folder of logs; videos become the sensors `pixels` of the first camera and `pixels_<camera>` of others.

    Args:
      folder: with `dataset.json`.
      picture_size: width and height of pictures.
      on_progress: called with the number of videos that are decoded, and of all of them.
      clips: whether videos without a log are episodes, too.

    Raises:
      ImportError: there are videos, and PyAV is not installed.
      ValueError: a description, a log or a video that cannot be used, in one sentence that names it.
    """
    return episodes_of(folder, read_logs(folder, clips), picture_size, on_progress, [folder / DESCRIPTION])


def holds_clips(folder: Path) -> bool:
    """Whether a folder holds videos, or folders of PNGs, and nothing else that is known as data."""
    return folder.is_dir() and bool(find_clips(folder, _CAMERA))


def load_clips(
    folder: Path, picture_size: int, control_period: float | None, on_progress: Progress | None = None
) -> EpisodeData:
    """Read a folder of videos, each of them an episode of which no action is known.

    Args:
      folder: of videos or folders of PNGs, or of folders of these.
      picture_size: width and height of pictures.
      control_period: seconds between two moments; None: the interval of the frames, which must be that of all videos.
      on_progress: called with the number of videos that are decoded, and of all of them.

    Raises:
      ImportError: there are video files, and PyAV is not installed.
      ValueError: no control period, videos of several rates, or a video that cannot be used.
    """
    paths = find_clips(folder, _CAMERA)
    period = control_period or _common_period(folder, [path.file for path in paths])
    description: dict[str, Any] = {
        "task": "custom",
        "control_period": period,
        "action_low": [-1.0],
        "action_high": [1.0],
        "action_size": 1,
        "observation_size": 0,
        "sensors": [],
        "sensor_units": [],
        "actuators": [UNKNOWN],
        "action_units": [],
    }
    logs = Logs(description, [clip(path, folder, period, description) for path in paths], (_CAMERA,))
    return episodes_of(folder, logs, picture_size, on_progress, [])


def _common_period(folder: Path, videos: Sequence[Path]) -> float:
    """Seconds between two frames of all videos.

    Raises:
      ValueError: none has times, or their rates differ.
    """
    found = {video: period for video in videos if (period := clip_period(video)) is not None}
    if not found:
        raise ValueError(f"{folder} holds PNGs, which tell no time: add control_period=SECONDS between two of them")
    (first, period), *others = found.items()
    for video, other in others:
        if abs(other - period) > _OTHER_RATE * period:
            raise ValueError(
                f"{video} has {1 / other:.3g} frames a second, and {first} has {1 / period:.3g}: add control_period="
                f"{max(found.values()):.4g}, in which a frame of each is taken, or put them into separate folders"
            )
    return period


def episodes_of(
    folder: Path, logs: Logs, picture_size: int, on_progress: Progress | None, description: Sequence[Path]
) -> EpisodeData:
    """Return the episodes with a step, with their pictures.

    Args:
      folder: of the dataset.
      logs: its content.
      picture_size: width and height of pictures.
      on_progress: called with the number of videos that are decoded, and of all of them.
      description: the files that describe the dataset: where one changes, pictures are made anew.

    Raises:
      ImportError: there are videos, and PyAV is not installed.
      ValueError: no episode has a step, or a video cannot be used.
    """
    kept = [episode for episode in logs.episodes if len(episode.actions)]
    for name in sorted({episode.name for episode in logs.episodes} - {episode.name for episode in kept}):
        logger.warning("%s holds no step and was left out", folder / name)
    if not kept:
        raise ValueError(f"dataset {folder}: it holds no episode with a step")
    spec = _spec(logs, picture_size)
    found = RecordedPictures()
    if logs.cameras:
        found = recorded_pictures(folder, description, logs, spec, on_progress)
    return EpisodeData.of(
        [_readings(episode, spec) for episode in kept],
        [episode.actions for episode in kept],
        (logs.description["action_low"], logs.description["action_high"]),
        states=[episode.positions for episode in kept if episode.positions is not None],
        metadata={
            "task": json.dumps(_described(logs, spec, found)),
            "dataset_id": folder.resolve().name,
            "total_episodes": len(kept),
            "logs": True,
        },
        names=[episode.name for episode in kept],
        spec=spec,
        frames=found.frames,
    )


def _spec(logs: Logs, picture_size: int) -> ObservationSpec:
    """Return the sensors: the cameras in order, and the columns. Any of several may be missing on the robot."""
    columns = int(logs.description["observation_size"])
    if not logs.cameras:
        return vector(columns, STATE)
    shape = (picture_size, picture_size, 3)
    cameras = [Sensor(picture_sensor(logs.cameras, camera), shape, "uint8") for camera in logs.cameras]
    sensors = [*cameras, *([Sensor(STATE, (columns,))] if columns else [])]
    return ObservationSpec(tuple(replace(each, optional=len(sensors) > 1) for each in sensors))


def _readings(episode: LoggedEpisode, spec: ObservationSpec) -> dict[str, ndarray]:
    """Return an episode's readings, without pictures; every sensor is there at every moment, but columns of a clip."""
    rows = len(episode.observations)
    present = {sensor.name + PRESENT: np.ones((rows, 1), np.uint8) for sensor in spec.sensors if sensor.optional}
    if not spec.vectors:
        return present
    columns = spec.vectors[0].shape[0]
    if episode.observations.shape[1] == columns:
        return present | {STATE: episode.observations}
    return present | {STATE + PRESENT: np.zeros((rows, 1), np.uint8), STATE: np.zeros((rows, columns), np.float32)}


def _described(logs: Logs, spec: ObservationSpec, found: RecordedPictures) -> dict[str, Any]:
    if not logs.cameras:
        return logs.description
    return logs.description | {"observation_size": sum(each.size for each in spec.sensors), "cameras": found.cameras}
