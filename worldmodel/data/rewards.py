"""Episodes with rewards, read from a Minari dataset: initial data for learning from rewards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from .dataset import load
from .episodes import EpisodeData


@dataclass(frozen=True, eq=False)
class RewardEpisode:
    """T consecutive decisions."""

    actions: Float[ndarray, "T A"]  # in raw units
    observations: Float[ndarray, "T+1 O"]
    rewards: Float[ndarray, "T"]
    terminated: Bool[ndarray, "T"]  # whether a decision terminated the episode


def load_rewards(path: str | Path) -> list[RewardEpisode]:
    """Read all episodes of a Minari dataset (a folder, or an id in Minari's own store) that have a step.

    Raises:
      FileNotFoundError: no dataset there.
      ValueError: as `load`.
    """
    return reward_episodes(load(path, rewards=True))


def reward_episodes(data: EpisodeData) -> list[RewardEpisode]:
    """Return the episodes of data that were read with their rewards.

    Raises:
      ValueError: they were read without rewards.
    """
    if data.rewards is None or data.terminated is None:
        raise ValueError("these data were read without rewards: load(path, rewards=True)")
    episodes = []
    for first in np.unique(data.first).tolist():
        last = int(data.last[first])
        steps = slice(first, last)
        episodes.append(
            RewardEpisode(
                actions=data.actions[steps],
                observations=data.observations[first : last + 1],
                rewards=data.rewards[steps],
                terminated=data.terminated[steps],
            )
        )
    return episodes
