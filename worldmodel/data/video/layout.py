"""Where a folder of logs keeps its videos: beside each log, or in one folder an episode; and videos without a log."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..frame_cache import is_cache
from ..log_file import SUFFIXES as LOGS
from .footage import Footage
from .png_folder import SUFFIX as PNG
from .video_file import SUFFIXES as VIDEOS

logger = logging.getLogger(__name__)

_DATA = re.compile(r"\.(csv|tsv|npz|npy|parquet|xlsx?)\b", re.IGNORECASE)
_NAMED = 4  # files that are named in one message


@dataclass(frozen=True)
class LogPath:
    """A log's file, and the video, or the folder of PNGs, of each camera."""

    file: Path  # of the log; of a clip, the video of its first camera
    videos: Mapping[str, Path | Footage] = field(default_factory=dict)
    is_clip: bool = False  # whether there is no log: nobody recorded what was done
    part: str = ""  # name of the episode, where the file holds several

    def __str__(self) -> str:
        return f"{self.part} of {self.file}" if self.part else str(self.file)

    @property
    def name(self) -> str:
        """Short name, for messages."""
        return self.part or self.file.name


def find_logs(folder: Path, cameras: Sequence[str], clips: bool = False) -> list[LogPath]:
    """Return the logs in a folder and, where there are cameras, in the folders inside, with their videos.

    Other files that look like data are listed in one log line.

    Args:
      folder: of the dataset.
      cameras: their names.
      clips: whether to return videos without a log as well.

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
        elif cameras and path.is_dir() and not is_cache(path) and (held := _videos(path)):
            if clips:
                by_camera = _filmed(path, held, cameras)
                found.append(LogPath(by_camera[cameras[0]], by_camera, True))
            else:
                logger.warning("%s holds a video and no log, and was left out: method=video learns from it", path)
        elif _DATA.search(path.name):
            others.append(path.name)
        elif path.suffix.lower() in VIDEOS:
            filmed.append(path.name)
    if clips and cameras:
        used = {video for log in found for video in log.videos.values()}
        free = [path for path in _videos(folder) if path not in used]
        _check_single(free, cameras)
        found += [LogPath(video, {cameras[0]: video}, True) for video in free]
    _warn(folder, others, [] if cameras else filmed)
    return found


def find_clips(folder: Path, camera: str) -> list[LogPath]:
    """Return the videos, and the folders of PNGs, in a folder and in those inside, each an episode of one camera."""
    found = list[Path]()
    for path in _visible(folder, []):
        if _is_video(path):
            found.append(path)
        elif path.is_dir() and not is_cache(path):
            found += _videos(path)
    return [LogPath(path, {camera: path}, True) for path in found]


def _is_video(path: Path) -> bool:
    """Whether a path is a video, or a folder of PNGs."""
    if path.is_dir():
        return not is_cache(path) and any(each.suffix.lower() == PNG for each in path.iterdir())
    return path.suffix.lower() in VIDEOS


def _videos(folder: Path) -> list[Path]:
    """Return the videos, and the folders of PNGs, in a folder."""
    return [path for path in _visible(folder, []) if _is_video(path)]


def _filmed(folder: Path, held: Sequence[Path], cameras: Sequence[str]) -> dict[str, Path]:
    """Return the video of each camera among those in the folder of an episode without a log."""
    if len(cameras) == 1 and len(held) == 1:
        return {cameras[0]: held[0]}
    return {camera: _only(folder / "the episode", camera, [camera]) for camera in cameras}


def _check_single(videos: Sequence[Path], cameras: Sequence[str]) -> None:
    """Raise ValueError where there are videos without a log beside others, and several cameras that they may be of."""
    if videos and len(cameras) > 1:
        raise ValueError(
            f"{videos[0]} has no log, and dataset.json names {len(cameras)} cameras: give the videos of each episode "
            "without a log a folder of their own"
        )


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
