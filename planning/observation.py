"""Observations of a planner: an ordered tuple of sensors, and the embedding of one moment's readings as a row.

An observation is a mapping from sensor names to arrays; one array stands for the mapping where there is one sensor. An
*embedding* of a moment is a row of float32: the readings of vectors unchanged, a network's features of any other
sensor, in order, each optional one followed by a flag: 1 where it was read, 0 (and zeros before it) where it was not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy import ndarray

from .arrays import Bool, Float

PRESENT = "_present"
DTYPES = ("float32", "uint8")
MOST = 1_000_000  # numbers in a reading


@dataclass(frozen=True)
class Sensor:
    """One sensor. Attributes of components are in the order of the flattened reading, or empty.

    Args:
      name: its key in an observation.
      shape: of one reading.
      dtype: of a reading: float32 or uint8.
      components: a name for each component.
      units: of each component.
      low: the lowest value of each component in the training data.
      high: likewise the highest.
      period: the period of each component that is an angle, 0 for any other.
      optional: whether a reading may be missing.
      interpolates: whether readings may be interpolated: false for images and one-hot codes.
      features: size of the embedding of a reading that is not a vector; 0 for a vector.
      symmetry: rotations of its only angle within a period that look the same: any of them solves a goal.

    Raises:
      ValueError: an invalid field.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    components: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    period: tuple[float, ...] = ()
    optional: bool = False
    interpolates: bool = True
    features: int = 0
    symmetry: int = 1

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name.endswith(PRESENT):
            raise ValueError(f"a sensor's name must be a word that does not end in {PRESENT}; got {self.name!r:.40}")
        if not self.shape or not all(0 < size <= MOST for size in self.shape) or self.size > MOST:
            raise ValueError(f"the shape of the sensor {self.name} must be positive sizes; got {self.shape!r:.60}")
        if self.dtype not in DTYPES:
            raise ValueError(
                f"the dtype of the sensor {self.name} must be {' or '.join(DTYPES)}; got {self.dtype!r:.40}"
            )
        for what in ("components", "units", "low", "high", "period"):
            if len(getattr(self, what)) not in (0, self.size):
                raise ValueError(
                    f"{what} of the sensor {self.name} must be empty or have {self.size} entries; got "
                    f"{len(getattr(self, what))}"
                )
        if len(self.low) != len(self.high) or not (np.asarray(self.low) <= np.asarray(self.high)).all():
            raise ValueError(f"low and high of the sensor {self.name} must be of one length, the lower values first")
        if not all(0 <= period < math.inf for period in self.period):
            raise ValueError(f"a period of the sensor {self.name} must be positive, or 0 for none")
        angles = np.count_nonzero(self.period)
        if self.symmetry != 1 and (self.symmetry < 1 or angles != 1):
            raise ValueError(
                f"the symmetry of the sensor {self.name} is {self.symmetry}, and it has {angles} angles: rotations "
                "that look the same are a whole number, of exactly one angle with its period"
            )
        if (self.features > 0) is self.is_vector or not 0 <= self.features <= MOST:
            raise ValueError(
                f"the sensor {self.name} reads {self.dtype}{list(self.shape)} and has features={self.features}: a "
                "vector needs none, any other sensor at least 1"
            )

    @property
    def size(self) -> int:
        """Size of a reading."""
        return math.prod(self.shape)

    @property
    def is_vector(self) -> bool:
        """Whether its readings enter an embedding unchanged; others need a network."""
        return len(self.shape) == 1 and self.dtype == "float32"

    @property
    def width(self) -> int:
        """Width of a reading in an embedding, without its flag."""
        return self.size if self.is_vector else self.features


@dataclass(frozen=True)
class ObservationSpec:
    """The sensors in order.

    Raises:
      ValueError: no sensor, or two of one name.
    """

    sensors: tuple[Sensor, ...]

    def __post_init__(self) -> None:
        names = [sensor.name for sensor in self.sensors]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"an observation needs sensors with distinct names; got {', '.join(names) or 'none'}")

    @cached_property
    def is_plain(self) -> bool:
        """Whether there is a single vector that is never missing: observations may be plain arrays."""
        return len(self.sensors) == 1 and self.sensors[0].is_vector and not self.sensors[0].optional

    @cached_property
    def is_vectors(self) -> bool:
        """Whether every sensor is a vector: an embedding needs no network."""
        return all(sensor.is_vector for sensor in self.sensors)

    @cached_property
    def size(self) -> int:
        """Size E of an embedding."""
        return sum(sensor.width + sensor.optional for sensor in self.sensors)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Position of each sensor's numbers in an embedding, without its flag."""
        found, at = {}, 0
        for sensor in self.sensors:
            found[sensor.name] = slice(at, at + sensor.width)
            at += sensor.width + sensor.optional
        return found

    @cached_property
    def flags(self) -> dict[str, int]:
        """Position of each optional sensor's flag in an embedding."""
        return {sensor.name: self.slices[sensor.name].stop for sensor in self.sensors if sensor.optional}

    @cached_property
    def period(self) -> Float[ndarray, "E"]:
        """Period of each number in an embedding, 0 without one."""
        return self._spread("period", 0.0, 0.0)

    @cached_property
    def low(self) -> Float[ndarray, "E"]:
        """Lowest value of each number in the training data; minus infinity where it is unknown."""
        return self._spread("low", -np.inf, 0.0)

    @cached_property
    def high(self) -> Float[ndarray, "E"]:
        """Highest value of each number in the training data; infinity where it is unknown."""
        return self._spread("high", np.inf, 1.0)

    @cached_property
    def interpolates(self) -> Bool[ndarray, "E"]:
        """Mask of the numbers that may be interpolated between two moments at which they were read."""
        found = np.zeros(self.size, bool)
        for sensor in self.sensors:
            found[self.slices[sensor.name]] = sensor.interpolates and sensor.is_vector
        return found

    @cached_property
    def components(self) -> tuple[str, ...]:
        """Name of each number of an embedding; empty where no sensor names its components."""
        if not any(sensor.components for sensor in self.sensors):
            return ()
        return self._words("components")

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Unit of each number of an embedding; empty where no sensor has any."""
        if not any(sensor.units for sensor in self.sensors):
            return ()
        return self._words("units")

    def name_of(self, index: int) -> str:
        """Return the name of the number at `index` of an embedding: sensor and component, or empty."""
        for sensor in self.sensors:
            place = self.slices[sensor.name]
            if place.start <= index < place.stop:
                word = sensor.components[index - place.start] if sensor.components else ""
                return word if self.is_plain else f"{sensor.name} {word or index - place.start}"
            if sensor.optional and index == place.stop:
                return sensor.name + PRESENT
        return ""

    def difference(self, one: Float[ndarray, "... E"], other: Float[ndarray, "... E"]) -> Float[ndarray, "... E"]:
        """Return `one - other`, for angles the shorter way round."""
        return self._shortest(one - other, self.period)

    def from_goal(self, one: Float[ndarray, "... E"], goal: Float[ndarray, "... E"]) -> Float[ndarray, "... E"]:
        """Return `one - goal`, for an angle from the nearest rotation that looks the same."""
        return self._shortest(one - goal, self.period / self._spread("symmetry", 1.0, 1.0))

    def to_json(self) -> list[dict[str, Any]]:
        """Return the sensors by field, without fields at their defaults; `from_json` reads them back."""
        found = []
        for sensor in self.sensors:
            values = {field.name: getattr(sensor, field.name) for field in fields(Sensor)}
            defaults = {field.name: field.default for field in fields(Sensor)}
            found.append(
                {
                    name: list(value) if isinstance(value, tuple) else value
                    for name, value in values.items()
                    if value != defaults[name]
                }
            )
        return found

    @classmethod
    def from_json(cls, values: Any) -> ObservationSpec:
        """Read the output of `to_json` from an untrusted file. Fields with a default may be missing.

        Raises:
          ValueError: a field that is missing, unknown, of another type or out of range.
        """
        if not isinstance(values, list) or not all(isinstance(each, dict) for each in values):
            raise ValueError(f"observation must be a list of sensors; got {values!r:.60}")
        if len(values) > MOST:
            raise ValueError(f"observation lists {len(values)} sensors, and the maximum is {MOST}")
        return cls(tuple(_sensor(each) for each in values))

    @classmethod
    def of(cls, sensors: Iterable[Any]) -> ObservationSpec:
        """Build from anything with a sensor's attributes that shape a model, such as a model's own specification."""
        found = []
        for each in sensors:
            arrays = tuple(each.shape), each.dtype, (), (), (), (), tuple(each.period)
            others = each.optional, each.interpolates, each.features, getattr(each, "symmetry", 1)
            found.append(Sensor(each.name, *arrays, *others))
        return cls(tuple(found))

    def _shortest(self, delta: Float[ndarray, "... E"], turn: Float[ndarray, "E"]) -> Float[ndarray, "... E"]:
        if not turn.any():
            return delta
        whole = np.where(turn > 0, turn, np.inf)
        return np.where(turn > 0, delta - turn * np.round(delta / whole), delta).astype(delta.dtype)

    def _spread(self, what: str, unknown: float, flag: float) -> Float[ndarray, "E"]:
        """Return one value for each number of an embedding, from an attribute of the vectors' components."""
        found = np.full(self.size, unknown, np.float32)
        for sensor in self.sensors:
            if sensor.is_vector and getattr(sensor, what):
                found[self.slices[sensor.name]] = getattr(sensor, what)
            if sensor.optional:
                found[self.flags[sensor.name]] = flag
        return found

    def _words(self, what: str) -> tuple[str, ...]:
        found = [""] * self.size
        for sensor in self.sensors:
            if sensor.is_vector and getattr(sensor, what):
                found[self.slices[sensor.name]] = getattr(sensor, what)
        return tuple(found)


def vector(size: int, name: str = "state", **words: tuple[Any, ...]) -> ObservationSpec:
    """Return the spec of one vector of `size` numbers; `words` are further fields of its `Sensor`."""
    return ObservationSpec((Sensor(name, (size,), **words),))  # type: ignore[arg-type]


def _sensor(values: Mapping[str, Any]) -> Sensor:
    """Read one sensor from a file, each field of the type that its annotation names."""
    kinds = {field.name: str(field.type) for field in fields(Sensor)}
    needed = {field.name for field in fields(Sensor) if field.default is MISSING}
    if unknown := sorted(map(str, set(values) - set(kinds))):
        raise ValueError(f"a sensor has the unknown field {unknown[0]!r:.40}; a newer jepa-mpc may know it")
    if missing := sorted(needed - set(values)):
        raise ValueError(f"a sensor has no {missing[0]}")
    return Sensor(**{name: _field(name, kinds[name], value) for name, value in values.items()})


def _field(name: str, kind: str, value: Any) -> Any:
    inner = kind.removeprefix("tuple[").removesuffix(", ...]")
    if kind.startswith("tuple"):
        if not isinstance(value, list) or len(value) > MOST:
            raise ValueError(f"{name} of a sensor must be a list; got {type(value).__name__}")
        return tuple(_field(name, inner, each) for each in value)
    if inner == "float" and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if inner == "str" and isinstance(value, str) and len(value) <= 200 and value.isprintable():
        return value
    if (inner == "int" and type(value) is int) or (inner == "bool" and type(value) is bool):
        return value
    raise ValueError(f"{name} of a sensor must be {inner}; got {value!r:.40}")
