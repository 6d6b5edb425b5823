"""Episodes with rewards, read from a Minari dataset: what learning from rewards may begin with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from .dataset import open_minari


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
      ValueError: spaces other than one-dimensional Boxes, no step at all, or a value that is not finite (the episode is
        named).
    """
    episodes = []
    for episode in open_minari(path).iterate_episodes():
        parts = {
            "observations": np.asarray(episode.observations, np.float32),
            "actions": np.asarray(episode.actions, np.float32),
            "rewards": np.asarray(episode.rewards, np.float32),
        }
        for name, values in parts.items():
            if not np.isfinite(values).all():
                step = int(np.argwhere(~np.isfinite(values))[0][0])
                raise ValueError(
                    f"dataset {path}: episode {episode.id} has a non-finite value in its {name} at step {step}: "
                    "leave the episode out, or cut it there"
                )
        if len(parts["actions"]):
            episodes.append(RewardEpisode(**parts, terminated=np.asarray(episode.terminations, bool)))
    if not episodes:
        raise ValueError(f"dataset {path}: it holds no episode with a step")
    return episodes
