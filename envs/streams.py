"""Random streams by name, so that data, evaluation and tests never share an episode, whatever their seed."""

from __future__ import annotations

import numpy as np

_STREAMS = {"collect": 0, "evaluate": 1, "random_policy": 2, "validate": 3, "sense": 4, "sense_ahead": 5, "select": 6}


def stream(name: str) -> int:
    """Number of a named stream: collect, evaluate, random_policy, validate, sense, sense_ahead or select.

    Raises:
      ValueError: an unknown name.
    """
    if name not in _STREAMS:
        raise ValueError(f"there is no random stream {name!r}: the streams are {', '.join(_STREAMS)}")
    return _STREAMS[name]


def episode_rng(seed: int, name: str, episode: int) -> np.random.Generator:
    """Generator of one episode, independent of workers and batches."""
    return np.random.default_rng([seed, stream(name), episode])
