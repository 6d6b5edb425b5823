"""A robot's own logs, with their videos, as a dataset."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from ..observation import PRESENT, ObservationSpec, Sensor, vector
from .episodes import EpisodeData
from .logs import DESCRIPTION, LoggedEpisode, Logs, read_logs
from .video.recorded_pictures import Progress, RecordedPictures, picture_sensor, recorded_pictures

logger = logging.getLogger(__name__)

STATE = "state"  # the sensor that all logged columns are


def load_logs(folder: Path, picture_size: int, on_progress: Progress | None = None) -> EpisodeData:
    """Read a folder of logs; videos become the sensors `pixels` of the first camera and `pixels_<camera>` of others.

    Args:
      folder: with `dataset.json`.
      picture_size: width and height of pictures.
      on_progress: called with the number of videos that are decoded, and of all of them.

    Raises:
      ImportError: there are videos, and PyAV is not installed.
      ValueError: a description, a log or a video that cannot be used, in one sentence that names it.
    """
    logs = read_logs(folder)
    kept = [episode for episode in logs.episodes if len(episode.actions)]
    for name in sorted({episode.name for episode in logs.episodes} - {episode.name for episode in kept}):
        logger.warning("%s holds no step and was left out", folder / name)
    if not kept:
        raise ValueError(f"dataset {folder}: it holds no episode with a step")
    spec = _spec(logs, picture_size)
    found = RecordedPictures()
    if logs.cameras:
        found = recorded_pictures(folder, folder / DESCRIPTION, logs, spec, on_progress)
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
    """Return an episode's readings, without pictures; every sensor is there at every moment."""
    rows = len(episode.observations)
    present = {sensor.name + PRESENT: np.ones((rows, 1), np.uint8) for sensor in spec.sensors if sensor.optional}
    return present | ({STATE: episode.observations} if spec.vectors else {})


def _described(logs: Logs, spec: ObservationSpec, found: RecordedPictures) -> dict[str, Any]:
    if not logs.cameras:
        return logs.description
    return logs.description | {"observation_size": sum(each.size for each in spec.sensors), "cameras": found.cameras}
