"""LeRobot dataset as logs, and so as episodes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..episodes import EpisodeData
from ..log_dataset import episodes_of
from ..log_file import LogFile
from ..logs import DESCRIPTION, Logs, described, recorded
from ..video.footage import Footage
from ..video.layout import LogPath
from ..video.recorded_pictures import Progress
from ..video.segment import Segment
from .episodes import Episode, episode_files, read_episodes
from .image_column import ImageColumn
from .info import Feature, Info, read_info
from .settings import Settings, read_settings, size_of
from .tables import INTACT, numbers, read_table

logger = logging.getLogger(__name__)

_TIME = "timestamp"


def load_lerobot(folder: Path, picture_size: int, on_progress: Progress | None = None) -> EpisodeData:
    """Read a LeRobot dataset; its cameras become the sensors `pixels` and `pixels_<camera>`, its numbers `state`.

    Args:
      folder: with `meta/info.json`.
      picture_size: width and height of pictures.
      on_progress: called with the number of videos of episodes that are decoded, and of all of them.

    Raises:
      ImportError: pyarrow is not installed, or PyAV where there are videos.
      ValueError: another version, or a file that is missing, damaged or does not fit the others, in one sentence.
    """
    files = [*episode_files(folder), *(each for each in [folder / DESCRIPTION] if each.is_file())]
    logs = lerobot_logs(folder)
    return episodes_of(folder, logs, picture_size, on_progress, [folder / "meta/info.json", *files])


def lerobot_logs(folder: Path) -> Logs:
    """Read the numbers of a LeRobot dataset, without its pictures.

    Raises:
      ImportError: pyarrow is not installed.
      ValueError: see `load_lerobot`.
    """
    info = read_info(folder)
    settings = read_settings(folder, info)
    episodes = read_episodes(folder, info, settings.cameras)
    logged = [each for each in _logged(info, settings, episodes) if len(each[1].observations)]
    if not logged:
        raise ValueError(f"{folder} is a LeRobot dataset without a frame: record some")
    bounds = settings.bounds or _measured(folder, [log.actions for _, log in logged])
    said = settings.for_logs(1 / info.fps, bounds)
    return Logs(described(said, size_of(settings.sensors)), recorded(folder, logged, said), tuple(said["cameras"]))


def _logged(info: Info, settings: Settings, episodes: Sequence[Episode]) -> Iterator[tuple[LogPath, LogFile]]:
    """Iterate over the episodes, of which one data file is in memory at a time."""
    opened: tuple[Path, Any, ndarray] | None = None
    for episode in episodes:
        if opened is None or opened[0] != episode.data:
            table = read_table(episode.data, ["episode_index", _TIME, *(each.key for each in settings.vectors)])
            opened = episode.data, table, numbers(episode.data, table, "episode_index", 1)[:, 0]
        path, table, owner = opened
        rows = np.flatnonzero(owner == episode.index)
        if len(rows) != episode.length or (np.diff(rows) != 1).any():
            raise ValueError(
                f"{path} has {len(rows)} rows of {episode.name}, and meta/episodes says {episode.length}, one after "
                f"the other: {INTACT}"
            )
        if not len(rows):
            continue
        begin = int(rows[0])
        part = table.slice(begin, len(rows))
        moments = numbers(path, part, _TIME, 1)[:, 0].astype(np.float64)
        videos = {each.camera: _footage(info, episode, each, begin, moments) for each in settings.cameras}
        actions = _joined(path, part, settings.actuators) if settings.actuators else np.full((len(rows), 1), np.nan)
        yield (
            LogPath(path, videos, part=episode.name),
            LogFile(
                _joined(path, part, settings.sensors),
                actions[:-1],
                _joined(path, part, settings.positions) if settings.positions else None,
                (_TIME, moments),
            ),
        )


def _footage(info: Info, episode: Episode, camera: Feature, begin: int, moments: ndarray) -> Footage:
    """Return the pictures of an episode.

    Args:
      info: of the dataset.
      episode: the episode.
      camera: the feature.
      begin: its first row in the data file.
      moments: of its rows, [N], in seconds.
    """
    if camera.dtype == "image":
        return ImageColumn(episode.data, episode.name, camera.key, begin, episode.length)
    clip = episode.clips[camera.key]
    if not clip.path.is_file():
        raise ValueError(f"there is no file {clip.path}, which has {episode.name}: {INTACT}")
    return Segment(clip.path, episode.name, clip.begin, moments, 1 / info.fps)


def _joined(path: Path, table: Any, features: Sequence[Feature]) -> Float[ndarray, "N F"]:
    """Return the numbers of vectors, one after the other."""
    columns = [numbers(path, table, each.key, each.shape[0]).astype(np.float64) for each in features]
    return np.concatenate([np.zeros((len(table), 0)), *columns], axis=1)


def _measured(folder: Path, actions: Sequence[ndarray]) -> tuple[list[float], list[float]]:
    """Return the lowest and the highest action of all."""
    every = np.concatenate(actions).astype(np.float32)
    if not len(every) or not np.isfinite(every).all():
        return [-1.0] * every.shape[1], [1.0] * every.shape[1]  # the check of the actions says what is wrong
    low, high = every.min(axis=0), every.max(axis=0)
    logger.warning(
        "%s does not say what actions are possible, so the bounds are those of its own, from [%s] to [%s]: add "
        "action_low and action_high in %s if the robot can do more",
        folder,
        ", ".join(f"{each:.4g}" for each in low),
        ", ".join(f"{each:.4g}" for each in high),
        folder / DESCRIPTION,
    )
    return low.tolist(), high.tolist()
