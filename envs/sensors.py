"""Sensors of a task: an ordered tuple, and the observations and spaces that follow from it.

A task with a single sensor that is a vector and never missing returns plain arrays. Others return dictionaries of
arrays in the order of the sensors; each optional sensor comes with `<name>_present`, 1 where it was read and 0 where it
is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

import gymnasium.spaces
import numpy as np
from jaxtyping import Bool
from numpy import ndarray

Observation: TypeAlias = ndarray | dict[str, ndarray]  # leading batch axes [...] on every array
Mask: TypeAlias = ndarray | dict[str, ndarray]  # bool, of the shapes of one observation, without `_present` keys

PRESENT = "_present"
PIXELS = "pixels"  # name of the first camera's sensor, and of all of them where sensors are chosen


@dataclass(frozen=True)
class Sensor:
    """Sensor of a task.

    Attributes:
      name: its key in an observation.
      shape: of one reading.
      dtype: of a reading, NumPy's name.
      units: one for each component, flattened; empty where they are not known.
      period: one for each component, flattened: the period of an angle, None for what is not periodic. None: no angles.
      interpolates: whether a reading between two others lies between them; False for images and one-hot codes.
      optional: whether it may be missing at a moment. Its values are zeros then.
      symmetry: rotations of its only angle within a period that look the same, such as 4 of a square's: any of them
        solves a goal.

    Raises:
      ValueError: a name that cannot be a key, a shape that is not of positive sizes, units or periods of another
        number than the components, or a symmetry without its angle.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    units: tuple[str, ...] = ()
    period: tuple[float | None, ...] | None = None
    interpolates: bool = True
    optional: bool = False
    symmetry: int = 1

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name.endswith(PRESENT):
            raise ValueError(
                f"a sensor is called {self.name!r}, but its name must be a word without the end {PRESENT!r}"
            )
        if not all(size > 0 for size in self.shape):
            raise ValueError(f"the shape of sensor {self.name!r} is {self.shape}, but every size must be positive")
        for what, values in (("units", self.units), ("period", self.period or ())):
            if values and len(values) != self.size:
                raise ValueError(
                    f"sensor {self.name!r} has {self.size} components, but {len(values)} {what}: give one each"
                )
        if any(period is not None and not 0 < period < math.inf for period in self.period or ()):
            raise ValueError(f"the periods of sensor {self.name!r} are {self.period}: each must be positive, or None")
        angles = sum(period is not None for period in self.period or ())
        if self.symmetry != 1 and not (self.symmetry > 1 and angles == 1):
            raise ValueError(
                f"the symmetry of sensor {self.name!r} is {self.symmetry}, and it has {angles} angles: rotations that "
                "look the same are a whole number, of exactly one angle with its period"
            )

    @property
    def size(self) -> int:
        """Number of components of a reading."""
        return math.prod(self.shape)

    def describe(self) -> dict[str, Any]:
        """Return the fields as JSON, in the format that `from_json` reads; earlier versions know no symmetry of 1."""
        values = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return {key: value for key, value in values.items() if (key, value) != ("symmetry", 1)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Sensor:
        """Return the sensor that `describe` has written."""
        known: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()
        }
        return cls(**known)


@dataclass(frozen=True)
class Limit:
    """Safety limit on one component of a sensor: the true value should stay within [low, high]. None: no limit."""

    sensor: str
    component: int
    low: float | None = None
    high: float | None = None
    units: str = ""

    def describe(self) -> dict[str, Any]:
        """All fields, as JSON."""
        return asdict(self)


def plain(sensors: Sequence[Sensor]) -> bool:
    """Whether observations are plain arrays: there is a single sensor, a vector that is never missing."""
    return len(sensors) == 1 and len(sensors[0].shape) == 1 and not sensors[0].optional


def present_key(sensor: Sensor) -> str:
    """Key of the flag of an optional sensor."""
    return sensor.name + PRESENT


def observation_space(sensors: Sequence[Sensor], bounds: Mapping[str, tuple[Any, Any]]) -> gymnasium.spaces.Space[Any]:
    """Return the Gymnasium space of these sensors: a Box, or a Dict in their order.

    Args:
      sensors: in order.
      bounds: low and high of each sensor by name, numbers or arrays of its shape.

    Raises:
      ValueError: two sensors of one name.
    """
    names = [sensor.name for sensor in sensors]
    if len(set(names)) < len(names):
        raise ValueError(f"the sensors are {', '.join(names)}: each needs a name of its own")
    boxes: list[tuple[str, gymnasium.spaces.Space[Any]]] = []
    for sensor in sensors:
        dtype: Any = np.dtype(sensor.dtype)
        low, high = (np.broadcast_to(np.asarray(end, dtype), sensor.shape) for end in bounds[sensor.name])
        boxes.append((sensor.name, gymnasium.spaces.Box(low, high, sensor.shape, dtype)))
        if sensor.optional:
            boxes.append((present_key(sensor), gymnasium.spaces.Box(0, 1, (1,), np.uint8)))
    if plain(sensors):
        return boxes[0][1]
    return gymnasium.spaces.Dict(boxes)  # a list, since a dictionary would be sorted


def complete(sensors: Sequence[Sensor], readings: Mapping[str, ndarray]) -> Observation:
    """Return an observation with every sensor present, from a reading `[..., *shape]` of each."""
    if plain(sensors):
        return readings[sensors[0].name].astype(sensors[0].dtype)
    observation = {}
    for sensor in sensors:
        reading = observation[sensor.name] = readings[sensor.name].astype(sensor.dtype)
        if sensor.optional:
            batch = reading.shape[: reading.ndim - len(sensor.shape)]
            observation[present_key(sensor)] = np.ones((*batch, 1), np.uint8)
    return observation


def hide(observation: Observation, sensor: Sensor, missing: Bool[ndarray, "..."]) -> Observation:
    """Return `observation` with an optional sensor's readings zeroed and marked as absent where it is `missing`."""
    assert isinstance(observation, dict) and sensor.optional
    reading, present = observation[sensor.name], observation[present_key(sensor)]
    wide = missing.reshape(missing.shape + (1,) * len(sensor.shape))
    gone: dict[str, ndarray] = {
        sensor.name: np.where(wide, np.zeros((), reading.dtype), reading),
        present_key(sensor): np.where(missing[..., None], np.uint8(0), present),
    }
    return {key: gone.get(key, value) for key, value in observation.items()}


def at(observation: Any, index: Any) -> Any:
    """`array[index]` of every array in an observation."""
    if isinstance(observation, dict):
        return {key: value[index] for key, value in observation.items()}
    return observation[index]


def each(function: Callable[..., Any], *observations: Any) -> Any:
    """`function` of the arrays of observations, sensor by sensor: an observation of its results."""
    first, *further = observations
    if not isinstance(first, dict):
        return function(*observations)
    return {key: function(value, *(other[key] for other in further)) for key, value in first.items()}


def finite(observation: Observation) -> bool:
    """Whether every value is finite."""
    arrays = observation.values() if isinstance(observation, dict) else [observation]
    return all(bool(np.isfinite(array).all()) for array in arrays)


def put(batch: Observation, index: int, observation: Observation) -> None:
    """Write one body's observation into the arrays of a batch."""
    if isinstance(batch, dict):
        assert isinstance(observation, dict)
        for key, rows in batch.items():
            rows[index] = observation[key]
    else:
        batch[index] = observation


def zeros(sensors: Sequence[Sensor], batch: int) -> Observation:
    """Return an observation of zeros of `batch` bodies, in which no optional sensor is present."""
    found = {}
    for sensor in sensors:
        found[sensor.name] = np.zeros((batch, *sensor.shape), sensor.dtype)
        if sensor.optional:
            found[present_key(sensor)] = np.zeros((batch, 1), np.uint8)
    return found[sensors[0].name] if plain(sensors) else found


def chosen(
    task: str, names: Sequence[str], vectors: Mapping[str, Sensor], pictures: Mapping[str, Sensor]
) -> tuple[Sensor, ...]:
    """Return the sensors called `names`. Of several with pictures, any may be missing at a moment.

    Args:
      task: its name, for messages.
      names: of sensors, in order; `pixels` stands for all pictures.
      vectors: that the task offers, by name.
      pictures: of its cameras, by name.

    Raises:
      ValueError: no name, a name twice, or one that the task does not offer.
    """
    if not names or len(set(names)) < len(names):
        raise ValueError(f"an observation needs sensors, each named once; got {', '.join(names) or 'none'}")
    found: list[Sensor] = []
    for name in names:
        if name == PIXELS:
            found.extend(pictures.values())
        elif name in vectors:
            found.append(vectors[name])
        else:
            offered = ", ".join((*vectors, PIXELS))
            raise ValueError(f"{task} has no sensor {name!r}: choose from {offered}")
    # A camera fails, a cable breaks.
    optional = PIXELS in names and len(found) > 1
    return tuple(replace(sensor, optional=True) if optional else sensor for sensor in found)


def ask_everything(sensors: Sequence[Sensor]) -> Mask:
    """Return the goal mask that includes every component of every sensor."""
    masks = {sensor.name: np.ones(sensor.shape, bool) for sensor in sensors}
    return masks[sensors[0].name] if plain(sensors) else masks
