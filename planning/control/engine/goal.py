"""Goals as a user gives them: an observation, only some of its sensors, or several of these in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from ...observation import ObservationSpec
from .contract import Contract
from .embedding import Embed
from .readings import Fault, Range, Reading, read


@dataclass(frozen=True)
class Goal:
    """A goal: an observation, and which parts of it are requested.

    Args:
      observation: what the sensors read there: an array of the only sensor, or a mapping; sensors that are left out are
        free.
      mask: by sensor, whether it is requested, or which of its components are; for the only sensor, the mask itself.
        None: everything given. Values outside the mask are free.

    Example: `Goal({"position": [0.2, 0.8]})`, `Goal([0.2, 0.8, 0.0, 0.0], mask=[True, True, False, False])`.
    """

    observation: Any
    mask: Any = None


def checked_goal(goal: Any, contract: Contract, plausible: Range | None = None, embed: Embed | None = None) -> ndarray:
    """Return the goal as a row [E] in float32: the embedding of the readings there, NaN for free values.

    Args:
      goal: a `Goal`; or its observation alone, in which NaN stands for any value of a component.
      contract: of the planner.
      plausible: the range that the goal must lie in; None: the contract's, if it has one.
      embed: of the engine; needed where a sensor is not at a vector.

    Raises:
      ValueError: another shape, not plain real numbers, an infinite or implausible value, no value at all, or something
        free where the model needs every sensor.
    """
    spec, mask = contract.observation, None
    if isinstance(goal, Goal):
        mask, goal = goal.mask, goal.observation
    found = read(goal, spec, plausible or contract.plausible, "goal", is_goal=True)
    if isinstance(found, Fault):
        raise ValueError(found.sentence)
    row = found.row
    if mask is not None:
        row[~_row_mask(mask, spec)] = np.nan
    free = np.isnan(row)
    for name, flag in spec.flags.items():  # an optional sensor that is free need not be present
        row[flag] = np.nan if free[spec.slices[name]].all() else 1.0
    if not contract.partial_goals and (free := np.isnan(row)).any():
        which = int(np.argmax(free))
        if spec.is_plain:
            raise ValueError(f"the goal must be finite; element {which} is {row[which]}")
        raise ValueError(f"the goal leaves {spec.name_of(which)} free, and this model needs every sensor of a goal")
    if np.isnan(row).all():
        raise ValueError("the goal gives no sensor's value: at least one must be a number, NaN stands for any value")
    if found.others:
        assert embed is not None
        row = np.where(np.isnan(row), np.float32(np.nan), embed(found.others, np.nan_to_num(row)))
    return row


def _row_mask(mask: Any, spec: ObservationSpec) -> ndarray:
    """Return the mask [E] of a row, from one by sensor.

    Raises:
      ValueError: a sensor that does not exist, or a mask of another shape than its sensor.
    """
    by_sensor = mask if isinstance(mask, Mapping) else {spec.sensors[0].name: mask}
    found = np.zeros(spec.size, bool)
    for name, each in by_sensor.items():
        if name not in spec.slices:
            raise ValueError(
                f"the goal's mask names the sensor {name!r:.40}, and the model knows {', '.join(spec.slices)}"
            )
        place, chosen = spec.slices[name], np.asarray(each)
        width = place.stop - place.start
        if chosen.dtype != bool or chosen.shape not in ((), (width,)):
            raise ValueError(f"the goal's mask of {name} must be true, false, or {width} of them; got {each!r:.60}")
        found[place] = chosen
    return found


def checked_observation(
    observation: Any, contract: Contract, plausible: Range | None = None, tolerant: bool = False
) -> Reading:
    """Return an observation after its checks.

    Args:
      observation: what the sensors read.
      contract: of the planner.
      plausible: the range that it must lie in; None: the contract's, if it has one.
      tolerant: whether sensors may be missing, as `read` has it.

    Raises:
      ValueError: the observation is refused; the message has the fault and what was expected.
    """
    found = read(observation, contract.observation, plausible or contract.plausible, tolerant=tolerant)
    if isinstance(found, Fault):
        raise ValueError(found.sentence)
    return found


def episode_goal(
    goal: Any,
    last: ndarray | None,
    contract: Contract,
    plausible: Range | None = None,
    embed: Embed | None = None,
) -> ndarray:
    """Return the row [E] of an episode's goal: the given one, else the last one; zeros where no goal is needed.

    Args:
      goal: as `checked_goal` takes it; None: the last one.
      last: row [E] of the last goal; None: there has never been one.
      contract: of the planner.
      plausible: range that the goal must lie in; None: the contract's, if it has one.
      embed: of the engine; needed where a sensor is no vector.

    Raises:
      ValueError: as `checked_goal`, or there has never been one and the planner needs it.
    """
    if goal is not None:
        return checked_goal(goal, contract, plausible, embed)
    if last is not None:
        return last
    if contract.goals:
        raise ValueError("reset needs a goal the first time: pass the observation at the goal as goal=")
    return np.zeros(contract.embedding_size, np.float32)
