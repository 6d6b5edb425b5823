"""Episodes of a LeRobot dataset, and the parts of files that belong to each: `meta/episodes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .info import Feature, Info
from .layout import EPISODES
from .tables import INTACT, read_table


@dataclass(frozen=True)
class Clip:
    """Part of a video that shows an episode."""

    path: Path
    begin: float  # seconds
    end: float


@dataclass(frozen=True)
class Episode:
    """Episode of so many rows: its number, the file with its rows, and the clip of each camera."""

    index: int
    length: int
    data: Path
    clips: Mapping[str, Clip]

    @property
    def name(self) -> str:
        """Name for messages."""
        return f"episode {self.index}"


def episode_files(folder: Path) -> list[Path]:
    """Return the files that list the episodes."""
    return sorted((folder / EPISODES).glob("*/*.parquet"))


def read_episodes(folder: Path, info: Info, cameras: Sequence[Feature]) -> list[Episode]:
    """Read the list of episodes, in order.

    Args:
      folder: of the dataset.
      info: its description.
      cameras: whose clips are wanted; pictures in the rows have none.

    Raises:
      ImportError: pyarrow is not installed.
      ValueError: a file is missing, damaged or incomplete.
    """
    filmed = [each.key for each in cameras if each.dtype == "video"]
    if filmed and info.video_path is None:
        raise ValueError(f"{info.path} has the video {filmed[0]} and no video_path: {INTACT}")
    wanted = ["episode_index", "length", "data/chunk_index", "data/file_index"]
    for key in filmed:
        wanted += [f"videos/{key}/{part}" for part in ("chunk_index", "file_index", "from_timestamp", "to_timestamp")]
    rows = [row for file in episode_files(folder) for row in read_table(file, wanted).to_pylist()]
    found = sorted((_episode(folder, info, filmed, row) for row in rows), key=lambda each: each.index)
    if [each.index for each in found] != [*range(info.episodes)]:
        raise ValueError(
            f"{folder / EPISODES} lists {len(found)} episodes, and {info.path} has {info.episodes}, counted from 0: "
            f"{INTACT}"
        )
    if (rows_in_all := sum(each.length for each in found)) != info.rows:
        raise ValueError(
            f"{folder / EPISODES} lists {rows_in_all} frames, and {info.path} has {info.rows} as total_frames: {INTACT}"
        )
    for episode in found:
        for clip in episode.clips.values():
            if abs((clip.end - clip.begin) * info.fps - episode.length) > 0.5:
                raise ValueError(
                    f"{folder / EPISODES} has {clip.end - clip.begin:.3f} s of {clip.path} for {episode.name}, whose "
                    f"{episode.length} rows take {episode.length / info.fps:.3f} s: {INTACT}"
                )
    return found


def _episode(folder: Path, info: Info, filmed: Sequence[str], row: Mapping[str, Any]) -> Episode:
    if missing := [name for name, value in row.items() if value is None]:
        raise ValueError(f"{folder / EPISODES} has no {missing[0]} for episode {row['episode_index']}: {INTACT}")
    clips = {}
    for key in filmed:
        part = {name: row[f"videos/{key}/{name}"] for name in ("chunk_index", "file_index")}
        path = _file(folder, info, str(info.video_path), part, key)
        clips[key] = Clip(path, float(row[f"videos/{key}/from_timestamp"]), float(row[f"videos/{key}/to_timestamp"]))
    part = {name: row[f"data/{name}"] for name in ("chunk_index", "file_index")}
    return Episode(int(row["episode_index"]), int(row["length"]), _file(folder, info, info.data_path, part), clips)


def _file(folder: Path, info: Info, template: str, part: Mapping[str, int], key: str = "") -> Path:
    """Return the file of a chunk, which lies in the folder."""
    try:
        path = folder / template.format(video_key=key, **part)
    except (LookupError, ValueError, AttributeError) as error:
        raise ValueError(f"{info.path} has the path {template!r:.80}, with other places than known ones") from error
    if ".." in path.relative_to(folder).parts if path.is_relative_to(folder) else True:
        raise ValueError(f"{info.path} has the path {template!r:.80}, which leads out of {folder}")
    return path
