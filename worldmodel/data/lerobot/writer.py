"""LeRobot dataset of version 3, written episode by episode: complete or not there at all."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8
from numpy import ndarray

from . import layout
from .statistics import Statistics, merged, of_numbers, of_pictures, sampled, thinned
from .tables import pyarrow
from .track import VideoTrack

Frames = Iterable[ndarray]  # [H, W, 3] uint8 each


@dataclass(frozen=True)
class Column:
    """Vector of so many numbers in each row.

    Args:
      dtype: NumPy's name.
      size: numbers in a row.
      names: of the numbers; empty: none.
    """

    dtype: str
    size: int
    names: Sequence[str] = ()


class LeRobotWriter:
    """Writer of a new dataset. Used as a context, it is complete at the end, and nothing is there after an error.

    Args:
      folder: of the dataset; it must not exist yet.
      fps: rows a second.
      columns: numbers, by feature.
      cameras: features of pictures.
      lossless: whether pictures are stored as PNGs in the rows, in place of videos.

    Raises:
      FileExistsError: something is there already.
      ImportError: pyarrow is not installed, or PyAV for videos.
    """

    def __init__(
        self, folder: Path, fps: float, columns: Mapping[str, Column], cameras: Sequence[str], lossless: bool = False
    ):
        if folder.exists():
            raise FileExistsError(f"there is something at {folder} already: choose another folder, or remove it")
        self._pa = pyarrow(folder)
        self._out, self._columns, self._cameras, self._lossless = folder, dict(columns), tuple(cameras), lossless
        self._fps = float(round(fps)) if abs(fps - round(fps)) < 1e-6 * fps else fps
        self._folder = folder  # while it is written, one beside it
        self._tracks: dict[str, VideoTrack] = {}
        self._episodes, self._rows = list[dict[str, Any]](), 0
        self._statistics = list[dict[str, Statistics]]()
        self._tasks: dict[str, int] = {}
        self._table: Any = None  # the data file that is written
        self._number, self._bytes = 0, 0  # of that file, and in it
        self._shapes: dict[str, tuple[int, int]] = {}  # height and width of each camera

    def __enter__(self) -> LeRobotWriter:
        home = self._out.parent.resolve()
        home.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix=f".{self._out.name}.", suffix=".partial", dir=home))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)  # renamed already after success

    @property
    def rows(self) -> int:
        """Number of rows so far."""
        return self._rows

    def add(self, task: str, columns: Mapping[str, Shaped[ndarray, "N F"]], pictures: Mapping[str, Frames]) -> None:
        """Append an episode of N rows.

        Args:
          task: what the robot does, in words.
          columns: rows of each column.
          pictures: N frames of each camera.

        Raises:
          ValueError: another number of frames than rows, or frames that a video cannot hold.
        """
        rows, number = len(next(iter(columns.values()))), len(self._episodes)
        standard = {
            "timestamp": np.arange(rows) / self._fps,
            "frame_index": np.arange(rows),
            "episode_index": np.full(rows, number),
            "index": self._rows + np.arange(rows),
            "task_index": np.full(rows, self._tasks.setdefault(task, len(self._tasks))),
        }
        every = {key: np.asarray(columns[key], each.dtype).reshape(rows, -1) for key, each in self._columns.items()}
        every |= {key: standard[key].astype(dtype)[:, None] for key, dtype in layout.STANDARD.items()}
        found: dict[str, Statistics] = {key: of_numbers(values) for key, values in every.items()}
        places, shown = dict[str, Any](), dict[str, list[bytes]]()
        for key in self._cameras:
            looked_at: list[ndarray] = []
            frames = self._seen(key, rows, pictures[key], looked_at)
            if self._lossless:
                shown[key] = [_png(frame) for frame in frames]
            else:
                if key not in self._tracks:
                    self._tracks[key] = VideoTrack(self._folder, key, self._fps)
                place = self._tracks[key].add(frames)
                places |= {f"videos/{key}/{name}": value for name, value in place.items()}
            found[key] = of_pictures(looked_at)
        chunk, file = self._write(every, shown)
        self._episodes.append(
            {
                "episode_index": number,
                "tasks": [task],
                "length": rows,
                "data/chunk_index": chunk,
                "data/file_index": file,
                "dataset_from_index": self._rows,
                "dataset_to_index": self._rows + rows,
                **places,
                **{f"stats/{key}/{name}": each.tolist() for key, by in found.items() for name, each in by.items()},
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
            }
        )
        self._statistics.append(found)
        self._rows += rows

    def _seen(self, key: str, rows: int, frames: Frames, looked_at: list[ndarray]) -> Iterator[ndarray]:
        """Iterate over the frames of a camera, count them, and keep those that statistics are of."""
        kept, count = sampled(rows), 0
        for count, frame in enumerate(frames, start=1):
            self._shapes.setdefault(key, (frame.shape[0], frame.shape[1]))
            if count - 1 in kept:
                looked_at.append(thinned(frame))
            yield np.ascontiguousarray(frame)
        if count != rows:
            raise ValueError(
                f"{key} has {count} frames in episode {len(self._episodes)} of {rows} rows: expected one each"
            )

    def _write(self, columns: Mapping[str, ndarray], shown: Mapping[str, list[bytes]]) -> tuple[int, int]:
        """Append rows to the data, as a group of their own; return the numbers of chunk and file."""
        pa, arrays = self._pa, {}
        for key, content in shown.items():
            cells = [{"bytes": each, "path": None} for each in content]
            arrays[key] = pa.array(cells, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
        for key, values in columns.items():
            flat = pa.array(values.ravel())
            arrays[key] = flat if values.shape[1] == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
        table = pa.table(arrays)
        if self._table is not None and self._bytes >= layout.DATA_MEGABYTES * 2**20:
            self._table.close()
            self._table, self._number, self._bytes = None, self._number + 1, 0
        chunk, file = divmod(self._number, layout.FILES_PER_CHUNK)
        if self._table is None:
            path = self._folder / layout.DATA_PATH.format(chunk_index=chunk, file_index=file)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._table = pa.parquet.ParquetWriter(path, table.schema)
        self._table.write_table(table)
        self._bytes += table.nbytes
        return chunk, file

    def _finish(self) -> None:
        """Write what describes the data, and put the folder into its place."""
        if not self._episodes:
            raise ValueError("a LeRobot dataset needs at least one episode")
        for track in self._tracks.values():
            track.close()
        self._table.close()
        pa, folder = self._pa, self._folder
        episodes = folder / layout.EPISODES_PATH.format(chunk_index=0, file_index=0)
        episodes.parent.mkdir(parents=True)
        pa.parquet.write_table(pa.Table.from_pylist(self._episodes), episodes)
        pa.parquet.write_table(_tasks(pa, list(self._tasks)), folder / layout.TASKS)
        keys = self._statistics[0]
        total = {key: merged([each[key] for each in self._statistics]) for key in keys}
        _write_json(folder / layout.STATS, {key: {name: v.tolist() for name, v in total[key].items()} for key in total})
        _write_json(folder / layout.INFO, self._info())
        folder.chmod(0o755)  # mkdtemp makes folders that only their owner can read
        folder.rename(self._out)

    def attach(self, name: str, content: Mapping[str, Any]) -> None:
        """Put a file of JSON into the dataset's folder."""
        _write_json(self._folder / name, content)

    def _info(self) -> dict[str, Any]:
        features: dict[str, Any] = {
            key: {"dtype": each.dtype, "shape": [each.size], "names": list(each.names) or None}
            for key, each in self._columns.items()
        }
        for key in self._cameras:
            kind = {"dtype": "image" if self._lossless else "video", "shape": [*self._shapes[key], 3]}
            features[key] = kind | {"names": ["height", "width", "channels"]}
            if not self._lossless:
                features[key]["info"] = self._tracks[key].info()
        features |= {key: {"dtype": dtype, "shape": [1], "names": None} for key, dtype in layout.STANDARD.items()}
        return {
            "codebase_version": layout.VERSION,
            "fps": int(self._fps) if self._fps.is_integer() else self._fps,
            "features": features,
            "total_episodes": len(self._episodes),
            "total_frames": self._rows,
            "total_tasks": len(self._tasks),
            "chunks_size": layout.FILES_PER_CHUNK,
            "data_files_size_in_mb": layout.DATA_MEGABYTES,
            "video_files_size_in_mb": layout.VIDEO_MEGABYTES,
            "data_path": layout.DATA_PATH,
            "video_path": layout.VIDEO_PATH if self._tracks else None,
            "robot_type": None,
            "splits": {"train": f"0:{len(self._episodes)}"},
        }


def _png(frame: UInt8[ndarray, "H W 3"]) -> bytes:
    from PIL import Image  # imported here, as in the readers

    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, format="PNG")
    return stream.getvalue()


def _tasks(pa: Any, tasks: Sequence[str]) -> Any:
    """Return the table of tasks, with the index that pandas, which LeRobot reads it with, finds in the metadata."""
    kinds = {"task_index": ("int64", "int64"), "task": ("unicode", "object")}
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": stored, "metadata": None}
        for name, (kind, stored) in kinds.items()
    ]
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": pa.array(tasks, pa.string())})
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False), encoding="utf-8")
