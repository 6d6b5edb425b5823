"""The range of each sensor that a model was trained on: what a robot's guards take for plausible."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from worldmodel.data.logs import WORDS
from worldmodel.models.checkpoint import Checkpoint, RewardCheckpoint

KEY = "sensor_range"  # in a checkpoint's metadata
DEVIATIONS = 10.0  # from the mean, where a checkpoint of an earlier version does not hold the range


def sensor_range(observations: Float[ndarray, "N O"]) -> dict[str, Any]:
    """What a checkpoint's metadata keep of the training data: lowest and highest value of each sensor."""
    return {KEY: [observations.min(axis=0).tolist(), observations.max(axis=0).tolist()]}


def _range_words(checkpoint: Checkpoint | RewardCheckpoint) -> dict[str, tuple[float, ...]]:
    """The contract's `sensor_low` and `sensor_high`; nothing where the range is not known.

    A model for goals of an earlier version keeps mean and standard deviation of its sensors: ten of these either way.
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
    """What a checkpoint adds to a contract: names and units of sensors and actuators, and the sensors' ranges."""
    robot = checkpoint.metadata["task"]
    names = {name: tuple(robot.get(name, ())) for name in WORDS} if isinstance(robot, dict) else {}
    return names | _range_words(checkpoint)
