"""What a controller and its robot agree on, in plain numbers and words: what a bundle says of itself in JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy import ndarray

from ..parameterization import ORDERS, Knots, Parameterization, Steps

FORMAT = 1
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
    actuators: tuple[str, ...] = ()  # a name for each number of an action, or none
    action_units: tuple[str, ...] = ()  # likewise
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

    def parameterization(self) -> Parameterization:
        """What plays a plan [T, A] at any moment, exactly as the planner meant it: `play(actions, seconds, period)`."""
        return Steps() if self.playback == "zero" or self.horizon < 2 else Knots(self.horizon, self.playback)

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Any) -> Contract:
        """Read what `to_json` gave, from a file that nobody vouches for.

        Raises:
          ValueError: a field that is missing, unknown, of another type, out of range, or at odds with another one.
        """
        if not isinstance(values, dict):
            raise ValueError(f"the contract must be an object; got {type(values).__name__}")
        known = {entry.name for entry in fields(cls)}
        if set(values) != known:
            raise ValueError(f"the contract has missing or unknown fields: {_few(sorted(set(values) ^ known))}")
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
        for name, size in (("sensors", self.observation_size), ("actuators", self.action_size)):
            for words in (name, {"sensors": "sensor_units", "actuators": "action_units"}[name]):
                if len(getattr(self, words)) not in (0, size):
                    raise ValueError(f"{words} must be empty or have {size} words; got {len(getattr(self, words))}")


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
