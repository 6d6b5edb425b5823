"""A robot's readings, checked strictly: one check for all observations and goals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy import ndarray

from ...observation import PRESENT, ObservationSpec, Sensor
from .contract import Contract

Range = tuple[ndarray, ndarray]  # lowest and highest embedding [E]


class Kind(Enum):
    """Kinds of faults of a reading."""

    MALFORMED = 0
    NONFINITE = 1
    IMPLAUSIBLE = 2
    ABSENT = 3  # no reading
    REPEATED = 4  # a camera that shows one picture all the time
    LATE = 5


@dataclass(frozen=True)
class Fault:
    """A reading's fault, and its fix in one sentence."""

    kind: Kind
    sentence: str


@dataclass(frozen=True)
class Reading:
    """An observation or a goal that passed.

    `row` is its embedding [E], float32; where a sensor is not a vector, its place is zero until `others`, the readings
    of those sensors, went through the engine's `embed`. In a goal, NaN stands for free values. `missing` are the
    sensors without a usable reading, each with its fault.
    """

    row: ndarray
    others: dict[str, ndarray]
    missing: dict[str, Fault] = field(default_factory=dict)

    def without(self, faults: Mapping[str, Fault], spec: ObservationSpec) -> Reading:
        """Return the reading without some sensors, by name with the fault of each."""
        if not faults:
            return self
        row = self.row.copy()
        for name in faults:
            place = spec.slices[name]
            row[place.start : place.stop + (name in spec.flags)] = 0.0
        others = {name: values for name, values in self.others.items() if name not in faults}
        return Reading(row, others, {**self.missing, **faults})


def read(
    value: Any,
    spec: ObservationSpec,
    plausible: Range | None,
    what: str = "observation",
    is_goal: bool = False,
    tolerant: bool = False,
) -> Reading | Fault:
    """Check and convert the input of a user or a robot. It never raises, whatever the input.

    Args:
      value: a mapping from sensor names to readings; the reading alone where there is one sensor. An optional sensor
        that is missing is left out, is None, or has 0 as `<name>_present`.
      spec: the sensors.
      plausible: lowest and highest values; None: any.
      what: the noun for it in messages.
      is_goal: whether sensors may be left out, and NaN stands for any value of a component.
      tolerant: whether a sensor may be missing, read NaN or an implausible value: it is noted as missing then. What no
        sensor gives, another shape or type, stays a fault.
    """
    given: Mapping[Any, Any]
    if value is None and tolerant:
        value = {}
    if isinstance(value, Mapping):
        known = {sensor.name for sensor in spec.sensors} | {name + PRESENT for name in spec.flags}
        if foreign := [str(name) for name in value if name not in known]:
            return _malformed(f"the {what} has the sensor {foreign[0]!r:.40}, and the model knows {_names(spec)}")
        given = value
    elif len(spec.sensors) == 1:
        given = {spec.sensors[0].name: value}
    else:
        return _malformed(f"the {what} must be a mapping from {_names(spec)} to readings; got {_kind(value)}")
    row, others, missing = np.zeros(spec.size, np.float32), dict[str, ndarray](), dict[str, Fault]()
    for sensor in spec.sensors:
        place, reading = spec.slices[sensor.name], given.get(sensor.name)
        absent = reading is None and (tolerant or isinstance(value, Mapping))
        if absent or (sensor.optional and not _is_present(given.get(sensor.name + PRESENT))):
            lacks = Fault(Kind.ABSENT, f"the {what} lacks the sensor {sensor.name}: give {_names(spec)}")
            if tolerant:
                missing[sensor.name] = lacks
            elif not (sensor.optional or is_goal):
                return lacks
            if is_goal:
                row[place.start : place.stop + sensor.optional] = np.nan
            continue
        label = what if len(spec.sensors) == 1 and sensor.is_vector else f"{what} of the sensor {sensor.name}"
        if sensor.is_vector:
            values, fault = _vector(reading, sensor, label, is_goal)
            if fault is None and plausible is not None:
                low, high = plausible[0][place], plausible[1][place]
                fault = _implausible(values, low, high, label, spec, place.start)
            row[place] = values if fault is None else 0
        else:
            values, fault = _array(reading, sensor, label)
            if fault is None:
                others[sensor.name] = values
        if fault is not None:
            if not tolerant or fault.kind == Kind.MALFORMED:
                return fault
            missing[sensor.name] = fault
            continue
        if sensor.optional:
            row[place.stop] = 1.0
    return Reading(row, others, missing)


def numbers_of(value: Any) -> ndarray | None:
    """Return the value as a new float32 array, infinite beyond float32's range; None unless plain real numbers.

    Masked arrays, complex numbers, strings, dates and objects are not readings: NumPy would silently turn some of them
    into numbers.
    """
    if isinstance(value, np.ma.MaskedArray):
        return None
    try:
        raw = np.asarray(value)  # a masked element in a list becomes NaN
    except Exception:  # an object's own conversion may raise anything
        return None
    if raw.dtype.kind not in "biuf":
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(raw, np.float32)


def seconds_of(value: Any) -> float:
    """Return a time stamp as a float; NaN where it is not a number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def checked_action(action: Any, contract: Contract) -> ndarray:
    """Return what the actuators do now, [A] float32, clipped to the bounds.

    Raises:
      ValueError: it is not one finite number for each actuator.
    """
    values = numbers_of(action)
    if values is None or values.shape != (contract.action_size,) or not np.isfinite(values).all():
        raise ValueError(
            f"previous must be {contract.action_size} finite numbers, one for each actuator; got {action!r}"
        )
    return np.clip(values, contract.low, contract.high)


def one_of_batch(observation: Any, spec: ObservationSpec) -> tuple[Any, bool]:
    """Return the observation of one environment, and whether it came as a batch of one.

    Raises:
      ValueError: a batch of several.
    """
    sensor = spec.sensors[0]
    first: Any = observation.get(sensor.name) if isinstance(observation, Mapping) else observation
    if np.ndim(first) != len(sensor.shape) + 1:
        return observation, False
    if len(first) != 1:
        raise ValueError(f"a controller drives one environment; got a batch of {len(first)} observations")
    if isinstance(observation, Mapping):
        return {name: None if values is None else values[0] for name, values in observation.items()}, True
    return observation[0], True


_NOTHING = np.zeros(0, np.float32)


def _vector(value: Any, sensor: Sensor, label: str, is_goal: bool) -> tuple[ndarray, Fault | None]:
    """Return a vector's numbers, or the fault."""
    values = numbers_of(value)
    if values is None:
        return _NOTHING, _malformed(f"the {label} must be {sensor.size} plain real numbers; got {_kind(value)}")
    if values.shape != sensor.shape:
        return _NOTHING, _malformed(f"the {label} must have shape {sensor.shape}; got {values.shape}")
    wrong = np.isinf(values) if is_goal else ~np.isfinite(values)
    if wrong.any():
        which = int(np.argmax(wrong))
        return values, Fault(Kind.NONFINITE, f"the {label} must be finite; element {which} is {values[which]}")
    return values, None


def _array(value: Any, sensor: Sensor, label: str) -> tuple[ndarray, Fault | None]:
    """Check a sensor that is not a vector: nothing is converted, because a float image has another scale."""
    found = value if isinstance(value, ndarray) else _NOTHING
    if type(found) is not ndarray or found.shape != sensor.shape or found.dtype != sensor.dtype:
        expected = f"an array of {sensor.dtype} {list(sensor.shape)}"
        got = f"{value.dtype} {list(value.shape)}" if isinstance(value, ndarray) else _kind(value)
        return _NOTHING, _malformed(f"the {label} must be {expected}; got {got}{_conversion(value, sensor)}")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        return _NOTHING, Fault(Kind.NONFINITE, f"the {label} must be finite")
    if found.dtype == np.uint8 and found.ndim > 1 and found.min() == found.max():
        return _NOTHING, Fault(
            Kind.IMPLAUSIBLE, f"the {label} shows the same value everywhere: the camera is covered, off or broken"
        )
    return found, None


def _conversion(value: Any, sensor: Sensor) -> str:
    """Return how an array becomes the sensor's picture, as the end of a sentence; empty where that is not known."""
    if not isinstance(value, ndarray) or len(sensor.shape) != 3 or sensor.dtype != "uint8":
        return ""
    height, width, channels = sensor.shape
    if value.shape == (channels, height, width):
        return ": channels come last, np.moveaxis(picture, 0, -1)"
    if value.shape == (1, *sensor.shape):
        return ": give one picture, not a batch, picture[0]"
    if value.shape == (height, width, channels + 1):
        return f": leave out the last channel, picture[..., :{channels}]"
    if value.shape != sensor.shape:
        return f": set the camera to {width} x {height} pixels and {channels} channels, or resize its pictures"
    return ": give the camera's own bytes from 0 to 255; values from 0 to 1 are np.uint8(255 * picture)"


def _implausible(
    values: ndarray, low: ndarray, high: ndarray, label: str, spec: ObservationSpec, at: int
) -> Fault | None:
    """Return the fault of values outside the plausible range, or None; NaN is never outside."""
    outside = (values < low) | (values > high)
    if not outside.any():
        return None
    which = int(np.argmax(outside))
    name = f" ({spec.name_of(at + which)})" if spec.components else ""
    return Fault(
        Kind.IMPLAUSIBLE,
        f"the {label} is implausible: element {which}{name} is {values[which]:g}, and the model "
        f"was trained on values for which {low[which]:g} to {high[which]:g} is plausible; give observation_low and "
        "observation_high where the robot's range is wider",
    )


def _is_present(flag: Any) -> bool:
    """Whether the companion flag, if there is one, marks its sensor as read."""
    if flag is None:
        return True
    values = numbers_of(flag)
    return values is not None and values.size > 0 and bool((values > 0).all())


def _malformed(sentence: str) -> Fault:
    return Fault(Kind.MALFORMED, sentence)


def _names(spec: ObservationSpec) -> str:
    return ", ".join(sensor.name for sensor in spec.sensors)


def _kind(value: Any) -> str:
    return f"an array of {value.dtype}" if isinstance(value, ndarray) else type(value).__name__
