"""Conversion of one moment's readings to its row, where a sensor is not a vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy import ndarray

from ...observation import PRESENT, ObservationSpec
from .interface import Engine

Embed = Callable[[Mapping[str, ndarray], ndarray], ndarray]  # other readings and the row of vectors, to the whole row


def no_embedding(others: Mapping[str, ndarray], row: ndarray) -> ndarray:
    """Return the row of sensors that are all vectors: it is the embedding."""
    return row


def readings_of(row: ndarray, others: Mapping[str, ndarray], spec: ObservationSpec) -> dict[str, ndarray]:
    """Return the arguments of an engine's `embed`: the vectors in a row [E], the other readings, and all flags."""
    found: dict[str, ndarray] = {}
    for sensor in spec.sensors:
        place = spec.slices[sensor.name]
        if sensor.is_vector:
            found[sensor.name] = row[place]
        else:
            found[sensor.name] = others.get(sensor.name, np.zeros(sensor.shape, sensor.dtype))
        if sensor.optional:
            found[sensor.name + PRESENT] = row[place.stop : place.stop + 1]
    return found


def embedding(engine: Engine) -> Embed:
    """Return the function that makes rows with an engine: its `embed`, or none where every sensor is a vector."""
    spec = engine.contract.observation

    def embed(others: Mapping[str, ndarray], row: ndarray) -> ndarray:
        return engine.embed(readings_of(row, others, spec))

    return no_embedding if spec.is_vectors else embed
