"""Pictures of all rows of a folder of logs: each video decoded, aligned and checked once, and kept in a cache."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy import ndarray

from ...observation import ObservationSpec
from ..frame_cache import FOLDER, FrameCache
from ..logs import Logs, Recording
from .alignment import Alignment, align
from .faults import check
from .footage import Footage
from .reel import Reel, decode

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]

PIXELS = "pixels"
_VERSION = 1  # of how pictures are made: a cache of another one is made again
_CHUNK = 1024  # pictures copied at a time
_NAMED = 4  # videos with something to note that are named in the log
_SCRATCH = "scratch"


@dataclass(frozen=True)
class RecordedPictures:
    """Pictures by sensor, and how they were made."""

    frames: dict[str, ndarray] = field(default_factory=dict)  # [M, S, S, 3] of each sensor
    cameras: dict[str, dict[str, Any]] = field(default_factory=dict)  # camera, width, height and size of each sensor


def picture_sensor(cameras: Sequence[str], camera: str) -> str:
    """Return the name of a camera's sensor: `pixels` for the first camera, `pixels_<camera>` for the others."""
    return PIXELS if camera == cameras[0] else f"{PIXELS}_{camera}"


def recorded_pictures(
    folder: Path, description: Sequence[Path], logs: Logs, spec: ObservationSpec, on_progress: Progress | None
) -> RecordedPictures:
    """Return the pictures of the rows of every episode with a step, mapped into memory.

    Videos are decoded where the cache in the folder, `frames-<size>`, is missing, or was made from other files.

    Args:
      folder: of the dataset.
      description: the files that describe it.
      logs: its content.
      spec: the sensors.
      on_progress: called with the number of videos that are decoded, and of all of them.

    Raises:
      ImportError: PyAV is not installed.
      ValueError: a video that cannot be used.
    """
    size = spec.pictures[0].shape[0]
    key: dict[str, Any] = {"version": _VERSION, "sensors": spec.to_json(), "files": _digest(folder, description, logs)}
    if clips := [each.rows for each in logs.recordings if each.path.is_clip]:  # their moments follow from the period
        key["clips"] = clips
    cache = FrameCache(folder, spec, key, f"{FOLDER}-{size}")
    if not cache.is_complete:
        with cache.filling():
            cache.finish(_fill(cache, logs, size, on_progress))
    notes = cache.notes
    for line in notes["faults"][:_NAMED]:
        logger.warning("%s", line)
    if len(notes["faults"]) > _NAMED:
        logger.warning("%s: %d more videos are like that", folder, len(notes["faults"]) - _NAMED)
    return RecordedPictures(cache.frames(), notes["cameras"])


def _fill(cache: FrameCache, logs: Logs, size: int, on_progress: Progress | None) -> dict[str, Any]:
    """Decode every video into the cache; return notes about them."""
    faults, first = list[str](), dict[str, Reel]()
    recordings = [each for each in logs.recordings if any(len(episode.actions) for episode in each.episodes)]
    total, done = len(recordings) * len(logs.cameras), 0
    for recording in recordings:
        for camera in logs.cameras:
            reel = decode(recording.path.videos[camera], size, cache.partial / _SCRATCH)
            _check_same(reel, first.setdefault(camera, reel))
            frames, found = aligned_frames(recording, camera, reel, logs)
            faults += found
            sensor = picture_sensor(logs.cameras, camera)
            for episode in recording.episodes:
                if len(episode.actions):
                    for some in _chunks(frames[episode.rows]):
                        cache.write(sensor, reel.pictures[some])
            done += 1
            if on_progress is not None:
                on_progress(done, total)
    cameras = {
        picture_sensor(logs.cameras, camera): {
            "camera": camera,
            "width": reel.source[1],
            "height": reel.source[0],
            "size": size,
        }
        for camera, reel in first.items()
    }
    return {"faults": faults, "cameras": cameras}


def aligned_frames(recording: Recording, camera: str, reel: Reel, logs: Logs) -> tuple[ndarray, list[str]]:
    """Return the frame of each row of a recording, [N], and at most one sentence about the video.

    Args:
      recording: the log, with its videos.
      camera: name of the camera.
      reel: its video, decoded.
      logs: all of them, which have the bounds of the actions.

    Raises:
      ValueError: the video does not fit the log, or a model could not learn from it.
    """
    video, named = recording.path.videos[camera], recording.frames.get(camera)
    if isinstance(video, Footage):
        assert reel.stamps is not None
        aligned = Alignment(video.align(reel.stamps))
    else:
        aligned = align(recording.path.file, recording.rows, reel, recording.moments, named)
    bounds = (logs.description["action_low"], logs.description["action_high"])
    noted = check(reel, aligned, recording.actions, bounds)
    return aligned.frames, [f"{reel.path} {noted}"] if noted else []


def _check_same(reel: Reel, first: Reel) -> None:
    if reel.source != first.source:
        raise ValueError(
            f"{reel.path} has frames of {reel.source[1]} × {reel.source[0]} pixels, and {first.path} of "
            f"{first.source[1]} × {first.source[0]}: a camera needs one resolution in all episodes, so leave one kind "
            "out, or put it into another folder"
        )


def _chunks(rows: ndarray) -> Iterator[ndarray]:
    for begin in range(0, len(rows), _CHUNK):
        yield rows[begin : begin + _CHUNK]


def _digest(folder: Path, description: Sequence[Path], logs: Logs) -> str:
    """Digest of the names, sizes and times of change of all files."""
    found = [*description, *(each.path.file for each in logs.recordings)]
    for recording in logs.recordings:
        for video in recording.path.videos.values():
            if isinstance(video, Footage):
                found.append(video.path)
            else:
                found += sorted(video.iterdir()) if video.is_dir() else [video]
    found = [*dict.fromkeys(found)]
    lines = (f"{file.relative_to(folder)} {(stat := file.stat()).st_size} {stat.st_mtime_ns}" for file in found)
    return hashlib.sha256("\n".join(lines).encode(errors="backslashreplace")).hexdigest()
