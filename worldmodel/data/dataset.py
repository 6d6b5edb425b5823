"""Datasets read into memory: Minari datasets, LeRobot datasets, and a robot's own logs.

Any Minari dataset can be read whose actions are a one-dimensional Box and whose observations are also one, or a Dict of
Boxes: one entry per sensor. Pixels stay uint8.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from ..observation import PRESENT, ObservationSpec
from .episodes import EpisodeData
from .float32 import Float32Columns, as_float32
from .frame_cache import FrameCache
from .lerobot.info import is_lerobot
from .lerobot.read import load_lerobot
from .log_dataset import Progress, holds_clips, load_clips, load_logs
from .logs import DESCRIPTION
from .stored_episodes import stored_episodes

logger = logging.getLogger(__name__)


def load(
    path: str | Path,
    rewards: bool = False,
    *,
    picture_size: int = 64,
    on_progress: Progress | None = None,
    clips: bool = False,
    control_period: float | None = None,
) -> EpisodeData:
    """Read a Minari dataset (a folder, or an id in Minari's store), a LeRobot dataset, or a folder of a robot's logs.

    Positions in the logs take the place of simulator states. Actions that were not recorded are NaN.

    Args:
      path: the folder or id.
      rewards: whether to read rewards and terminations as well.
      picture_size: width and height of the pictures made from the videos of logs; those of Minari stay as they are.
      on_progress: called with the number of videos of logs that are decoded, and of all of them.
      clips: whether videos without a log are episodes as well, of which no action is known.
      control_period: seconds between two moments of a folder of nothing but videos; None: the interval of the frames.

    Raises:
      FileNotFoundError: no dataset there.
      ImportError: a package that reads the data is not installed.
      ValueError: unsupported spaces, no steps, parts of an episode that differ in length or a value that is
        not finite (the episode is named), or no rewards where they were requested.
    """
    foreign = is_lerobot(Path(path))
    if foreign or (Path(path) / DESCRIPTION).is_file():
        if rewards:
            raise ValueError(f"{path} holds a robot's logs, which have no rewards: give a Minari dataset with rewards")
        if foreign:
            return load_lerobot(Path(path), picture_size, on_progress)
        return load_logs(Path(path), picture_size, on_progress, clips)
    if not _is_minari(Path(path)) and holds_clips(Path(path)):
        if not clips:
            raise ValueError(
                f"{path} holds videos and no log of what was done: add method=video, which learns without actions, or "
                f"write {DESCRIPTION} and a log for each video (docs/own_logs.md)"
            )
        return load_clips(Path(path), picture_size, control_period, on_progress)
    dataset = open_minari(path)
    spec, episodes = _spec(dataset), []
    cache = _frame_cache(dataset, spec) if spec.pictures else None
    decode = cache is not None and not cache.is_complete
    columns = {
        sensor.name: Float32Columns("sensor" if len(spec.sensors) == 1 else f"sensor {sensor.name}, component")
        for sensor in spec.sensors
        if sensor.is_vector
    }
    with contextlib.nullcontext() if cache is None else cache.filling():
        for episode in _read(path, dataset, rewards, decode):
            if len(episode.actions) == 0:
                logger.warning("dataset %s: episode %d is empty and was left out", path, episode.id)
                continue
            _check_sizes(path, episode, dataset, spec, decode)
            if cache is not None and decode:
                cache.append(_readings(episode, dataset))
            episodes.append(_checked(path, episode, spec, columns, rewards))
        if not episodes:
            raise ValueError(f"dataset {path}: it holds no episode with a step")
        if cache is not None and decode:
            cache.finish()
    for each in columns.values():
        each.warn(path)
    data = EpisodeData.of(
        [each["observations"] for each in episodes],
        [each["actions"] for each in episodes],
        (dataset.action_space.low, dataset.action_space.high),
        states=[each["state"] for each in episodes if "state" in each],
        metadata=dict(dataset.storage.metadata),
        names=[each["name"] for each in episodes],
        spec=spec,
        frames={} if cache is None else cache.frames(),
    )
    if not rewards:
        return data
    return replace(  # padded for each episode's last observation, as actions are
        data,
        rewards=np.concatenate([np.append(each["rewards"], np.float32(0.0)) for each in episodes]),
        terminated=np.concatenate([np.append(each["terminated"], False) for each in episodes]),
    )


_REWARDS = ("rewards", "terminated")


def _frame_cache(dataset: Any, spec: ObservationSpec) -> FrameCache:
    """Return the cache of a dataset's pictures, which is renewed where the dataset has changed."""
    folder = Path(dataset.storage.data_path)
    files = sorted(file for file in folder.iterdir() if file.is_file())
    stamps = {file.name: [file.stat().st_size, file.stat().st_mtime_ns] for file in files}
    return FrameCache(folder, spec, {"files": stamps, "sensors": spec.to_json()})


def _read(path: str | Path, dataset: Any, rewards: bool, pictures: bool) -> Iterator[Any]:
    """Iterate over the episodes of a Minari dataset."""
    episodes = stored_episodes(dataset, rewards, pictures)
    while True:
        try:
            episode = next(episodes)
        except StopIteration:
            return
        except Exception as error:  # h5py and pyarrow raise various errors on a truncated or altered file
            raise ValueError(f"dataset {path} is damaged ({_one_line(error)}): take an intact copy") from error
        yield episode


def _spec(dataset: Any) -> ObservationSpec:
    """Return the sensors of a Minari dataset: as its task describes them, or else from its space."""
    boxes = _boxes(dataset.observation_space)
    spec = ObservationSpec.of_arrays({name: (box.shape, box.dtype) for name, box in boxes.items()})
    try:
        described = ObservationSpec.from_json(
            [
                {key: each[key] for key in ("name", "shape", "dtype", "period", "interpolates", "optional")}
                | {"symmetry": each.get("symmetry", 1)}
                for each in json.loads(dataset.storage.metadata["task"])["observation"]
            ]
        )
    except (KeyError, TypeError, ValueError):  # metadata from another program or an earlier version
        return spec
    # In the task's order: Minari returns a space with its keys sorted.
    same = {(each.name, each.shape, each.dtype, each.optional) for each in spec.sensors}
    return described if {(s.name, s.shape, s.dtype, s.optional) for s in described.sensors} == same else spec


def _boxes(space: Any) -> dict[str, Any]:
    """Return a Box by sensor; a space that is a Box becomes the sensor `state`, or `pixels` for an image."""
    if hasattr(space, "spaces"):
        return dict(space.spaces)
    return {"state" if len(space.shape) == 1 else "pixels": space}


def _readings(episode: Any, dataset: Any) -> dict[str, ndarray]:
    """Return an episode's observations by sensor."""
    found = episode.observations
    if not isinstance(found, dict):
        found = dict.fromkeys(_boxes(dataset.observation_space), found)
    return {name: np.asarray(values) for name, values in found.items()}


def _check_sizes(path: str | Path, episode: Any, dataset: Any, spec: ObservationSpec, pictures: bool) -> None:
    """Raise ValueError where an episode's arrays do not match the dataset's spaces."""
    boxes = _boxes(dataset.observation_space)
    found = _readings(episode, dataset)
    missing = {sensor.name for sensor in spec.sensors if pictures or sensor.is_vector} - set(found)
    if missing:
        raise ValueError(f"dataset {path}: episode {episode.id} has no readings of the sensor {sorted(missing)[0]}")
    for noun, values, space in (
        *(
            ("observations" if len(boxes) == 1 else f"observations of {name}", values, boxes.get(name))
            for name, values in found.items()
        ),
        ("actions", np.asarray(episode.actions), dataset.action_space),
    ):
        if space is None or values.shape[1:] != space.shape or values.ndim < 2 or values.dtype.kind not in "fiub":
            expected = "none" if space is None else f"{space.shape[0]} a row" if len(space.shape) == 1 else space.shape
            raise ValueError(
                f"dataset {path}: episode {episode.id} has {noun} {values.shape} of the type {values.dtype}; expected "
                f"numbers, {expected}"
            )


def _one_line(error: Exception) -> str:
    """Return another library's error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _checked(
    path: str | Path, episode: Any, spec: ObservationSpec, columns: dict[str, Float32Columns], rewards: bool
) -> dict[str, Any]:
    """Return one episode's arrays by name, and the episode's name; `observations` by sensor."""
    name = f"episode {episode.id}"
    given = episode.observations
    if not isinstance(given, dict):
        given = {spec.sensors[0].name: given}
    observations: dict[str, ndarray] = {}
    for sensor in spec.sensors:
        if sensor.is_vector:
            observations[sensor.name] = columns[sensor.name].cast(np.asarray(given[sensor.name]), name)
        if sensor.optional:
            observations[sensor.name + PRESENT] = np.asarray(given[sensor.name + PRESENT], np.uint8)
    parts: dict[str, Any] = {"actions": as_float32(np.asarray(episode.actions))}
    act = parts["actions"]
    for sensor_name, obs in (given | observations).items():
        if len(obs) != len(act) + 1:
            noun = "observations" if len(spec.sensors) == 1 else f"observations of {sensor_name}"
            raise ValueError(
                f"dataset {path}: {name} has {len(obs)} {noun} for {len(act)} actions; expected one more observation "
                "than actions"
            )
    if rewards:
        parts |= {
            "rewards": as_float32(np.asarray(episode.rewards)),
            "terminated": np.asarray(episode.terminations, bool),
        }
        for noun in _REWARDS:
            if parts[noun].shape != (len(act),):
                raise ValueError(
                    f"dataset {path}: {name} has {noun} {parts[noun].shape} for {len(act)} actions; expected one each"
                )
    state = (episode.infos or {}).get("state")
    if state is not None and len(state) == len(act) + 1:
        parts["state"] = np.asarray(state)
    nouns = {name_: "observations" if len(spec.sensors) == 1 else f"sensor {name_}" for name_ in observations}
    for noun, values in [*((nouns[name_], values) for name_, values in observations.items()), *parts.items()]:
        usable = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if noun == "actions" and not rewards:  # one that is missing as a whole was not recorded
            usable |= np.isnan(values).all(axis=1)
        if not usable.all():
            step = int((~usable).argmax())
            others = "; method=video learns without actions and rewards" if noun == "actions" else ""
            raise ValueError(
                f"dataset {path}: {name} has a non-finite value in its {_NOUNS.get(noun, noun)} at step {step}: leave "
                f"the episode out, or cut it there{others}"
            )
    return {**parts, "observations": observations, "name": name}


_NOUNS = {"state": "simulator states"}


def open_minari(path: str | Path) -> Any:
    """Open the Minari dataset in a folder, or of an id.

    Raises:
      FileNotFoundError: no dataset there.
      ValueError: not a readable dataset, or unsupported spaces.
    """
    import minari  # imported here: reading data is the only use, and planning with a model should not need it
    from gymnasium.spaces import Box, Dict

    dataset = _open(path, minari)
    seen, acted = dataset.observation_space, dataset.action_space
    if not isinstance(acted, Box) or len(acted.shape) != 1:
        raise ValueError(f"dataset {path}: its action space is {acted}; expected a one-dimensional Box")
    boxes = list(seen.spaces.values()) if isinstance(seen, Dict) else [seen]
    for box in boxes:
        if not isinstance(box, Box) or not (len(box.shape) == 1 or box.dtype == np.uint8):
            raise ValueError(
                f"dataset {path}: its observation space is {seen}; expected a one-dimensional Box, a Box of uint8 "
                "pixels, or a Dict of such"
            )
    return dataset


def _is_minari(folder: Path) -> bool:
    return any((folder / each / "metadata.json").is_file() for each in (".", "data"))


def _open(path: str | Path, minari: Any) -> Any:
    folder = Path(path).resolve()  # Minari doubles a relative path
    if folder.is_dir() and any(any(folder.glob(each)) for each in ("*.npz", "*.csv", "*/*.npz", "*/*.csv")):
        raise ValueError(f"{path} has logs and no {DESCRIPTION} next to them: docs/own_logs.md describes it")
    if folder.exists():
        data = folder / "data" if (folder / "data").is_dir() else folder
        try:
            return minari.MinariDataset(str(data))
        except Exception as error:  # on another kind of folder, Minari raises whatever its storage backends raise
            raise ValueError(f"{path} is not a readable Minari dataset ({_one_line(error)})") from error
    try:
        return minari.load_dataset(str(path))
    except (ValueError, FileNotFoundError, OSError) as error:
        raise FileNotFoundError(
            f"there is no dataset at {path}: give the folder that `jepa-mpc collect` wrote, "
            "or the id of a Minari dataset"
        ) from error
