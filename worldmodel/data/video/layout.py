"""Where a folder of logs keeps its videos: beside each log, or in one folder an episode."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..frame_cache import is_cache
from ..log_file import SUFFIXES as LOGS
from .png_folder import SUFFIX as PNG
from .video_file import SUFFIXES as VIDEOS

logger = logging.getLogger(__name__)

_DATA = re.compile(r"\.(csv|tsv|npz|npy|parquet|xlsx?)\b", re.IGNORECASE)
_NAMED = 4  # files that are named in one message


@dataclass(frozen=True)
class LogPath:
    """A log's file, and the video, or the folder of PNGs, of each camera."""

    file: Path
    videos: Mapping[str, Path] = field(default_factory=dict)


def find_logs(folder: Path, cameras: Sequence[str]) -> list[LogPath]:
    """Return the logs in a folder and, where there are cameras, in the folders inside, with their videos.

    Other files that look like data are listed in one log line.

    Raises:
      ValueError: several logs in the folder of an episode, or a video that is missing or there twice.
    """
    found, others, filmed = list[LogPath](), list[str](), list[str]()
    for path in _visible(folder, others):
        if path.suffix.lower() in LOGS and not path.is_dir():
            found.append(LogPath(path, {camera: _beside(path, camera, cameras) for camera in cameras}))
        elif cameras and path.is_dir() and not is_cache(path) and (logs := _logs(path)):
            if len(logs) > 1:
                raise ValueError(
                    f"{path} holds {len(logs)} logs, {logs[0].name} and {logs[1].name}: give each episode a folder of "
                    "its own"
                )
            found.append(LogPath(logs[0], {camera: _inside(logs[0], camera) for camera in cameras}))
        elif cameras and path.is_dir() and any(inside.suffix.lower() in VIDEOS for inside in path.iterdir()):
            logger.warning("%s holds a video and no log, and was left out", path)
        elif _DATA.search(path.name):
            others.append(path.name)
        elif path.suffix.lower() in VIDEOS:
            filmed.append(path.name)
    _warn(folder, others, [] if cameras else filmed)
    return found


def _visible(folder: Path, others: list[str]) -> list[Path]:
    """Files and folders in order, without hidden ones: macOS writes ._a.csv next to a.csv on other systems' disks."""
    everything = sorted(folder.iterdir())
    hidden = [path for path in everything if path.name.startswith((".", "~$"))]
    others += [path.name for path in hidden if _DATA.search(path.name)]
    return [path for path in everything if path not in hidden]


def _logs(folder: Path) -> list[Path]:
    return [path for path in _visible(folder, []) if path.suffix.lower() in LOGS and path.is_file()]


def _beside(log: Path, camera: str, cameras: Sequence[str]) -> Path:
    """Return the video of a log beside others: `run1_front.mp4`, or `run1.mp4` of the only camera."""
    stems = [f"{log.stem}_{camera}", *([log.stem] if len(cameras) == 1 else [])]
    return _only(log, camera, stems)


def _inside(log: Path, camera: str) -> Path:
    """Return the video of a log with a folder of its own: `front.mp4` or `front/`."""
    return _only(log, camera, [camera])


def _only(log: Path, camera: str, stems: Sequence[str]) -> Path:
    neighbours = [path for path in _visible(log.parent, []) if path.stem in stems and path != log]
    videos = [path for path in neighbours if path.suffix.lower() in VIDEOS and path.is_file()]
    folders = [path for path in neighbours if path.is_dir() and path.name in stems and not _logs(path)]
    found = [*videos, *folders]
    if len(found) > 1:
        raise ValueError(
            f"{log} has two videos of the camera {camera}, {found[0].name} and {found[1].name}: keep one of them"
        )
    if not found:
        expected = " or ".join(f"{stem}.mp4 or a folder {stem}/ of {PNG[1:].upper()}s" for stem in stems)
        raise ValueError(
            f"{log} has no video of the camera {camera}: expected {expected} next to it; leave the episode out where "
            "there is none"
        )
    return found[0]


def _warn(folder: Path, others: Sequence[str], filmed: Sequence[str]) -> None:
    if others:
        logger.warning(
            "%s: left out, because they are hidden, folders, or neither .npz nor .csv: %s%s",
            folder,
            ", ".join(sorted(others)[:_NAMED]),
            " and others" if len(others) > _NAMED else "",
        )
    if filmed:
        logger.warning(
            '%s holds videos, such as %s, which are not read: add "cameras": ["front"] to dataset.json',
            folder,
            filmed[0],
        )
