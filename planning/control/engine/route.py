"""Several goals in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy import ndarray

from ...observation import ObservationSpec, vector
from .readings import Fault, read


@final
class Route:
    """Goals to pass in order; the last one is where to stay.

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
      goals: W of them: arrays [O], or mappings from the sensors of `observation`; NaN, or a sensor left out, where any
        value is accepted, as for the speed on the way.
      tolerance: distance within which a goal counts as passed, in the sensors' units: one number, or
        one for each number of an embedding.
      observation: the sensors, as in a contract: needed for mappings, and for angles, where the shorter way
        round counts, from whichever rotation is as good. None: one vector without angles.

    Raises:
      ValueError: no goal, goals of different lengths, one without a value, a sensor that is not a vector, or a
        tolerance that is not positive.
    """

    def __init__(self, goals: Sequence[Any] | ndarray, tolerance: Any, observation: ObservationSpec | None = None):
        if observation is None:
            lengths = sorted({np.size(goal) for goal in goals})
            if len(lengths) != 1 or not lengths[0] or any(np.ndim(goal) != 1 for goal in goals):
                counts = " and of ".join(map(str, lengths))
                raise ValueError(f"a route is a list of goals of one length; got some of {counts or 'no'} numbers")
            observation = vector(lengths[0])
        if not observation.is_vectors:
            raise ValueError("a route compares vectors, and one of these sensors is not: compare its goals yourself")
        self._spec = observation
        self._goals, self._rows = list(goals), np.stack([self._row(goal, "goal", True) for goal in goals])
        if np.isnan(self._rows).all(axis=1).any():
            raise ValueError("each goal of a route must have a value of at least one sensor")
        self.tolerance = np.broadcast_to(np.asarray(tolerance, np.float32), self._rows.shape[1:])
        if not (self.tolerance > 0).all():
            raise ValueError(f"the tolerance must be positive; got {tolerance}")
        self.leg = 0

    @property
    def goal(self) -> Any:
        """The current goal: [O], or the mapping that was given."""
        return self._rows[self.leg] if self._spec.is_plain else self._goals[self.leg]

    @property
    def goals(self) -> ndarray:
        """All goals as rows [W, E], NaN where any value is accepted."""
        return self._rows

    @property
    def last(self) -> bool:
        """Whether it is the last one."""
        return self.leg == len(self._rows) - 1

    def passed(self, observation: Any) -> bool:
        """Whether `observation` passes the present goal and another one follows: then `goal` is that one.

        Raises:
          ValueError: an observation of other sensors than the goals.
        """
        if self.last:
            return False
        target = self._rows[self.leg]
        distance = np.abs(self._spec.from_goal(self._row(observation, "observation", False), target))
        if not (np.isnan(target) | (distance <= self.tolerance)).all():
            return False
        self.leg += 1
        return True

    def _row(self, value: Any, what: str, is_goal: bool) -> ndarray:
        """Return the embedding [E] of a goal or an observation. Raises ValueError where it is neither."""
        found = read(value, self._spec, None, what, is_goal)
        if isinstance(found, Fault):
            raise ValueError(f"{found.sentence} (the route's goals have {self._spec.size} numbers)")
        return found.row
