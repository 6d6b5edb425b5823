"""What is declared of the planner's side of the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .guards import Validator
from .surprise import Surprise

Log = Callable[[dict[str, Any]], None]  # takes a line


@dataclass(frozen=True)
class Planning:
    """How a planner answers. Times in seconds.

    Raises:
      ValueError: a time or a count that is not positive.
    """

    deadline: float | None = None  # for one plan; None: the control period
    validity: float | None = None  # of a plan, from its stamp on; None: half the horizon, or 4 periods past replanning
    iterations: int | None = None  # at most; None: the planner's own
    validator: Validator = Validator()
    surprise: Surprise | None = None
    most_disagreement: float | None = None  # of an ensemble along the plan, above which it counts as surprised
    imagine: bool = False  # publish where the plan should lead, and how far the last one was off
    log: bool = False  # write a line for each plan, from which `replay` makes it again
    priority: int = 0  # real-time priority of a planner process once it is ready; 0: an ordinary process
    cores: tuple[int, ...] = ()  # the only ones that a planner process runs on once it is ready; none named: any

    def __post_init__(self) -> None:
        for name in ("deadline", "validity", "iterations"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive; got {value}")
        if self.priority < 0:
            raise ValueError(f"priority must be 0 or a real-time priority; got {self.priority}")

    def to_json(self) -> dict[str, Any]:
        """For a planner process. Raises ValueError on a check that is a function: there it must be named."""
        if any(not isinstance(check, str) for check in self.validator.checks):
            raise ValueError("a planner process imports its checks: name each as module:function")
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            **values,
            "validator": asdict(self.validator),
            "surprise": None if self.surprise is None else self.surprise.to_json(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Planning:
        """Read what `to_json` gave."""
        validator = Validator(tuple(values["validator"]["checks"]), values["validator"]["tolerance"])
        surprise = None if values["surprise"] is None else Surprise.from_json(values["surprise"])
        return cls(**{**values, "validator": validator, "surprise": surprise, "cores": tuple(values["cores"])})
