"""LeRobot datasets for tests, written with pyarrow alone as LeRobot's documentation describes them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy import ndarray
from PIL import Image

from .filming import scene, write_video

FPS = 20
LENGTHS = (5, 8, 4)
STANDARD = ("frame_index", "episode_index", "index", "task_index")


def first_number(episode: int) -> int:
    """The number of the scene that an episode begins with, which its frames count on from."""
    return 3 * episode


def png(frame: ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, format="PNG")
    return stream.getvalue()


def values(episode: int, rows: int, size: int) -> ndarray:
    return np.random.default_rng([episode, size]).uniform(-1, 1, (rows, size)).astype(np.float32)


def write(
    folder: Path,
    lengths: Sequence[int] = LENGTHS,
    *,
    camera: str = "video",
    files: Sequence[Sequence[int]] = ((0, 1), (2,)),
    change: Callable[[dict[str, Any]], None] | None = None,
    rows_change: Callable[[list[dict[str, Any]]], None] | None = None,
) -> Path:
    """Write episodes of random numbers and of `scene`s, in files of several episodes, with paths of its own.

    Args:
      folder: of the dataset.
      lengths: rows of each episode.
      camera: dtype of its camera: `video`, `image`, or "" for none.
      files: numbers of the episodes in each data file; videos have all episodes in one.
      change: alters `meta/info.json` before it is written.
      rows_change: alters the rows of `meta/episodes`.
    """
    key = "observation.images.front"
    info: dict[str, Any] = {
        "codebase_version": "v3.0",
        "robot_type": "arm",
        "fps": FPS,
        "total_episodes": len(lengths),
        "total_frames": sum(lengths),
        "total_tasks": 1,
        "chunks_size": 1000,
        "data_path": "rows/{chunk_index:02d}/{file_index:02d}.parquet",
        "video_path": "films/{video_key}/{chunk_index:02d}/{file_index:02d}.mp4" if camera == "video" else None,
        "features": {
            "observation.state": {"dtype": "float32", "shape": [2], "names": {"motors": ["shoulder", "elbow"]}},
            "observation.effort": {"dtype": "float64", "shape": [1], "names": None},
            "action": {"dtype": "float32", "shape": [2], "names": ["a", "b"]},
            "next.reward": {"dtype": "float32", "shape": [1], "names": None},
            "timestamp": {"dtype": "float32", "shape": [1], "names": None},
            **{name: {"dtype": "int64", "shape": [1], "names": None} for name in STANDARD},
        },
    }
    if camera:
        info["features"][key] = {"dtype": camera, "shape": [32, 48, 3], "names": ["height", "width", "channels"]}
    episodes: list[dict[str, Any]] = []
    starts = np.concatenate([[0], np.cumsum(lengths)])
    for file, numbers in enumerate(files):
        columns: dict[str, list[Any]] = {}
        for number in numbers:
            rows = lengths[number]
            cells: dict[str, Any] = {
                "observation.state": values(number, rows, 2).tolist(),
                "observation.effort": (1e3 + values(number, rows, 1)[:, 0].astype(np.float64)).tolist(),
                "action": values(number, rows, 3)[:, :2].tolist(),
                "next.reward": [0.0] * rows,
                "timestamp": (np.arange(rows) / FPS).tolist(),
                "frame_index": [*range(rows)],
                "episode_index": [number] * rows,
                "index": [*range(starts[number], starts[number + 1])],
                "task_index": [0] * rows,
            }
            if camera == "image":
                shown = [scene(first_number(number) + row) for row in range(rows)]
                cells[key] = [{"bytes": png(each), "path": f"frame-{row:06d}.png"} for row, each in enumerate(shown)]
            for name, column in cells.items():
                columns.setdefault(name, []).extend(column)
            row = {
                "episode_index": number,
                "tasks": ["push"],
                "length": rows,
                "data/chunk_index": file,
                "data/file_index": 7,
                "dataset_from_index": int(starts[number]),
                "dataset_to_index": int(starts[number + 1]),
            }
            if camera == "video":
                row |= {f"videos/{key}/chunk_index": 3, f"videos/{key}/file_index": 0}
                row |= {f"videos/{key}/from_timestamp": starts[number] / FPS}
                row |= {f"videos/{key}/to_timestamp": starts[number + 1] / FPS}
            episodes.append(row)
        path = folder / info["data_path"].format(chunk_index=file, file_index=7)
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table(columns), path)
    if camera == "video":
        path = folder / info["video_path"].format(video_key=key, chunk_index=3, file_index=0)
        path.parent.mkdir(parents=True)
        frames = [scene(first_number(number) + row) for number, rows in enumerate(lengths) for row in range(rows)]
        write_video(path, frames, FPS)
    if change is not None:
        change(info)
    if rows_change is not None:
        rows_change(episodes)
    meta = folder / "meta/episodes/chunk-000"
    meta.mkdir(parents=True)
    for number, row in enumerate(reversed(episodes)):  # in any order
        pq.write_table(pa.Table.from_pylist([row]), meta / f"file-{number:03d}.parquet")
    (folder / "meta/info.json").write_text(json.dumps(info))
    return folder
