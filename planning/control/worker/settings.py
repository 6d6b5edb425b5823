"""Declaration of the planner's side of the loop."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .surprise import Surprise
from .validator import Validator

Log = Callable[[dict[str, Any]], None]  # takes a line


@dataclass(frozen=True)
class Planning:
    """Settings of a planner, and when it counts as stuck. Times in seconds.

    Raises:
      ValueError: an invalid setting.
    """

    deadline: float | None = None  # for one plan; None: the control period
    validity: float | None = None  # of a plan, from its stamp on; None: half the horizon, or 4 periods past replanning
    iterations: int | None = None  # at most; None: the planner's own
    validator: Validator = Validator()
    surprise: Surprise | None = None
    most_disagreement: float | None = None  # of an ensemble along the plan, above which it counts as surprised
    imagine: bool = False  # publish the plan's predicted positions, and the error of the last plan's
    log: bool = False  # write a line for each plan, from which `replay` recomputes it
    priority: int = 0  # real-time priority of a planner process once it is ready; 0: an ordinary process
    cores: tuple[int, ...] = ()  # of a planner process once it is ready; empty: any
    start_timeout: float = 300.0  # to import and compile; a planner process that takes longer is killed and retried
    # Time without an answer after which a planner process is killed; None: 5 times the deadline and one iteration, as
    # measured when the process starts, and at least 2 s.
    hang_after: float | None = None

    def __post_init__(self) -> None:
        for name in ("deadline", "most_disagreement", "start_timeout", "hang_after"):
            value = getattr(self, name)
            if not (value is None and name != "start_timeout" or _is_number(value) and 0 < value < math.inf):
                raise ValueError(f"{name} must be a positive, finite number; got {value!r}")
        if not (self.validity is None or (_is_number(self.validity) and self.validity > 0)):
            raise ValueError(f"validity must be a positive number of seconds; got {self.validity!r}")
        if not (self.iterations is None or (_is_whole(self.iterations) and self.iterations > 0)):
            raise ValueError(f"iterations must be a positive whole number; got {self.iterations!r}")
        if self.hang_after is not None and self.deadline is not None and self.hang_after <= self.deadline:
            raise ValueError(
                f"hang_after must be longer than deadline, or plans in time are killed; got {self.hang_after:g} s and "
                f"{self.deadline:g} s"
            )
        if not (_is_whole(self.priority) and 0 <= self.priority <= 99):
            raise ValueError(f"priority must be 0, or a real-time priority from 1 to 99; got {self.priority!r}")
        if not (isinstance(self.cores, tuple) and all(_is_whole(core) and core >= 0 for core in self.cores)):
            raise ValueError(f"cores must be a tuple of core numbers from 0 on; got {self.cores!r}")
        for name in ("imagine", "log"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False; got {getattr(self, name)!r}")

    def to_json(self) -> dict[str, Any]:
        """Convert for a planner process. Raises ValueError on a check that is a function: there it must be named."""
        if any(not isinstance(check, str) for check in self.validator.checks):
            raise ValueError("a planner process imports its checks: name each as module:function")
        values = {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}
        return {
            **values,
            "validator": asdict(self.validator),
            "surprise": None if self.surprise is None else self.surprise.to_json(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Planning:
        """Read the output of `to_json`."""
        validator = Validator(tuple(values["validator"]["checks"]), values["validator"]["tolerance"])
        surprise = None if values["surprise"] is None else Surprise.from_json(values["surprise"])
        return cls(**{**values, "validator": validator, "surprise": surprise, "cores": tuple(values["cores"])})


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """Convert a setting to plain JSON: NumPy's numbers become Python's."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)
