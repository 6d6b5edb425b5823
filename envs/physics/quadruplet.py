"""Four clips of a test: two that are possible, and two that begin as one of them and end as the other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .course import Clip, Course, roll_out

PAIRS = ((0, 2), (1, 3))  # possible and impossible clip with the same beginning


@dataclass(frozen=True)
class Quadruplet:
    """Possible clips a and b, impossible ones that begin as a and as b, and the picture of the event.

    Every ending occurs once in a possible and once in an impossible clip, so nothing that looks at an ending, or at the
    amount of motion, tells them apart.
    """

    clips: tuple[Clip, Clip, Clip, Clip]
    event: int


@dataclass(frozen=True)
class Twins:
    """Two possible courses, and how their endings are exchanged at the event.

    Args:
      courses: of the possible clips.
      event: picture.
      exchange: `state`: the state and the look of the bodies become those of the other course; `parts`: what stands in
        the scene is drawn and does not act, or acts and is not drawn; `physics`: friction and mass become those of the
        other course; `actions`: the pusher does what it was not asked for.
    """

    courses: tuple[Course, Course]
    event: int
    exchange: str = "state"

    def quadruplet(self) -> Quadruplet:
        """Simulate all four clips."""
        one, two = self.courses
        first, second = roll_out(one), roll_out(two)
        event = self.event
        if self.exchange == "state":
            crossed = first.then(second, event), second.then(first, event)
        elif self.exchange == "parts":
            # The twins are the same until the part makes a difference.
            apart = np.abs(first.states - second.states).max(axis=1) > 0.01
            event = int(apart.argmax()) if apart.any() else event
            crossed = second.looking_like(first), first.looking_like(second)
        elif self.exchange == "actions":
            crossed = second.acted(first), first.acted(second)
        else:
            crossed = (
                roll_out(replace(one, change=(event, two.scene))),
                roll_out(replace(two, change=(event, one.scene))),
            )
        return Quadruplet((first, second, *crossed), event)
