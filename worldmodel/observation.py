"""Observations of a model: an ordered tuple of sensors, and the conversion of one moment's readings to a row.

An observation is a mapping from sensor names to arrays; an optional sensor comes with `<name>_present`, 1 where it
was read and 0 where it is missing. Where every sensor is a vector, one array of that sensor may stand for the mapping,
and the *row* of a moment is all vectors one after the other, each optional one followed by its flag.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

PRESENT = "_present"
MOST_NUMBERS = 1_000_000  # in one reading

Observation = Mapping[str, Any]


@dataclass(frozen=True)
class Sensor:
    """Sensor, described as far as the model depends on it.

    Args:
      name: its key in an observation.
      shape: of one reading.
      dtype: of a reading, NumPy's name.
      period: for each component, the period of an angle, 0 where it has none; empty: no component has one.
      optional: whether a reading may be missing; its values are zeros then.
      interpolates: whether a reading between two others lies between them.
      features: size of the embedding of a reading that is not a vector, such as an image; 0 for a vector.
      symmetry: rotations of its only angle within a period that look the same: any of them solves a goal.

    Raises:
      ValueError: no name, sizes that are not positive, no number type, another number of periods than components, or
        a symmetry without its angle.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    period: tuple[float, ...] = ()
    optional: bool = False
    interpolates: bool = True
    features: int = 0
    symmetry: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "period", tuple(self.period))
        if not isinstance(self.name, str) or not self.name.isidentifier() or self.name.endswith(PRESENT):
            raise ValueError(f"a sensor's name must be a word that does not end in {PRESENT}; got {self.name!r:.40}")
        if not self.shape or not all(type(size) is int and 0 < size <= MOST_NUMBERS for size in self.shape):
            raise ValueError(f"the shape of sensor {self.name!r} must be positive sizes; got {self.shape!r:.40}")
        if self.dtype not in ("float32", "uint8"):
            raise ValueError(f"the dtype of sensor {self.name!r} must be float32 or uint8; got {self.dtype!r:.40}")
        if self.period and (len(self.period) != self.size or not all(0 <= each < math.inf for each in self.period)):
            raise ValueError(
                f"sensor {self.name!r} has {self.size} components and needs a period for each, 0 for none; got "
                f"{self.period!r:.60}"
            )
        angles = np.count_nonzero(self.period)
        if self.symmetry != 1 and not (type(self.symmetry) is int and self.symmetry > 1 and angles == 1):
            raise ValueError(
                f"the symmetry of sensor {self.name!r} is {self.symmetry!r:.40}, and it has {angles} angles: rotations "
                "that look the same are a whole number, of exactly one angle with its period"
            )

    @property
    def size(self) -> int:
        """Number of components of a reading."""
        return math.prod(self.shape)

    @property
    def width(self) -> int:
        """Size of a reading in an embedding, its flag not counted."""
        return self.size if self.is_vector else self.features

    @property
    def is_vector(self) -> bool:
        """Whether its readings go into a row as they are; others need a network."""
        return len(self.shape) == 1 and self.dtype == "float32"


@dataclass(frozen=True)
class ObservationSpec:
    """Sensors of a model, in order. Hashable, because it is part of an architecture.

    Raises:
      ValueError: no sensor, or two of one name.
    """

    sensors: tuple[Sensor, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "sensors", tuple(self.sensors))
        names = [sensor.name for sensor in self.sensors]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"an observation needs sensors with names of their own; got {names!r:.80}")

    def __hash__(self) -> int:  # computed once: every call of a compiled function needs it
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self.sensors)

    @cached_property
    def is_vectors(self) -> bool:
        """Whether every sensor is a vector: rows need no network."""
        return all(sensor.is_vector for sensor in self.sensors)

    @cached_property
    def vectors(self) -> tuple[Sensor, ...]:
        """Sensors that are vectors, in order."""
        return tuple(sensor for sensor in self.sensors if sensor.is_vector)

    @cached_property
    def pictures(self) -> tuple[Sensor, ...]:
        """Sensors that need a network of their own, in order."""
        return tuple(sensor for sensor in self.sensors if not sensor.is_vector)

    @cached_property
    def size(self) -> int:
        """E, the numbers in an embedding: those of each sensor in order, and a flag for each optional one."""
        return sum(sensor.width + sensor.optional for sensor in self.sensors)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Slice of each sensor in an embedding, without its flag."""
        found, at = {}, 0
        for sensor in self.sensors:
            found[sensor.name] = slice(at, at + sensor.width)
            at += sensor.width + sensor.optional
        return found

    @cached_property
    def vector_columns(self) -> Int[ndarray, "V"]:
        """Columns of an embedding that hold vectors and flags, and no features of a picture."""
        seen = np.zeros(self.size, bool)
        for sensor in self.pictures:
            seen[self.slices[sensor.name]] = True
        return np.flatnonzero(~seen)

    @cached_property
    def flags(self) -> dict[str, int]:
        """Index of each optional sensor's flag in an embedding."""
        return {each.name: self.slices[each.name].stop for each in self.sensors if each.optional}

    @cached_property
    def period(self) -> Float[ndarray, "E"]:
        """Period of each number in a row; 0 where it is not periodic."""
        found = np.zeros(self.size, np.float32)
        for sensor in self.sensors:
            if sensor.is_vector and sensor.period:
                found[self.slices[sensor.name]] = sensor.period
        return found

    def row(self, observation: Observation | Array) -> Float[Array, "... E"]:
        """Convert an observation to a row inside compiled code; an array is already the row of a single sensor.

        The readings of pictures are their features here, as a network returns them.
        """
        if not isinstance(observation, Mapping):
            return observation
        parts = []
        for sensor in self.sensors:
            parts.append(observation[sensor.name])
            if sensor.optional:
                parts.append(observation[sensor.name + PRESENT].astype(jnp.float32))
        return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1)

    def numpy_row(self, observation: Observation | ndarray) -> Float[ndarray, "... E"]:
        """Convert an observation of NumPy arrays to a row, outside compiled code; a single sensor is not copied."""
        if not isinstance(observation, Mapping):
            return observation
        parts: list[ndarray] = []
        for sensor in self.sensors:
            if sensor.is_vector:
                parts.append(np.asarray(observation[sensor.name], np.float32))
                if sensor.optional:
                    parts.append(np.asarray(observation[sensor.name + PRESENT], np.float32))
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)

    def tree(self, row: Float[Any, "... E"]) -> dict[str, Any]:
        """Readings in a row, by sensor: the inverse of `row` where all sensors are vectors."""
        found = {name: row[..., place] for name, place in self.slices.items()}
        return found | {name + PRESENT: row[..., place : place + 1] for name, place in self.flags.items()}

    def presence(self, rows: Float[ndarray, "M E"]) -> Bool[ndarray, "M E"]:
        """Mask of the numbers of rows that were read; always true for flags."""
        found = np.ones(rows.shape, bool)
        for name, place in self.flags.items():
            found[:, self.slices[name]] = rows[:, place : place + 1] > 0
        return found

    def to_json(self) -> list[dict[str, Any]]:
        """Return the sensors by field, in the format that `from_json` reads; earlier versions know no symmetry of 1."""
        return [
            {
                field.name: list(value) if isinstance(value := getattr(sensor, field.name), tuple) else value
                for field in fields(Sensor)
                if field.name != "symmetry" or sensor.symmetry != 1
            }
            for sensor in self.sensors
        ]

    @classmethod
    def from_json(cls, values: Any) -> ObservationSpec:
        """Read the output of `to_json`. Fields with a default may be missing, `null` periods count as 0.

        Raises:
          ValueError: no list of sensors, a field unknown to this version, or values that are not valid for a sensor.
        """
        known = {field.name for field in fields(Sensor)}
        if not isinstance(values, list) or not all(isinstance(each, dict) for each in values):
            raise ValueError(f"the sensors must be a list of objects; got {values!r:.60}")
        sensors = []
        for each in values:
            if unknown := sorted(set(each) - known):
                raise ValueError(f"a sensor has the unknown field {unknown[0]!r:.40}: a newer jepa-mpc may know it")
            if missing := {"name", "shape"} - set(each):
                raise ValueError(f"a sensor lacks its {sorted(missing)[0]}")
            given: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in each.items()
            }
            given["period"] = tuple(0.0 if period is None else period for period in each.get("period") or ())
            try:
                sensors.append(Sensor(**given))
            except TypeError as error:
                raise ValueError(f"a sensor has a field of another type: {each!r:.80}") from error
        return cls(tuple(sensors))

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, tuple[tuple[int, ...], Any]]) -> ObservationSpec:
        """Build from shapes and dtypes by name: uint8 stays, every other dtype is read as float32.

        A key `<name>_present` makes the sensor of that name optional.
        """
        sensors = []
        for name, (shape, dtype) in arrays.items():
            owner = name.removesuffix(PRESENT)
            if owner == name or owner not in arrays:
                kind = "uint8" if np.dtype(dtype) == np.uint8 and len(shape) > 1 else "float32"
                sensors.append(Sensor(name, tuple(shape), kind, optional=name + PRESENT in arrays))
        return cls(tuple(sensors))

    @classmethod
    def of(cls, sensors: Any) -> ObservationSpec:
        """Build from objects with these attributes, such as a task's sensors; other attributes are ignored."""
        return cls(
            tuple(
                Sensor(
                    each.name,
                    tuple(each.shape),
                    each.dtype,
                    tuple(0.0 if period is None else float(period) for period in each.period or ()),
                    each.optional,
                    each.interpolates,
                    symmetry=getattr(each, "symmetry", 1),
                )
                for each in sensors
            )
        )


def vector(size: int, name: str = "state") -> ObservationSpec:
    """Build one vector sensor of `size` numbers, as most robots have."""
    return ObservationSpec((Sensor(name, (size,)),))
