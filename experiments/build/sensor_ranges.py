"""Sensor ranges in a model's training data, which a robot's guards take as plausible."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from worldmodel.data.logs import WORDS
from worldmodel.models.checkpoint import Checkpoint, RewardCheckpoint
from worldmodel.observation import ObservationSpec, vector

KEY = "sensor_range"  # in a checkpoint's metadata
DEVIATIONS = 10.0  # from the mean, for checkpoints of earlier versions, which lack the range


def sensor_range(rows: Float[ndarray, "N E"], spec: ObservationSpec | None = None) -> dict[str, Any]:
    """Lowest and highest value of each sensor component in the training data, for a checkpoint's metadata.

    Args:
      rows: rows of the data, in the layout of `ObservationSpec.row`.
      spec: the vector sensors; None: one vector, or none where rows are empty. Of an optional sensor, only readings
        count, and its flag has no range.
    """
    if rows.shape[1] == 0:
        return {KEY: [[], []]}
    spec = vector(rows.shape[1]) if spec is None else spec
    read, flags = spec.presence(rows), list(spec.flags.values())
    low = np.where(read, rows, np.inf).min(axis=0)
    high = np.where(read, rows, -np.inf).max(axis=0)
    unread = ~read.any(axis=0)
    low[unread], high[unread] = 0.0, 0.0
    return {KEY: [np.delete(low, flags).tolist(), np.delete(high, flags).tolist()]}


def _range_words(checkpoint: Checkpoint | RewardCheckpoint) -> dict[str, tuple[float, ...]]:
    """The contract's `sensor_low` and `sensor_high`; empty if the range is unknown.

    For a goal model of an earlier version, the range is the sensors' mean plus or minus ten standard deviations.
    """
    known = checkpoint.metadata.get(KEY)
    if known is None and isinstance(checkpoint, Checkpoint):
        normalizer = checkpoint.model.module().encoder.normalizer
        mean, std = np.asarray(normalizer.mean[...]), np.asarray(normalizer.std[...])
        known = [(mean - DEVIATIONS * std).tolist(), (mean + DEVIATIONS * std).tolist()]
    if known is None:
        return {}
    return {"sensor_low": tuple(map(float, known[0])), "sensor_high": tuple(map(float, known[1]))}


def contract_words(checkpoint: Checkpoint | RewardCheckpoint) -> dict[str, Any]:
    """The checkpoint's fields of a contract: names and units of sensors and actuators, and sensor ranges."""
    robot = checkpoint.metadata.get("task")
    names = {name: tuple(robot.get(name, ())) for name in WORDS} if isinstance(robot, dict) else {}
    if isinstance(robot, dict) and not names["sensor_units"]:
        names["sensor_units"] = _units(robot.get("observation", ()))
    return names | _camera_words(checkpoint) | _range_words(checkpoint)


def _camera_words(checkpoint: Checkpoint | RewardCheckpoint) -> dict[str, dict[str, str]]:
    """The contract's `cameras`, for a model that learned from videos; empty for others."""
    robot = checkpoint.metadata.get("task")
    cameras = robot.get("cameras") if isinstance(robot, dict) else None
    if not cameras:
        return {}
    return {
        "cameras": {
            sensor: f"{each['camera']}, {each['width']} x {each['height']} RGB: camera_picture(frame, {each['size']})"
            for sensor, each in cameras.items()
        }
    }


def _units(sensors: Any) -> tuple[str, ...]:
    """The units of all components of a task's sensors, in order; empty if any sensor lacks units."""
    units = [sensor.get("units") or [] for sensor in sensors if len(sensor.get("shape", [0])) == 1]
    return tuple(unit for each in units for unit in each) if units and all(units) else ()
