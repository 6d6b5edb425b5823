"""What a controller and its robot agree on, in plain numbers and words: what a bundle says of itself in JSON."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy import ndarray

from ...parameterization import ORDERS, Knots, Parameterization, Steps
from .formats import FORMAT, upgraded

MOST = 1_000_000  # of anything that is counted here; a robot's planner needs far less, a file's slip gives far more
WORD = 200  # characters of a name
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Contract:
    """Everything that a control loop has to know of a planner without looking into it.

    Observations are `observation_size` numbers in the order of `sensors`, raw, as they were when the model was trained:
    whatever normalisation there is, is part of the model. A goal is an observation, too. Actions lie in the bounds.
    """

    observation_size: int  # O
    action_low: tuple[float, ...]  # [A]
    action_high: tuple[float, ...]  # [A]
    control_period: float  # seconds between two actions
    horizon: int  # T, control periods in a plan
    action_block: int  # K, control periods in one step of the model
    history: int  # P, observations that one latent is made from
    latent_size: int  # D
    iterations: int  # of the planner, without a deadline
    replan_every: int  # control periods
    num_best: int  # k, sequences that a plan keeps
    terms: tuple[str, ...]  # the costs by name
    weights: dict[str, float]  # of the costs; the values at the time of writing
    margins: tuple[str, ...] = ()  # the constraints by name
    probe_size: int = 0  # Q, positions that the model decodes from a latent; 0: none
    goals: bool = True  # whether there is anything that asks for a goal; otherwise an episode needs none
    partial_goals: bool = False  # whether NaN in a goal may stand for any value
    reflex: bool = False  # whether the model brings a policy that acts without a plan
    members: int = 1  # E, models of the ensemble
    playback: str = "zero"  # how a plan goes from one action to the next: zero (held), linear or cubic
    task: str = ""
    sensors: tuple[str, ...] = ()  # a name for each number of an observation, or none
    sensor_units: tuple[str, ...] = ()  # likewise
    sensor_low: tuple[float, ...] = ()  # lowest value of each number in the training data, or none
    sensor_high: tuple[float, ...] = ()  # highest value, likewise
    actuators: tuple[str, ...] = ()  # a name for each number of an action, or none
    action_units: tuple[str, ...] = ()  # likewise
    rest: tuple[float, ...] = ()  # the declared rest action; none: zero, or the bound nearest to it
    versions: dict[str, str] = field(default_factory=dict)  # of what made it
    format: int = FORMAT

    @property
    def action_size(self) -> int:
        """A."""
        return len(self.action_low)

    @property
    def low(self) -> ndarray:
        """[A] float32."""
        return np.asarray(self.action_low, np.float32)

    @property
    def high(self) -> ndarray:
        """[A] float32."""
        return np.asarray(self.action_high, np.float32)

    @property
    def rest_action(self) -> ndarray:
        """[A] float32, what the actuators are sent when there is nothing better to send."""
        if self.rest:
            return np.asarray(self.rest, np.float32)
        return np.clip(np.zeros(self.action_size, np.float32), self.low, self.high)

    @property
    def plausible(self) -> tuple[ndarray, ndarray] | None:
        """Lowest and highest plausible observation [O] float32, or None where the training data are not known.

        The range of the training data, widened by itself on either side: sensors may leave what a model has seen a
        little, and a reading beyond that tells of a broken sensor, a wrong unit or a foreign goal.
        """
        if not self.sensor_low:
            return None
        low, high = np.asarray(self.sensor_low, np.float64), np.asarray(self.sensor_high, np.float64)
        # A sensor that never moved has no range: a hundredth of its value, or any small number around zero.
        width = np.where(high > low, high - low, np.maximum(0.01 * np.abs(high), 1e-3))
        return np.maximum(low - width, -LARGEST).astype(np.float32), np.minimum(high + width, LARGEST).astype(
            np.float32
        )

    def range_with(self, low: Any, high: Any) -> tuple[ndarray, ndarray]:
        """The plausible range [O], with a user's own bounds in place of it: one number, or one for each sensor.

        Raises:
          ValueError: bounds that do not fit the sensors.
        """
        free = np.full(self.observation_size, np.inf, np.float32)
        default = self.plausible or (-free, free)
        found = []
        for name, own, known in (("observation_low", low, default[0]), ("observation_high", high, default[1])):
            try:
                found.append(known if own is None else np.broadcast_to(np.asarray(own, np.float32), known.shape))
            except (TypeError, ValueError):
                size = self.observation_size
                raise ValueError(f"{name} must be one number, or one for each of {size} sensors; got {own!r}") from None
        return found[0], found[1]

    def parameterization(self) -> Parameterization:
        """What plays a plan [T, A] at any moment, exactly as the planner meant it: `play(actions, seconds, period)`."""
        return Steps() if self.playback == "zero" or self.horizon < 2 else Knots(self.horizon, self.playback)

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Any) -> Contract:
        """Read what `to_json` gave, from a file that nobody vouches for. Fields with a default may be missing.

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
        contract = cls(**{name: _read(name, kinds[name], value) for name, value in values.items()})
        contract.check()
        return contract

    def check(self) -> None:
        """Raise ValueError, in one sentence, where the fields cannot be true together."""
        counts = ("observation_size", "horizon", "action_block", "history", "latent_size", "iterations")
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
        for name in ("terms", "margins"):
            if len(set(getattr(self, name))) != len(getattr(self, name)):
                raise ValueError(f"{name} must not name anything twice")
        for size, names in (
            (self.observation_size, ("sensors", "sensor_units", "sensor_low", "sensor_high")),
            (self.action_size, ("actuators", "action_units", "rest")),
        ):
            for name in names:
                if len(getattr(self, name)) not in (0, size):
                    raise ValueError(f"{name} must be empty or have {size} entries; got {len(getattr(self, name))}")
        ranges = (
            np.asarray([self.sensor_low, self.sensor_high]) if len(self.sensor_low) == len(self.sensor_high) else None
        )
        if ranges is None or not (ranges[0] <= ranges[1]).all():
            raise ValueError("sensor_low and sensor_high must be two lists of one length, the lower values first")
        if self.rest and not ((self.low <= self.rest_action) & (self.rest_action <= self.high)).all():
            raise ValueError(f"rest must lie within the action bounds; got {_few(list(self.rest))}")


def _read(name: str, kind: str, value: Any) -> Any:
    """One field of the type that its annotation names."""
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
        raise ValueError(f"{name} must be a word of at most {WORD} printable characters; got {_few([value])}")
    return value


def _between(name: str, value: int, least: int) -> None:
    if not least <= value <= MOST:
        raise ValueError(f"{name} must lie between {least} and {MOST}; got {value}")


def _few(values: list[Any]) -> str:
    """A few of them, short enough for a sentence."""
    return ", ".join(repr(value)[:40] for value in values[:4])
