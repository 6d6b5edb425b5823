"""Description of a LeRobot dataset: `meta/info.json`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .layout import DATA_PATH, IMAGES, INFO, OBSERVATION, PICTURES, VIDEO_PATH

_CONVERTER = "python -m lerobot.scripts.convert_dataset_v21_to_v30 --repo-id=NAME"
_DEPTH = ("is_depth_map", "video.is_depth_map")


@dataclass(frozen=True)
class Feature:
    """Column of the data, or the pictures of a camera.

    Args:
      key: its name, such as `observation.state` or `observation.images.front`.
      dtype: NumPy's name of numbers, or `video`, `image`, `string`.
      shape: of one row.
      names: of the components of a vector; empty where the dataset has none.
      is_depth: whether its pictures are distances.
    """

    key: str
    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...] = ()
    is_depth: bool = False

    @property
    def is_vector(self) -> bool:
        """Whether a row holds one list of numbers, or a single one."""
        return len(self.shape) == 1 and self.dtype in _NUMBERS

    @property
    def is_camera(self) -> bool:
        """Whether its rows are pictures of colours."""
        return self.dtype in PICTURES and not self.is_depth

    @property
    def camera(self) -> str:
        """Name of the camera: the key without `observation.images.`, as a word."""
        return re.sub(r"\W", "_", self.key.removeprefix(IMAGES).removeprefix(OBSERVATION))


_NUMBERS = {*(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float16", "float32", "float64"}
_NUMBERS.add("bool")


@dataclass(frozen=True)
class Info:
    """Content of `meta/info.json`, as far as it is used."""

    path: Path
    fps: float
    features: Mapping[str, Feature]
    data_path: str
    video_path: str | None
    episodes: int
    rows: int


def is_lerobot(folder: Path) -> bool:
    """Whether a folder holds a LeRobot dataset, of any version."""
    return (folder / INFO).is_file()


def read_info(folder: Path) -> Info:
    """Read the description of a dataset.

    Raises:
      ValueError: it is damaged, or of a version that is not read.
    """
    path = folder / INFO
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}): take an intact copy of the dataset") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must be an object: take an intact copy of the dataset")
    _check_version(path, values.get("codebase_version"))
    fps: Any = values.get("fps")
    if type(fps) not in (int, float) or not 0 < fps < math.inf:
        raise ValueError(f"{path}: fps must be a positive number; got {fps!r:.40}")
    given = values.get("features")
    if not isinstance(given, dict) or not given:
        raise ValueError(f"{path}: features must be an object by name; got {given!r:.40}")
    counts: dict[str, Any] = {name: values.get(name) for name in ("total_episodes", "total_frames")}
    for name, count in counts.items():
        if type(count) is not int or count < 0:
            raise ValueError(f"{path}: {name} must be a whole number; got {count!r:.40}")
    paths = {"data_path": values.get("data_path") or DATA_PATH, "video_path": values.get("video_path", VIDEO_PATH)}
    for name, template in paths.items():
        if not isinstance(template, str | None):
            raise ValueError(f"{path}: {name} must be a path with places for numbers; got {template!r:.40}")
    return Info(
        path,
        float(fps),
        {key: _feature(path, key, each) for key, each in given.items()},
        episodes=values["total_episodes"],
        rows=values["total_frames"],
        **paths,
    )


def _check_version(path: Path, version: Any) -> None:
    found = re.match(r"v?(\d+)\.", version) if isinstance(version, str) else None
    major = int(found[1]) if found else 0
    if major == 3:
        return
    if major in (1, 2):
        raise ValueError(
            f"{path} is of LeRobot's version {version}, and v3 is read: convert it with lerobot's own converter "
            f"(`{_CONVERTER}`)"
        )
    raise ValueError(
        f"{path} has codebase_version {version!r:.40}, and v3 is read: save the dataset in that version with lerobot, "
        "or update jepa-mpc"
    )


def _feature(path: Path, key: str, values: Any) -> Feature:
    """Return a feature; its names are a list, or a list in an object such as `{"motors": [...]}`."""
    shape: Any = values.get("shape") if isinstance(values, dict) else None
    sizes = isinstance(shape, list) and all(type(size) is int and size > 0 for size in shape)
    if not sizes or not isinstance(values.get("dtype"), str):
        raise ValueError(f"{path}: the feature {key} needs a dtype and a shape of whole numbers; got {values!r:.80}")
    names = values.get("names")
    if isinstance(names, dict):
        names = next((each for each in names.values() if isinstance(each, list)), None)
    listed = isinstance(names, list) and len(names) == np.prod(shape) and all(isinstance(name, str) for name in names)
    kinds = [each for each in (values.get("info"), values.get("video_info")) if isinstance(each, dict)]
    depth = any(each.get(name) for each in kinds for name in _DEPTH)
    return Feature(key, values["dtype"], tuple(shape), tuple(names) if listed else (), depth)
