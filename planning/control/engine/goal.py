"""Goals as people have them: an observation, only some of its sensors, or several such in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy import ndarray

from .contract import Contract
from .readings import numbers_of

Range = tuple[ndarray, ndarray]  # lowest and highest values [O]


def checked_goal(goal: Any, contract: Contract, plausible: Range | None = None) -> ndarray:
    """The goal [O] in float32: what the sensors read there, NaN where any value will do.

    Args:
      goal: as a user gives it.
      contract: of the planner.
      plausible: the range that the goal must lie in; None: the contract's, if it has one.

    Raises:
      ValueError: another shape, not plain real numbers, an infinite or implausible value, no value at all, or NaN where
        the model needs every sensor.
    """
    values = _numbers(goal, contract, "goal")
    given = ~np.isnan(values)
    if np.isinf(values).any() or (not contract.partial_goals and not given.all()):
        which = int(np.argmin(np.isfinite(values)))
        raise ValueError(f"the goal must be finite; element {which} is {values[which]}")
    if not given.any():
        raise ValueError("the goal gives no sensor's value: at least one must be a number, NaN stands for any value")
    check_plausible(values, contract, "goal", plausible)
    return values


def checked_observation(observation: Any, contract: Contract, plausible: Range | None = None) -> ndarray:
    """The observation [O] in float32. Arguments and errors are those of `checked_goal`; NaN is refused."""
    values = _numbers(observation, contract, "observation")
    if not np.isfinite(values).all():
        which = int(np.argmin(np.isfinite(values)))
        raise ValueError(f"the observation must be finite; element {which} is {values[which]}")
    check_plausible(values, contract, "observation", plausible)
    return values


def check_plausible(values: ndarray, contract: Contract, what: str, plausible: Range | None = None) -> None:
    """Raise ValueError where a value [O] lies outside the plausible range; NaN does not."""
    plausible = plausible or contract.plausible
    if plausible is None:
        return
    low, high = plausible
    outside = (values < low) | (values > high)
    if outside.any():
        which = int(np.argmax(outside))
        name = f" ({contract.sensors[which]})" if contract.sensors else ""
        raise ValueError(
            f"the {what} is implausible: element {which}{name} is {values[which]:g}, and the model was trained on "
            f"values for which {low[which]:g} to {high[which]:g} is plausible; give observation_low and "
            "observation_high where the robot's range is wider"
        )


def _numbers(value: Any, contract: Contract, what: str) -> ndarray:
    """The value as float32 [O]. Raises ValueError where it is something else."""
    size, values = contract.observation_size, numbers_of(value)
    if values is None:
        raise ValueError(f"the {what} must be {size} plain real numbers; got {_kind(value)}")
    if values.shape != (size,):
        raise ValueError(f"the {what} must have shape ({size},); got {values.shape}")
    return values


def _kind(value: Any) -> str:
    return f"an array of {value.dtype}" if isinstance(value, ndarray) else type(value).__name__


def episode_goal(goal: Any, last: ndarray | None, contract: Contract, plausible: Range | None = None) -> ndarray:
    """The goal [O] of an episode: the given one, else the last one; zeros where nothing asks for a goal.

    Raises:
      ValueError: as `checked_goal`, or there has never been one and something asks for it.
    """
    if goal is not None:
        return checked_goal(goal, contract, plausible)
    if last is not None:
        return last
    if contract.goals:
        raise ValueError("reset needs a goal the first time: pass the observation at the goal as goal=")
    return np.zeros(contract.observation_size, np.float32)


@final
class Route:
    """Goals to pass in order, and the last one to stay at.

    ```py
    route = Route([[0.2, 0.8, nan, nan], [0.9, 0.8, 0, 0]], tolerance=0.05)
    controller.reset(goal=route.goal)
    while running:
        observation = sensor()
        if route.passed(observation):
            controller.redirect(route.goal)
        act(controller.act(observation))
    ```

    Args:
      goals: [W, O], each as `checked_goal` takes it; NaN where any value will do, as for the speed on the way.
      tolerance: how near the told values of a goal must be for it to count as passed, in the sensors' units: one
        number, or [O].

    Raises:
      ValueError: no goal, goals of different lengths, one that tells nothing, or a tolerance that is not positive.
    """

    def __init__(self, goals: Sequence[Any] | ndarray, tolerance: Any):
        lengths = sorted({np.size(goal) for goal in goals})
        if len(lengths) > 1:
            words = " and of ".join(map(str, lengths))
            raise ValueError(f"a route is a list of goals of one length; got some of {words} numbers")
        self.goals = np.array(goals, np.float32)
        if self.goals.ndim != 2 or not self.goals.size:
            raise ValueError(f"a route is a list of goals of one length; got shape {self.goals.shape}")
        if np.isnan(self.goals).all(axis=1).any() or np.isinf(self.goals).any():
            raise ValueError("each goal of a route must tell at least one sensor's value, and none may be infinite")
        self.tolerance = np.broadcast_to(np.asarray(tolerance, np.float32), self.goals.shape[1:])
        if not (self.tolerance > 0).all():
            raise ValueError(f"the tolerance must be positive; got {tolerance}")
        self.leg = 0

    @property
    def goal(self) -> ndarray:
        """[O] the goal to go to now."""
        return self.goals[self.leg]

    @property
    def last(self) -> bool:
        """Whether it is the last one."""
        return self.leg == len(self.goals) - 1

    def passed(self, observation: Any) -> bool:
        """Whether `observation` [O] passes the present goal and another one comes next: then `goal` is that one.

        Raises:
          ValueError: an observation of another size than the goals.
        """
        if self.last:
            return False
        seen = np.asarray(observation, np.float32)
        if seen.shape != self.goal.shape:
            raise ValueError(f"the route's goals have {self.goal.size} numbers; got an observation of {seen.shape}")
        apart = np.abs(seen - self.goal)
        if not (np.isnan(self.goal) | (apart <= self.tolerance)).all():
            return False
        self.leg += 1
        return True
