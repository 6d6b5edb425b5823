"""Episodes with rewards, read from a Minari dataset: what learning from rewards may begin with."""

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
    """T decisions in a row."""

    actions: Float[ndarray, "T A"]  # in raw units
    observations: Float[ndarray, "T+1 O"]
    rewards: Float[ndarray, "T"]
    terminated: Bool[ndarray, "T"]  # whether a decision ended the episode for good


def load_rewards(path: str | Path) -> list[RewardEpisode]:
    """All episodes of a Minari dataset (a folder, or an id in Minari's own store) that have a step.

    Raises:
      FileNotFoundError: no dataset there.
      ValueError: what `load` refuses.
    """
    return reward_episodes(load(path, rewards=True))


def reward_episodes(data: EpisodeData) -> list[RewardEpisode]:
    """The episodes of data that were read with their rewards.

    Raises:
      ValueError: they were read without.
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
