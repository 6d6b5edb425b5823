"""Surprise calibrated on held-out episodes of a dataset, for a bundle that brings its own alarm along."""

from __future__ import annotations

from numpy import ndarray

from planning.control import LiveEngine, Surprise
from planning.control.surprise import calibrate
from worldmodel.dataset import EpisodeData


def episodes(data: EpisodeData, most: int) -> list[tuple[ndarray, ndarray]]:
    """At most so many episodes, the last ones: observations [L + 1, O] and actions [L, A] of each."""
    firsts = sorted(set(data.first.tolist()))[-most:]
    found = []
    for first in firsts:
        last = int(data.last[first])
        found.append((data.observations[first : last + 1], data.actions[first:last]))
    return found


def calibrated(
    engine: LiveEngine, data: EpisodeData, alarms_a_minute: float = 1.0, most: int = 200, seed: int = 0
) -> Surprise:
    """The surprise of `engine` on a dataset that its model was not trained on.

    Raises:
      ValueError: the dataset is too small.
    """
    rate = alarms_a_minute * engine.contract.control_period / 60
    return calibrate(engine, episodes(data, most), rate, seed)
