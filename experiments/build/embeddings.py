"""Embeddings of many moments at once, for data and evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from worldmodel.data.episodes import EpisodeData

_TOGETHER = 1_024  # moments


@jax.jit
def _embed(model: Any, observation: Any) -> Any:
    return model.embed(model.params, observation)


def embedded(model: Any, readings: Mapping[str, ndarray]) -> Float[ndarray, "M E"]:
    """Embed moments: raw readings of vectors, and the features of pictures.

    Args:
      model: a frozen world model.
      readings: by sensor, `[M, *shape]` each.
    """
    total = len(next(iter(readings.values())))
    parts = [
        np.asarray(
            _embed(model, {name: np.asarray(each[begin : begin + _TOGETHER]) for name, each in readings.items()})
        )
        for begin in range(0, total, _TOGETHER)
    ]
    return np.concatenate(parts)


def mean_pictures(model: Any) -> dict[str, Float[ndarray, "H W C"]]:
    """Return the mean picture of the training data by sensor, from a frozen goal model; empty where it sees none."""
    if model.observation.is_vectors:
        return {}
    return {name: np.asarray(encoder.mean[...]) for name, encoder in model.module().pictures.items()}


def data_rows(model: Any, data: EpisodeData) -> Float[ndarray, "M E"]:
    """Embeddings of all moments of a dataset; raw rows where every sensor is a vector."""
    return data.observations if data.spec.is_vectors else embedded(model, data.readings)
