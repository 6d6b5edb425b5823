"""The order of a picture's channels, judged by the mean picture of the training data.

Blue for red cannot be read from a shape. It can be read from what is always in the picture: where the mean picture has
a colour, a picture with its channels reversed is far from it, and near it once they are reversed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np
from numpy import ndarray

from .embedding import Embed, embedding
from .interface import Engine
from .readings import Fault, Kind, Reading

PREFIX = "mean_picture/"  # of the tensors in a bundle
COLOUR = 8.0  # least difference between the outer channels of a mean pixel that has a colour, of 255
BETTER = 4.0  # times smaller: the squared difference of a pixel that fits one order clearly better than the other
FEWEST = 32  # pixels that fit the reverse order clearly better: with fewer, nothing is said
SHARE = 0.8  # of the pixels that fit one of the two clearly better


def reversed_channels(pictures: Mapping[str, ndarray], means: Mapping[str, ndarray]) -> Fault | None:
    """Return the fault of the first picture whose channels are in reverse order, if there is one.

    Args:
      pictures: by sensor, uint8 [H, W, 3].
      means: by sensor, the mean picture of the training data [H, W, 3]; a sensor without one is not judged.
    """
    for name, picture in pictures.items():
        mean = means.get(name)
        if mean is None or mean.shape != picture.shape or picture.ndim != 3 or picture.shape[-1] != 3:
            continue
        expected = np.asarray(mean, np.float32)
        coloured = np.abs(expected[..., 0] - expected[..., 2]) >= COLOUR
        expected, seen = expected[coloured], picture[coloured].astype(np.float32)
        given = np.square(seen - expected).sum(axis=-1)
        turned = np.square(seen[:, ::-1] - expected).sum(axis=-1)
        wrong, right = np.count_nonzero(given > BETTER * turned), np.count_nonzero(turned > BETTER * given)
        if wrong >= max(FEWEST, SHARE * (wrong + right)):
            return Fault(
                Kind.IMPLAUSIBLE,
                f"the picture of the sensor {name} fits the training data with its channels reversed alone: it is BGR "
                "where the model has learned RGB, or the other way round; give picture[..., ::-1]",
            )
    return None


@final
class ChannelOrder:
    """Judges pictures until each sensor has passed once: a camera does not change its order while it runs.

    Args:
      means: by sensor, the mean picture of the training data.
    """

    def __init__(self, means: Mapping[str, ndarray]):
        self._open = dict(means)

    def fault(self, pictures: Mapping[str, ndarray]) -> Fault | None:
        """Return the fault of a picture, if there is one."""
        if not self._open or not pictures:
            return None
        fault = reversed_channels(pictures, self._open)
        if fault is None:
            for name in pictures:
                self._open.pop(name, None)
        return fault


def for_goals(embed: Embed, means: Mapping[str, ndarray]) -> Embed:
    """Return `embed` for goals: it raises ValueError on a picture whose channels are reversed."""
    if not means:
        return embed

    def checked(others: Mapping[str, ndarray], row: ndarray) -> ndarray:
        if (fault := reversed_channels(others, means)) is not None:
            raise ValueError(fault.sentence)
        return embed(others, row)

    return checked


@final
class Eye:
    """Embeds the observations and goals of an engine, and refuses pictures whose channels are reversed."""

    def __init__(self, engine: Engine):
        self._embed, self._order = embedding(engine), ChannelOrder(engine.mean_pictures)
        self.goal = for_goals(self._embed, engine.mean_pictures)

    def moment(self, reading: Reading) -> ndarray:
        """Return an observation's row [E].

        Raises:
          ValueError: the channels of a picture are reversed.
        """
        if (fault := self._order.fault(reading.others)) is not None:
            raise ValueError(fault.sentence)
        return self._embed(reading.others, reading.row)


def for_bundle(means: Mapping[str, ndarray]) -> dict[str, ndarray]:
    """Return the tensors that a bundle keeps, `extra` of it: rounded, since a pixel's colour needs no more."""
    return {f"{PREFIX}{name}": np.round(mean).clip(0, 255).astype(np.uint8) for name, mean in means.items()}


def of_bundle(extra: Mapping[str, ndarray]) -> dict[str, ndarray]:
    """Return the mean pictures among a bundle's tensors."""
    return {name.removeprefix(PREFIX): mean for name, mean in extra.items() if name.startswith(PREFIX)}
