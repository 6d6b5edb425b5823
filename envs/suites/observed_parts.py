"""Observation spaces of Gymnasium as vector sensors: dictionaries, tuples and codes, however they are nested.

A Box of any shape is a vector of its values, a Discrete or MultiDiscrete a one-hot code, a MultiBinary its flags, as
Gymnasium's own `spaces.utils.flatten` has it. An entry of a dictionary is a sensor of its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from jaxtyping import Float, Shaped
from numpy import ndarray

from ..sensors import Sensor

_CODES = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


@dataclass(frozen=True)
class Part:
    """Entry of an observation space, read as one vector."""

    path: tuple[str | int, ...]  # keys from the whole observation to the entry
    space: spaces.Space[Any]
    size: int

    @property
    def name(self) -> str:
        """Name as a sensor: the keys, joined, without a leading `observation`; `state` where there is no key."""
        keys = self.path[1:] if len(self.path) > 1 and self.path[0] == "observation" else self.path
        word = re.sub(r"\W", "_", "_".join(map(str, keys))) or "state"
        return word if word.isidentifier() else f"sensor_{word}"

    def sensor(self) -> Sensor:
        """Return the sensor."""
        return Sensor(self.name, (self.size,), interpolates=not isinstance(self.space, _CODES))

    def read(self, observation: Any) -> Float[ndarray, "_"]:
        """Return the entry of a whole observation as a vector, float64."""
        for key in self.path:
            observation = observation[key]
        if isinstance(self.space, spaces.Box):
            return np.array(observation, np.float64).ravel()
        return np.asarray(spaces.utils.flatten(self.space, observation), np.float64)


def parts(name: str, space: spaces.Space[Any]) -> list[Part]:
    """Return the vectors that an observation consists of, in the order of the space.

    Args:
      name: of the environment, for errors.
      space: of its observations.

    Raises:
      ValueError: an entry is a picture, or has no fixed number of values, or two entries have one name.
    """
    found = list(_parts(name, space, ()))
    names = [part.name for part in found]
    if twice := sorted({each for each in names if names.count(each) > 1}):
        raise ValueError(f"two entries of the observations of {name} are called {twice[0]!r}: rename one of them")
    if not found:
        raise ValueError(f"the observations of {name} are {space}, without an entry: nothing can be learned from that")
    return found


def _parts(name: str, space: spaces.Space[Any], path: tuple[str | int, ...]) -> Iterator[Part]:
    if isinstance(space, spaces.Dict):
        for key, entry in space.items():
            yield from _parts(name, entry, (*path, key))
        return
    if isinstance(space, spaces.Tuple):
        for index, entry in enumerate(space.spaces):
            yield from _parts(name, entry, (*path, index))
        return
    place = ".".join(map(str, path)) or "the observation"
    if isinstance(space, spaces.Box) and len(space.shape) > 1 and space.dtype == np.uint8:
        raise ValueError(
            f"{place} of {name} is a picture ({space.shape}), and pictures that an environment draws itself are not "
            "read: leave it out with gymnasium.wrappers.FilterObservation, and where it is a reward task on MuJoCo, "
            "take observation=pixels, which draws pictures of the model"
        )
    if not isinstance(space, (spaces.Box, *_CODES)):
        raise ValueError(
            f"{place} of {name} is {space}, which has no fixed number of values: leave it out with "
            "gymnasium.wrappers.FilterObservation, or wrap the environment so that it is a Box"
        )
    size = spaces.utils.flatdim(space)
    if size:
        yield Part(path, space, int(size))


def one_vector(entries: list[Part], observation: Any) -> Float[ndarray, "O"]:
    """Return all entries of an observation one after the other, float64."""
    return np.concatenate([part.read(observation) for part in entries])


def split(vectors: Shaped[ndarray, "... O"], entries: list[Part]) -> dict[str, ndarray]:
    """Return the values of each entry by its name, from vectors as of `one_vector`."""
    ends = np.cumsum([part.size for part in entries])
    return {part.name: vectors[..., end - part.size : end] for part, end in zip(entries, ends, strict=True)}
