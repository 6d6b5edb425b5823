"""Control laws of a hand that pushes or carries an object on a table: what to do next, from the state alone.

Where hand and object are decides between approach, descent, push, grasp and way, so nothing has to be remembered.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

_HIGH = 0.075  # metres of the gripper above the object's centre at which nothing touches it
_WIDE = 0.075  # metres beside the object's centre from which on nothing touches it
_BEHIND = 0.055  # metres from the object's centre where a push begins
_CONTACT = 0.039  # metres between the centres of closed fingers and object that touch
_CLOSE = 0.02  # metres from the aim at which a push that has slipped off is not taken up again
_GAIN, _DAMPING = 20.0, 0.5  # action per metre, and per metre a second
ON_TABLE = 0.425  # metres: height of the object's centre, and of fingers close above the table


def to(gripper: Float[ndarray, "... 3"], velocity: Float[ndarray, "... 3"], target: Float[ndarray, "... 3"]) -> ndarray:
    """Actions that bring the gripper to a target."""
    return np.clip(_GAIN * (target - gripper) - _DAMPING * velocity, -1.0, 1.0)


def behind(place: Float[ndarray, "... 3"], aim: Float[ndarray, "... 3"]) -> Float[ndarray, "... 3"]:
    """Where a push of an object towards an aim begins."""
    spot = place - _BEHIND * _direction(place, aim)
    spot[..., 2] = ON_TABLE
    return spot


def _direction(place: Float[ndarray, "... 3"], aim: Float[ndarray, "... 3"]) -> Float[ndarray, "... 3"]:
    way = (aim - place) * [1.0, 1.0, 0.0]
    return way / np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-6)


def pushed(
    gripper: Float[ndarray, "... 3"],
    velocity: Float[ndarray, "... 3"],
    place: Float[ndarray, "... 3"],
    aim: Float[ndarray, "... 3"],
) -> Float[ndarray, "... 3"]:
    """Actions that push an object to an aim on the table: over it to its far side, down, and on.

    Args:
      gripper: position.
      velocity: of the gripper.
      place: of the object.
      aim: for the object.
    """
    way, spot = _direction(place, aim), behind(place, aim)
    seen = gripper - place
    along = np.sum(seen * way, axis=-1)
    beside = np.linalg.norm(seen[..., :2] - along[..., None] * way[..., :2], axis=-1)
    low = gripper[..., 2] < ON_TABLE + 0.02
    behind_it = low & (along < -0.03) & (beside < 0.02)
    off = np.linalg.norm((aim - place)[..., :2], axis=-1)
    lead = np.minimum(0.7 * off, 0.04) - _CONTACT  # the object slides on when the push ends
    push = place + lead[..., None] * way
    push[..., 2] = ON_TABLE
    round_it = np.where((off < _CLOSE)[..., None], gripper, spot)  # close to the aim, another push does more harm
    return np.where(behind_it[..., None], to(gripper, velocity, push), _over(gripper, velocity, place, round_it))


def left(
    gripper: Float[ndarray, "... 3"],
    velocity: Float[ndarray, "... 3"],
    place: Float[ndarray, "... 3"],
    target: Float[ndarray, "... 3"],
) -> Float[ndarray, "... 3"]:
    """Actions that bring the gripper to a target without touching an object on the table.

    Args:
      gripper: position.
      velocity: of the gripper.
      place: of the object.
      target: for the gripper.
    """
    clear = np.linalg.norm((target - place)[..., :2], axis=-1) > _WIDE
    spot = np.where(
        clear[..., None], target, np.concatenate([target[..., :2], _high(place, target)[..., None]], axis=-1)
    )
    return _over(gripper, velocity, place, spot)


def _high(place: ndarray, target: ndarray) -> ndarray:
    return np.maximum(place[..., 2] + _HIGH, target[..., 2])


def _over(gripper: ndarray, velocity: ndarray, place: ndarray, spot: ndarray) -> ndarray:
    """Actions that bring the gripper down on a spot from above, clear of the object on the way."""
    arrived = np.linalg.norm((gripper - spot)[..., :2], axis=-1) < 0.015
    near = np.linalg.norm((gripper - place)[..., :2], axis=-1) < _WIDE
    high = _high(place, spot)[..., None]
    rising = near & ~arrived & (gripper[..., 2] < high[..., 0] - 0.02)  # first, lest the object is swept along
    target = np.where(arrived[..., None], spot, np.concatenate([spot[..., :2], high], axis=-1))
    up = np.concatenate([gripper[..., :2], high + 0.03], axis=-1)
    return to(gripper, velocity, np.where(rising[..., None], up, target))


def carried(
    gripper: Float[ndarray, "... 3"],
    velocity: Float[ndarray, "... 3"],
    place: Float[ndarray, "... 3"],
    gap: Float[ndarray, "..."],
    aim: Float[ndarray, "... 3"],
) -> Float[ndarray, "... 4"]:
    """Actions that grasp an object from above and carry it to an aim.

    Args:
      gripper: position.
      velocity: of the gripper.
      place: of the object.
      gap: between the fingers.
      aim: for the object.
    """
    seen = gripper - place
    between = (np.linalg.norm(seen[..., :2], axis=-1) < 0.015) & (np.abs(seen[..., 2]) < 0.015)
    held = between & (gap < 0.054)
    move = np.where(held[..., None], to(gripper, velocity, gripper + aim - place), to(gripper, velocity, place))
    move = np.where(between[..., None], move, _over(gripper, velocity, place, place))
    return np.concatenate([move, np.where(between, -1.0, 1.0)[..., None]], axis=-1)
