"""The contract between a controller and its robot, in plain numbers and strings: a bundle's description in JSON."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy import ndarray

from ...observation import ObservationSpec
from ...parameterization import ORDERS, Knots, Parameterization, Steps
from .formats import FORMAT, upgraded

MOST = 1_000_000  # of any count here; a robot's planner needs far less, a corrupt file may give far more
WORD = 200  # characters of a name
LONG = 16  # moments of a history, above which it is taken in at once and not moment by moment
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Contract:
    """Description of a planner for a control loop, which needs nothing else of it.

    Observations are those of the sensors in `observation`, raw, as they were when the model was trained: any
    normalisation is part of the model. A goal is an observation, too. Actions lie in the bounds.
    """

    observation: ObservationSpec
    action_low: tuple[float, ...]  # [A]
    action_high: tuple[float, ...]  # [A]
    control_period: float  # seconds between two actions
    horizon: int  # T, control periods in a plan
    action_block: int  # K, control periods in one step of the model
    history: int  # P, observations that one latent is encoded from
    latent_size: int  # D
    iterations: int  # of the planner, without a deadline
    replan_every: int  # control periods
    num_best: int  # k, sequences that a plan keeps
    terms: tuple[str, ...]  # the costs by name
    weights: dict[str, float]  # of the costs; the values at the time of writing
    margins: tuple[str, ...] = ()  # the constraints by name
    probe_size: int = 0  # Q, positions that the model decodes from a latent; 0: none
    goals: bool = True  # whether an episode needs a goal
    partial_goals: bool = False  # whether NaN in a goal may stand for any value
    reflex: bool = False  # whether the model has a policy that acts without a plan
    fills: bool = False  # whether the model answers what a missing sensor would read
    members: int = 1  # E, models of the ensemble
    playback: str = "zero"  # interpolation between a plan's actions: zero (held), linear or cubic
    task: str = ""
    actuators: tuple[str, ...] = ()  # a name for each number of an action, or none
    action_units: tuple[str, ...] = ()  # likewise
    cameras: dict[str, str] = field(default_factory=dict)  # by sensor: the camera, and how its frames become pictures
    recalls: bool = False  # whether a history can be taken in at once
    rest: tuple[float, ...] = ()  # the declared rest action; none: zero, or the bound nearest to it
    versions: dict[str, str] = field(default_factory=dict)  # of the software that made it
    format: int = FORMAT

    @property
    def embedding_size(self) -> int:
        """Size E of the embedding of one moment."""
        return self.observation.size

    @property
    def observation_size(self) -> int:
        """Size of an observation that is one vector: equal to `embedding_size` there."""
        return self.observation.size

    @property
    def sensors(self) -> tuple[str, ...]:
        """Name of each number of an embedding, or none."""
        return self.observation.components

    @property
    def sensor_units(self) -> tuple[str, ...]:
        """Unit of each number of an embedding, or none."""
        return self.observation.units

    @property
    def action_size(self) -> int:
        """A."""
        return len(self.action_low)

    @property
    def low(self) -> ndarray:
        """Lower action bounds [A], float32."""
        return np.asarray(self.action_low, np.float32)

    @property
    def high(self) -> ndarray:
        """Upper action bounds [A], float32."""
        return np.asarray(self.action_high, np.float32)

    @property
    def rest_action(self) -> ndarray:
        """Action [A] float32 that the actuators are sent when nothing better is available."""
        if self.rest:
            return np.asarray(self.rest, np.float32)
        return np.clip(np.zeros(self.action_size, np.float32), self.low, self.high)

    @property
    def plausible(self) -> tuple[ndarray, ndarray] | None:
        """Lowest and highest plausible embedding [E] float32, or None where the training data are unknown.

        The range of the training data, widened by its own width on either side: sensors may leave the training data a
        little, and a reading beyond that indicates a broken sensor, a wrong unit or another system's goal.
        """
        low, high = self.observation.low.astype(np.float64), self.observation.high.astype(np.float64)
        if not (np.isfinite(low) | np.isfinite(high)).any():
            return None
        # A sensor that never moved has no range: a hundredth of its value, or any small number around zero.
        width = np.where(high > low, high - low, np.maximum(0.01 * np.abs(high), 1e-3))
        unknown = ~np.isfinite(low) | (self.observation.period > 0)  # an angle may exceed one turn
        least, most = np.maximum(low - width, -LARGEST), np.minimum(high + width, LARGEST)
        return (
            np.where(unknown, -np.inf, least).astype(np.float32),
            np.where(unknown, np.inf, most).astype(np.float32),
        )

    def range_with(self, low: Any, high: Any) -> tuple[ndarray, ndarray]:
        """Return the plausible range [E], with a user's own bounds in place of it: one number, or one for each of them.

        Raises:
          ValueError: bounds that do not fit the sensors.
        """
        free = np.full(self.embedding_size, np.inf, np.float32)
        default = self.plausible or (-free, free)
        found = []
        for name, own, known in (("observation_low", low, default[0]), ("observation_high", high, default[1])):
            try:
                found.append(known if own is None else np.broadcast_to(np.asarray(own, np.float32), known.shape))
            except (TypeError, ValueError):
                size = self.embedding_size
                raise ValueError(f"{name} must be one number, or one for each of {size} sensors; got {own!r}") from None
        return found[0], found[1]

    def parameterization(self) -> Parameterization:
        """Return the playback of a plan [T, A] at any time, exactly as planned: `play(actions, seconds, period)`."""
        return Steps() if self.playback == "zero" or self.horizon < 2 else Knots(self.horizon, self.playback)

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)} | {
            "observation": self.observation.to_json()
        }
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_json(cls, values: Any) -> Contract:
        """Read the output of `to_json` from an untrusted file. Fields with a default may be missing.

        A contract of an earlier format is upgraded to the present one.

        Raises:
          ValueError: a newer format, or a field that is missing, unknown, of another type, out of range, or at odds
            with another one.
        """
        if not isinstance(values, dict):
            raise ValueError(f"the contract must be an object; got {type(values).__name__}")
        version = values.get("format", FORMAT)
        values = upgraded(values)
        known = {entry.name for entry in fields(cls)}
        needed = {entry.name for entry in fields(cls) if entry.default is MISSING and entry.default_factory is MISSING}
        if unknown := sorted(set(values) - known):
            raise ValueError(
                f"the contract has unknown fields: {_few(unknown)}, which a newer jepa-mpc may have written (it has "
                f"format {version}, and this version reads {FORMAT}): update jepa-mpc, or export it again"
            )
        if missing := sorted(needed - set(values)):
            raise ValueError(f"the contract has missing fields: {_few(missing)}")
        kinds: dict[str, Any] = {entry.name: str(entry.type) for entry in fields(cls)}
        read = {name: _read(name, kinds[name], value) for name, value in values.items() if name != "observation"}
        contract = cls(observation=ObservationSpec.from_json(values["observation"]), **read)
        contract.check()
        return contract

    def check(self) -> None:
        """Raise ValueError, in one sentence, where the fields contradict each other."""
        counts = ("embedding_size", "horizon", "action_block", "history", "latent_size", "iterations")
        for name in (*counts, "replan_every", "num_best", "members", "format"):
            _between(name, getattr(self, name), 1)
        _between("probe_size", self.probe_size, 0)
        if not 1 <= len(self.action_low) == len(self.action_high) <= MOST:
            raise ValueError(
                f"action_low and action_high must be two lists of one length; got {len(self.action_low)} and "
                f"{len(self.action_high)} numbers"
            )
        bounds = np.asarray([self.action_low, self.action_high])
        if not np.isfinite(bounds.astype(np.float32)).all() or (bounds[0] > bounds[1]).any():
            raise ValueError("action bounds must be finite numbers, the lower one first")
        if not 0 < self.control_period < MOST:
            raise ValueError(f"control_period must be positive seconds; got {self.control_period:g}")
        if self.horizon % self.action_block:
            raise ValueError(f"action_block ({self.action_block}) must divide the horizon ({self.horizon})")
        if self.replan_every > self.horizon:
            raise ValueError(f"replan_every ({self.replan_every}) must not exceed the horizon ({self.horizon})")
        if self.playback not in ORDERS:
            raise ValueError(f"playback must be one of {', '.join(ORDERS)}; got {self.playback[:40]!r}")
        if not self.terms or set(self.terms) != set(self.weights):
            raise ValueError("terms must name at least one cost, and weights must have one number for each of them")
        if unknown := sorted(set(self.cameras) - {sensor.name for sensor in self.observation.sensors}):
            raise ValueError(f"cameras must be of sensors; there is no sensor {unknown[0]!r:.40}")
        for name in ("terms", "margins"):
            if len(set(getattr(self, name))) != len(getattr(self, name)):
                raise ValueError(f"{name} must not name anything twice")
        for name in ("actuators", "action_units", "rest"):
            if len(getattr(self, name)) not in (0, self.action_size):
                raise ValueError(
                    f"{name} must be empty or have {self.action_size} entries; got {len(getattr(self, name))}"
                )
        if self.rest and not ((self.low <= self.rest_action) & (self.rest_action <= self.high)).all():
            raise ValueError(f"rest must lie within the action bounds; got {_few(list(self.rest))}")


# Names of an observation of vectors, by the fields of their sensors.
_SENSOR_WORDS = {"sensors": "components", "sensor_units": "units", "sensor_low": "low", "sensor_high": "high"}


def with_words(contract: Contract, **words: Any) -> Contract:
    """Return the contract with further names, units and ranges.

    Args:
      contract: without them.
      words: fields of a contract; and `sensors`, `sensor_units`, `sensor_low`, `sensor_high`, an entry for each number
        of the vector sensors, in order.

    Raises:
      ValueError: the number of words differs from that of the sensors or actuators.
    """
    spec = contract.observation
    given = {field: list(words.pop(word)) for word, field in _SENSOR_WORDS.items() if word in words}
    size = sum(sensor.size for sensor in spec.sensors if sensor.is_vector)
    for word, entry in _SENSOR_WORDS.items():
        if len(given.get(entry, ())) not in (0, size):
            raise ValueError(f"{word} must be empty or have {size} entries; got {len(given[entry])}")
    sensors, at = [], 0
    for sensor in spec.sensors:
        if sensor.is_vector:
            part = slice(at, at + sensor.size)
            own: dict[str, Any] = {entry: tuple(values[part]) for entry, values in given.items()}
            sensor, at = replace(sensor, **own), at + sensor.size
        sensors.append(sensor)
    made = replace(contract, observation=ObservationSpec(tuple(sensors)), **words)
    made.check()
    return made


def _read(name: str, kind: str, value: Any) -> Any:
    """Read one field as the type that its annotation names."""
    if kind == "int":
        if type(value) is not int:
            raise ValueError(f"{name} must be a whole number; got {_few([value])}")
        return value
    if kind == "bool":
        if type(value) is not bool:
            raise ValueError(f"{name} must be true or false; got {_few([value])}")
        return value
    if kind == "float":
        return _number(name, value)
    if kind == "str":
        return _word(name, value)
    if kind.startswith("tuple"):
        if not isinstance(value, list) or len(value) > MOST:
            raise ValueError(f"{name} must be a list; got {type(value).__name__}")
        return tuple((_number if "float" in kind else _word)(name, each) for each in value)
    if not isinstance(value, dict) or len(value) > MOST:
        raise ValueError(f"{name} must be an object; got {type(value).__name__}")
    return {_word(name, key): (_number if "float" in kind else _word)(name, each) for key, each in value.items()}


def _number(name: str, value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) <= LARGEST:
        raise ValueError(f"{name} must be a finite number; got {_few([value])}")
    return float(value)


def _word(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > WORD or not value.isprintable():
        raise ValueError(f"{name} must be a string of at most {WORD} printable characters; got {_few([value])}")
    return value


def _between(name: str, value: int, least: int) -> None:
    if not least <= value <= MOST:
        raise ValueError(f"{name} must lie between {least} and {MOST}; got {value}")


def _few(values: list[Any]) -> str:
    """Return a few of them, short enough for a sentence."""
    return ", ".join(repr(value)[:40] for value in values[:4])
