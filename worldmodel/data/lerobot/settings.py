"""Choice of a LeRobot dataset's features: `dataset.json` beside `meta/`, or what the format's names say."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..logs import DESCRIPTION, UNKNOWN, are_words
from .info import Feature, Info
from .layout import ACTION, OBSERVATION, STATE

logger = logging.getLogger(__name__)

_LISTS = ("sensors", "actuators", "positions", "cameras", "sensor_units", "action_units")
_FIELDS = ("task", "action_low", "action_high", *_LISTS)


@dataclass(frozen=True)
class Settings:
    """Features that a dataset is read as. Vectors of several features are joined in order."""

    task: str
    sensors: tuple[Feature, ...]
    actuators: tuple[Feature, ...]  # none: the actions were not recorded
    positions: tuple[Feature, ...]
    cameras: tuple[Feature, ...]
    sensor_units: list[str]
    action_units: list[str]
    bounds: tuple[list[float], list[float]] | None  # of the actions; None: those of the data

    @property
    def vectors(self) -> list[Feature]:
        """Every feature whose numbers are read."""
        return [*self.sensors, *self.actuators, *self.positions]

    def for_logs(self, period: float, bounds: tuple[list[float], list[float]]) -> dict[str, Any]:
        """Return the settings in the form that logs are read with.

        Args:
          period: control period, in seconds.
          bounds: of the actions.
        """
        return {
            "task": self.task,
            "control_period": period,
            "action_low": bounds[0],
            "action_high": bounds[1],
            "sensors": _components(self.sensors),
            "sensor_units": self.sensor_units,
            "actuators": _components(self.actuators) if self.actuators else [UNKNOWN],
            "action_units": self.action_units,
            "positions": _components(self.positions),
            "cameras": [each.camera for each in self.cameras],
        }


def size_of(features: Sequence[Feature]) -> int:
    """Return the numbers in a row of vectors, joined."""
    return sum(each.shape[0] for each in features)


def read_settings(folder: Path, info: Info) -> Settings:
    """Choose the features of a dataset.

    Without `dataset.json`: `observation.state`, or every vector whose name begins with `observation.` where that is
    missing; `action`; every camera.

    Raises:
      ValueError: `dataset.json` is not valid, names a feature that is missing or of another kind; or nothing is left.
    """
    path = folder / DESCRIPTION
    values = _read(path) if path.is_file() else {}
    known = info.features
    usual = [STATE] if STATE in known else [key for key, each in known.items() if _is_sensor(each)]
    keys: dict[str, list[str]] = {
        "sensors": values.get("sensors", usual),
        "actuators": values.get("actuators", [ACTION] if ACTION in known else []),
        "positions": values.get("positions", []),
        "cameras": values.get("cameras", [key for key, each in known.items() if each.is_camera]),
    }
    if left := [key for key, each in known.items() if each.is_depth and "cameras" not in values]:
        logger.warning("%s: the camera %s measures depth and was left out", folder, left[0])
    chosen = {kind: tuple(_found(path, info, kind, key) for key in named) for kind, named in keys.items()}
    cameras = [each.camera for each in chosen["cameras"]]
    if len(set(cameras)) < len(cameras):
        raise ValueError(f"{info.path} has cameras whose names are alike as words ({', '.join(cameras)}): rename one")
    if not chosen["sensors"] and not cameras:
        raise ValueError(f"{info.path} has no observation of numbers and no camera: name features as sensors in {path}")
    size = size_of(chosen["actuators"])
    for words, count in (("sensor_units", size_of(chosen["sensors"])), ("action_units", size)):
        if len(values.get(words, [])) not in (0, count):
            raise ValueError(f"{path}: {words} has {len(values[words])} words for {count} numbers")
    return Settings(
        str(values.get("task", "custom")),
        **chosen,
        sensor_units=values.get("sensor_units", []),
        action_units=values.get("action_units", []),
        bounds=_bounds(path, values, size) if size else ([-1.0], [1.0]),
    )


def _is_sensor(feature: Feature) -> bool:
    return feature.key.startswith(OBSERVATION) and feature.is_vector


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}): see docs/lerobot.md") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must be an object: see docs/lerobot.md")
    if unknown := sorted(set(values) - {*_FIELDS}):
        raise ValueError(
            f"{path} has the field {unknown[0]}: beside a LeRobot dataset it may have {', '.join(_FIELDS)}"
        )
    for name in _LISTS:
        if not are_words(values.get(name, [])):
            raise ValueError(f"{path}: {name} must be a list of strings")
    if not isinstance(values.get("task", "custom"), str) or values.get("task") == "":
        raise ValueError(f"{path}: task must be a string")
    return values


def _found(path: Path, info: Info, kind: str, key: str) -> Feature:
    """Return a feature that was named, by its key; a camera by its own name, too."""
    known = info.features
    named = [each for each in known.values() if kind == "cameras" and each.is_camera and each.camera == key]
    feature = known.get(key) or next(iter(named), None)
    if feature is None:
        usable = [name for name, each in known.items() if (each.is_camera if kind == "cameras" else each.is_vector)]
        raise ValueError(f"{path} has {key!r} among its {kind}, and {info.path} has only {', '.join(usable) or 'none'}")
    if not (feature.is_camera if kind == "cameras" else feature.is_vector):
        what = "a camera of colours" if kind == "cameras" else "one list of numbers a row"
        raise ValueError(
            f"{info.path} has {feature.dtype} of the shape {list(feature.shape)} as {key}, and {kind} are {what}: "
            f"leave it out in {path}"
        )
    return feature


def _bounds(path: Path, values: dict[str, Any], size: int) -> tuple[list[float], list[float]] | None:
    given = [values.get(name) for name in ("action_low", "action_high")]
    if given == [None, None]:
        return None
    try:
        low, high = (np.asarray(each, np.float32) for each in given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: action_low and action_high must be lists of numbers") from error
    if low.shape != (size,) or high.shape != (size,) or not np.isfinite([low, high]).all() or (low > high).any():
        raise ValueError(f"{path}: action_low and action_high must be {size} finite numbers each, in this order")
    return low.tolist(), high.tolist()


def _components(features: Sequence[Feature]) -> list[str]:
    """Return a name for each number; none where no feature has names."""
    if not any(each.names for each in features):
        return []
    return [
        name
        for each in features
        for name in (each.names or [f"{each.key.rpartition('.')[2]}_{number}" for number in range(each.shape[0])])
    ]
